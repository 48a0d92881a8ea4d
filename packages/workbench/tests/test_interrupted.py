"""Runs that were killed, and runs at the same time."""

import json
import os
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest

from onebutton_workbench.runs.interrupted import mend, only_press


def test_a_press_waits_for_the_stages_of_one_whose_make_was_killed(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    with only_press(tmp_path) as lock:  # DVC inherits it, and goes on
        dvc = subprocess.Popen([sys.executable, "-c", "import time; time.sleep(0.7)"], pass_fds=(lock,))
    begun = time.monotonic()
    with only_press(tmp_path):
        assert dvc.wait() == 0
    assert time.monotonic() - begun > 0.3
    assert capsys.readouterr().out == "run: waits for another press, which still runs stages here\n"


@pytest.mark.parametrize("half", ["", "schema: '2.0'\nstages:\n  train:\n    deps:\n    - hash: md5\n", "schema: '2"])
def test_a_lock_that_was_half_written_gives_way_to_the_committed_one(
    half: str, tmp_path: Path, shell: Any, capsys: pytest.CaptureFixture[str]
) -> None:
    good = "schema: '2.0'\nstages:\n  train:\n    cmd: python -m pipe.train\n"
    lock = tmp_path / "dvc.lock"
    lock.write_text(good, encoding="utf-8")
    (tmp_path / "dvc.yaml").write_text("stages: {}\n", encoding="utf-8")
    shell("git", "init", "--quiet", folder=tmp_path)
    shell("git", "add", "--all", folder=tmp_path)
    shell("git", "commit", "--quiet", "--message", "results", folder=tmp_path)
    mend(tmp_path)
    assert capsys.readouterr().out == ""
    lock.write_text(half, encoding="utf-8")
    mend(tmp_path)
    assert lock.read_text(encoding="utf-8") == good
    assert capsys.readouterr().out.startswith("run: dvc.lock was left half written by a press that was killed; ")


def test_a_lock_in_conflict_gives_way_to_the_committed_one_and_other_locks_stay(
    tmp_path: Path, shell: Any, capsys: pytest.CaptureFixture[str]
) -> None:
    whole = "schema: '2.0'\nstages: {}\n"
    locks = [tmp_path / "dvc.lock", tmp_path / "pipelines/pipe/dvc.lock"]
    for lock in locks:
        lock.parent.mkdir(parents=True, exist_ok=True)
        lock.write_text(whole, encoding="utf-8")
        lock.with_name("dvc.yaml").write_text("stages: {}\n", encoding="utf-8")
    shell("git", "init", "--quiet", folder=tmp_path)
    shell("git", "add", "--all", folder=tmp_path)
    shell("git", "commit", "--quiet", "--message", "results", folder=tmp_path)
    locks[0].write_text("<<<<<<< HEAD\na: 1\n=======\na: 2\n>>>>>>> other\n", encoding="utf-8")
    locks[1].write_text(f"{whole}# newer\n", encoding="utf-8")
    mend(tmp_path)
    assert locks[0].read_text(encoding="utf-8") == whole
    assert locks[1].read_text(encoding="utf-8").endswith("# newer\n")
    said = "run: dvc.lock holds the conflict of a merge; that of your last commit is back\n"
    assert capsys.readouterr().out == said


@pytest.mark.parametrize("half", ["", '{"write": {'])
def test_notes_that_were_half_written_do_not_stop_the_next_press_and_whole_ones_stay(half: str, tmp_path: Path) -> None:
    file = tmp_path / ".dvc/tmp/rwlock"
    file.parent.mkdir(parents=True)
    for text, stays in (("{}", True), (half, False)):
        file.write_text(text, encoding="utf-8")
        mend(tmp_path)
        assert file.is_file() == stays


def test_notes_of_a_killed_dvc_that_nobody_asked_after_yet_do_not_stop_the_next_press(tmp_path: Path) -> None:
    file = tmp_path / ".dvc/tmp/rwlock"
    file.parent.mkdir(parents=True)
    with subprocess.Popen(["sleep", "60"]) as program:
        holder = {"pid": program.pid, "cmd": "dvc repro"}
        file.write_text(json.dumps({"write": {"/out": holder}, "read": {"/dep": [holder]}}), encoding="utf-8")
        mend(tmp_path)
        assert file.is_file()  # it runs, and holds what it says
        program.kill()
        os.waitid(os.P_PID, program.pid, os.WEXITED | os.WNOWAIT)  # it is dead, and still there
        mend(tmp_path)
        assert not file.exists()
