"""Against a real MLflow, in a SQLite file and behind a server, with two versions of a model."""

import contextlib
import hashlib
import io
import json
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest

from onebutton_contracts.errors import InputError
from onebutton_tracking.commit import record
from onebutton_tracking.mirror import mirror
from onebutton_tracking.store import tracking_uri
from onebutton_tracking.why import why

pytestmark = pytest.mark.slow


WHY = """
import json, sys
from pathlib import Path
from onebutton_contracts.errors import run_stage
from onebutton_tracking.why import why

run_stage(lambda: why(root=Path.cwd(), **json.loads(sys.argv[1])))
"""


CARD = '''title = "A demo"
chosen_because = """
It errs less than the mean,
and is small."""
also_tried = "A forest."
'''


def press(root: Path, **asked: str | bool) -> tuple[int, str]:
    """Do what `make why` does with some values; return its status and what it prints."""
    printed = io.StringIO()
    try:
        with contextlib.redirect_stdout(printed):
            why(root=root, **asked)  # type: ignore[arg-type]  # a value of each kind stands in one dictionary
    except InputError as error:
        return 1, str(error)
    return 0, printed.getvalue()


def press_alone(root: Path, **asked: str) -> tuple[int, str]:
    """Do it in a program of its own, which shows what it imports."""
    command = [sys.executable, "-c", WHY, json.dumps(asked)]
    done = subprocess.run(command, cwd=root, capture_output=True, text=True, check=False)
    assert "Traceback" not in done.stderr
    return done.returncode, done.stdout + done.stderr


@pytest.fixture
def two_versions(checkout: Path, git: Any, anywhere: None) -> Path:
    """The root of a repo whose pipeline was run, changed and run again."""
    del anywhere
    root = checkout.parents[1]
    uri = tracking_uri(root)
    (checkout / "card.toml").write_text(CARD, encoding="utf-8")
    digest = hashlib.md5(CARD.encode()).hexdigest()  # noqa: S324  DVC's own
    raw, read = "    - {path: data/raw,", f"    - {{path: card.toml, hash: md5, md5: {digest}, size: {len(CARD)}}}\n"
    lock = checkout / "dvc.lock"
    lock.write_text(lock.read_text(encoding="utf-8").replace(raw, f"{read}{raw}"), encoding="utf-8")
    git(checkout, "add", "--all")
    git(checkout, "commit", "--quiet", "--message", "docs: a card")
    record(checkout, {"train": 3.0})
    mirror(checkout, uri)
    time.sleep(0.01)
    text = lock.read_text(encoding="utf-8").replace("rate: 0.1", "rate: 0.2")
    lock.write_text(text.replace("0123456789abcdef" * 2, "f" * 32), encoding="utf-8")
    (checkout / "metrics.json").write_text('{"model": {"auc": 0.76, "rows": 100}}\n', encoding="utf-8")
    model = checkout / "model/model.onnx"
    model.write_bytes(model.read_bytes().replace(b"\x00\x00\x00@", b"\x00\x00@@"))
    git(checkout, "commit", "--quiet", "--all", "--message", "feat: learn faster")
    record(checkout, {"train": 4.0})
    mirror(checkout, uri)
    from mlflow import MlflowClient

    MlflowClient(uri, uri).set_registered_model_alias("demo", "champion", "1")
    return root


def test_a_models_lineage_is_told_from_the_champion_by_default(two_versions: Path, git: Any) -> None:
    status, shown = press(two_versions, model="demo")
    assert status == 0
    assert shown.startswith("demo version 1 (@champion): run ")
    assert git(two_versions, "rev-parse", "HEAD~1")[:12] in shown
    assert "docs: a card" in shown
    assert "Ada <ada@test>" in shown
    assert "data/raw  111111111111  read by train" in shown
    assert "train 3.0 s" in shown
    assert "chosen      It errs less than the mean, and is small." in shown
    assert "also tried  A forest." in shown

    _, shown = press(two_versions, model="demo/2")
    assert "train.rate = 0.2" in shown
    assert "model.auc = 0.76" in shown

    _, of_file = press(two_versions, file="pipelines/demo/metrics.json", json_=True)
    lineage = json.loads(of_file)
    assert lineage["data"]["tags"]["mlflow.source.git.commit"] == git(two_versions, "rev-parse", "HEAD")
    assert lineage["data"]["params"]["train.rate"] == "0.2"
    run_id = lineage["info"]["run_id"][:8]
    _, of_run = press(two_versions, run=run_id)
    assert f"demo: run {run_id}" in of_run

    for asked, words in (
        ({"model": "dem"}, "there is no model 'dem' in MLflow. MODEL can be: demo"),
        ({"model": "demo/9"}, "demo/9 is not in MLflow. After demo can stand: /1, /2, @champion"),
        ({"model": "demo@best"}, "demo@best is not in MLflow"),
        ({"model": "demo@a@b"}, "is not understood"),
        ({"run": "zzz"}, "no run begins with 'zzz'. The latest are: "),
        ({"file": "pipelines/demo/gone.json"}, "is no file of a pipeline"),
        ({"run": "a", "model": "demo"}, "says what to look at"),
    ):
        status, shown = press(two_versions, **asked)
        assert status == 1
        assert words in shown


def test_a_run_of_another_program_is_told_apart(two_versions: Path) -> None:
    from mlflow import MlflowClient

    uri = tracking_uri(two_versions)
    client = MlflowClient(uri, uri)
    run = client.create_run("0")
    client.set_terminated(run.info.run_id)
    status, shown = press(two_versions, run=run.info.run_id)
    assert status == 1
    assert "was written by another program" in shown


def test_a_question_that_was_not_asked_is_refused_before_mlflow_is_imported(tmp_path: Path) -> None:
    (tmp_path / "mlflow.py").write_text("raise SystemExit('imported')\n", encoding="utf-8")
    (tmp_path / "mlflow.db").write_bytes(b"there is one")
    status, shown = press_alone(tmp_path)
    assert status == 1
    assert shown.startswith("one of MODEL=")
    assert "imported" in press_alone(tmp_path, model="demo")[1]


def test_without_mlflow_nothing_is_known_and_nothing_is_made(tmp_path: Path) -> None:
    status, shown = press(tmp_path, model="demo")
    assert status == 1
    assert "there is no mlflow.db yet" in shown
    assert not (tmp_path / "mlflow.db").exists()
