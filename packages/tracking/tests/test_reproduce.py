"""A small repo of its own: uv, git and DVC are real, the pipeline is one line."""

import json
import os
import re
import subprocess
import sys
from importlib.metadata import version
from pathlib import Path
from typing import Any

import pytest

from onebutton_tracking.commit import record
from onebutton_tracking.mirror import mirror
from onebutton_tracking.store import tracking_uri

pytestmark = pytest.mark.slow

LOCK = (Path(__file__).parents[3] / "uv.lock").read_text(encoding="utf-8")
# As if locked on the day of the newest package in this repo's own lock: what appears later changes nothing here.
DAY = max(re.findall(r'upload-time = "(\d{4}-\d\d-\d\d)T', LOCK))
PYPROJECT = f"""\
[project]
name = "small"
version = "0.1.0"
requires-python = ">=3.11"
dependencies = ["dvc=={version("dvc")}"]
[tool.uv]
package = false
exclude-newer = "{DAY}T23:59:59Z"
"""
DVC_YAML = """\
stages:
  train:
    cmd: python train.py
    deps: [data.csv, train.py]
    outs: [model.txt]
    metrics:
      - metrics.json: {cache: false}
"""
TRAIN = """\
import json
from pathlib import Path

total = sum(map(int, Path("data.csv").read_text().split()))
Path("model.txt").write_text(str(total))
Path("metrics.json").write_text(json.dumps({"model": {"total": total}}))
"""


REPRODUCE = """
import json, sys
from pathlib import Path
from onebutton_contracts.errors import run_stage
from onebutton_tracking.reproduce import reproduce_all

run_stage(lambda: sys.exit(reproduce_all(root=Path.cwd(), **json.loads(sys.argv[1]))))
"""


def environment(**more: str) -> dict[str, str]:
    foreign = ("GIT_", "UV_FROZEN", "VIRTUAL_ENV")
    return {name: text for name, text in os.environ.items() if not name.startswith(foreign)} | more


def call(folder: Path, *command: str) -> None:
    subprocess.run(command, cwd=folder, env=environment(), check=True, capture_output=True)


def press(root: Path, **asked: str) -> tuple[int, str]:
    command = [sys.executable, "-c", REPRODUCE, json.dumps(asked)]
    done = subprocess.run(command, cwd=root, env=environment(), capture_output=True, text=True, check=False)
    assert "Traceback" not in done.stderr
    return done.returncode, done.stderr + done.stdout  # the verdict stands last


def run(root: Path) -> str:
    """Run the pipeline and mirror it; return the id of the run."""
    folder = root / "pipelines/demo"
    call(root, "dvc", "repro", "pipelines/demo/dvc.yaml")
    record(folder, {})
    said = mirror(folder, tracking_uri(root), just_run=True)
    return said.partition("run ")[2][:8]


@pytest.fixture
def repo(tmp_path: Path, git: Any, anywhere: None) -> Path:
    del anywhere
    root = tmp_path / "small"
    folder = root / "pipelines/demo"
    folder.mkdir(parents=True)
    (root / "pyproject.toml").write_text(PYPROJECT, encoding="utf-8")
    (root / ".gitignore").write_text(".venv/\n.code/\nmlflow.db*\nmlartifacts/\n", encoding="utf-8")
    (folder / "dvc.yaml").write_text(DVC_YAML, encoding="utf-8")
    (folder / "train.py").write_text(TRAIN, encoding="utf-8")
    (folder / "params.yaml").write_text("reproduce: {tolerance: 0.5}\n", encoding="utf-8")
    (folder / "data.csv").write_text("1\n2\n", encoding="utf-8")
    call(root, "uv", "lock", "--quiet")
    git(root, "init", "--quiet", "--initial-branch", "main")
    call(root, "dvc", "init", "--quiet")
    call(root, "dvc", "add", "--quiet", "pipelines/demo/data.csv")
    call(root, "dvc", "repro", "--quiet", "pipelines/demo/dvc.yaml")
    git(root, "add", "--all")
    git(root, "commit", "--quiet", "--message", "first")
    return root


