from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

import pytest

from onebutton_workbench.runs.run import StageError, call_dvc, made_again, mend_locks

DVC = """
import subprocess, sys

print("Running stage 'pipelines/demo/dvc.yaml:code':", flush=True)
for stage, megabytes in (("train", 300), ("card", 1)):
    print(f"Running stage 'pipelines/demo/dvc.yaml:{stage}':", flush=True)
    command = f"import time; held = b'x' * {megabytes}_000_000; time.sleep(2)"
    subprocess.run([sys.executable, "-c", command], check=True)
    print("Updating lock file 'pipelines/demo/dvc.lock'", flush=True)
print("Stage 'pipelines/churn/dvc.yaml:evaluate' is cached - skipping run, checking out outputs")
print("Stage 'pipelines/other/dvc.yaml:train' didn't change, skipping")
print("Stage files are what the stage itself talks about")
"""


def test_seconds_and_peak_memory_of_each_stage_are_in_the_summary(
    tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    code, train, card, evaluate = made = call_dvc([sys.executable, "-c", DVC], tmp_path)
    assert 300 < train.peak_mb < 400
    assert 0 < card.peak_mb < 100
    assert 1.9 < train.seconds < 20
    assert 0 < code.seconds < 1
    assert evaluate.seconds == 0
    assert str(train) == f"train {train.seconds:.1f} s {train.peak_mb:.0f} MB"
    assert made_again(made) == f"made again: demo ({train}, {card}); churn (evaluate)"
    assert "Stage 'pipelines/other/dvc.yaml:train' didn't change, skipping\n" in capfd.readouterr().out


@pytest.mark.parametrize(
    ("said", "pipeline"),
    [
        ("Running stage 'pipelines/a/dvc.yaml:train':", "a"),
        ("Running stage 'pipelines/a/dvc.yaml:train':\nUpdating lock file 'pipelines/a/dvc.lock'", ""),
        ("Running stage 'pipelines/a/dvc.yaml:code':", ""),
        ("", ""),
    ],
)
def test_whose_stage_failed_is_known_where_one_was_under_way(said: str, pipeline: str, tmp_path: Path) -> None:
    with pytest.raises(StageError) as failed:
        call_dvc([sys.executable, "-c", f"print({said!r}); raise SystemExit(3)"], tmp_path)
    assert failed.value.pipeline == pipeline


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
    mend_locks(tmp_path)
    assert locks[0].read_text(encoding="utf-8") == whole
    assert locks[1].read_text(encoding="utf-8").endswith("# newer\n")
    said = "run: dvc.lock holds the conflict of a merge; that of your last commit is back\n"
    assert capsys.readouterr().out == said