def test_a_run_is_made_again_from_its_commit_and_the_tree_is_left_alone(repo: Path, git: Any) -> None:
    folder = repo / "pipelines/demo"
    status, shown = press(repo)  # before MLflow knows anything: what the commit holds
    assert (status, shown.splitlines()[-1]) == (0, "reproduce: demo at the last commit is identical"), shown
    first = run(repo)

    # edited since: the run is made from its own commit, and the person's tree is left alone
    (folder / "train.py").write_text("raise SystemExit('not this one')\n", encoding="utf-8")
    before = git(repo, "status", "--porcelain")
    status, shown = press(repo, run=first)
    assert (status, shown.splitlines()[-1]) == (0, f"reproduce: run {first} is identical"), shown
    assert "Running stage 'pipelines/demo/dvc.yaml:train'" in shown
    assert git(repo, "status", "--porcelain") == before
    assert len(git(repo, "worktree", "list").splitlines()) == 1


@pytest.mark.parametrize("anywhere", ["file"], indirect=True)
def test_data_that_was_not_committed_is_taken_by_its_note_and_without_one_the_line_says_so(
    repo: Path, git: Any
) -> None:
    note = repo / "pipelines/demo/data.csv.dvc"
    git(repo, "rm", "--quiet", "--cached", str(note))
    git(repo, "commit", "--quiet", "--message", "its note was forgotten")
    status, shown = press(repo, run=(noted := run(repo)))
    assert (status, shown.splitlines()[-1]) == (0, f"reproduce: run {noted} is identical"), shown
    note.unlink()
    status, shown = press(repo)
    words = "data.csv, which demo at the last commit read, is neither in git nor in DVC. `make data-add`"
    assert status, shown
    assert words in shown
    assert "failed" not in shown


@pytest.mark.parametrize("anywhere", ["file"], indirect=True)  # which MLflow keeps the runs makes no difference here
def test_runs_of_a_patch_and_of_late_results_are_made_again_and_what_differs_is_named(repo: Path, git: Any) -> None:
    folder = repo / "pipelines/demo"
    first = run(repo)

    # a dirty run: only with the patch, and with it
    (folder / "train.py").write_text(TRAIN.replace("total = sum", "total = 10 + sum"), encoding="utf-8")
    dirty = run(repo)
    status, shown = press(repo, run=dirty)
    assert status == 0, shown
    assert "and its patch" in shown
    assert f"run {dirty} is identical" in shown

    # code was committed first and run then: its commit holds the dvc.lock of before
    (folder / "train.py").write_text(TRAIN.replace("total = sum", "total = 20 + sum"), encoding="utf-8")
    git(repo, "commit", "--quiet", "--message", "feat: not run yet", "pipelines/demo/train.py")
    late = run(repo)
    status, shown = press(repo, run=late)
    assert (status, shown.splitlines()[-1]) == (0, f"reproduce: run {late} is identical"), shown

    # the cache was tampered with: the data of the run is not the data any more
    (cached,) = [path for path in (repo / ".dvc/cache").rglob("*") if path.is_file() and path.read_bytes() == b"1\n2\n"]
    cached.chmod(0o644)
    cached.write_text("1\n3\n", encoding="utf-8")
    status, shown = press(repo, run=first)
    assert status == 1
    assert "data.csv" in shown.splitlines()[-1], shown


def test_a_commit_that_is_gone_and_a_lock_that_is_another_are_named(repo: Path, git: Any) -> None:
    from mlflow import MlflowClient

    first = run(repo)
    uri = tracking_uri(repo)
    client = MlflowClient(uri, uri)
    (whole,) = client.search_runs([client.get_experiment_by_name("demo").experiment_id])  # type: ignore[union-attr]
    client.set_tag(whole.info.run_id, "onebutton.dvc_lock", "0" * 64)
    status, shown = press(repo, run=first)
    assert status == 1
    assert "dvc.lock of commit" in shown.splitlines()[-1]

    client.set_tag(whole.info.run_id, "mlflow.source.git.commit", "1" * 40)
    status, shown = press(repo, run=first)
    assert status == 1
    assert f"commit 111111111111 of run {first} is not in this clone" in shown

    status, shown = press(repo, run="zzz")
    assert status == 1
    assert "no run begins with 'zzz'" in shown
    assert git(repo, "status", "--porcelain") == ""
