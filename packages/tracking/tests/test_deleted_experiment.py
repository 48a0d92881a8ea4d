"""Somebody deletes the experiment of one pipeline in MLflow's pages, while another pipeline is run as well."""

from __future__ import annotations

import contextlib
import io
import re
import shutil
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from onebutton_contracts.errors import InputError
from onebutton_tracking.mirror import mirror_all
from onebutton_tracking.store import tracking_uri
from onebutton_tracking.why import why

if TYPE_CHECKING:
    from mlflow import MlflowClient

pytestmark = [pytest.mark.slow, pytest.mark.usefixtures("anywhere")]


def press(root: Path, button: str, *words: str, **asked: str) -> tuple[int, str]:
    """Do what a button does; return its status and what it printed."""
    printed, status = io.StringIO(), 0
    try:
        with contextlib.redirect_stdout(printed), contextlib.redirect_stderr(printed):
            if button == "mirror":
                folders = sorted((root / "pipelines").iterdir())
                status = mirror_all(folders, tracking_uri(root), after_run="after-run" in words)
            else:
                why(root=root, model=asked.get("model", ""), file=asked.get("file", ""))
    except InputError as error:
        return 1, f"{button}: {error}\n"
    return status, printed.getvalue()


def client(root: Path) -> MlflowClient:
    from mlflow import MlflowClient

    return MlflowClient(tracking_uri(root), tracking_uri(root))


def run_again(pipeline: Path, rate: str) -> None:
    """Leave a pipeline as another run with another parameter would."""
    lock = pipeline / "dvc.lock"
    lock.write_text(re.sub("rate: .*", f"rate: {rate}", lock.read_text(encoding="utf-8")), encoding="utf-8")


def test_it_is_named_with_what_brings_it_back_and_the_other_pipeline_is_tracked(pipeline: Path) -> None:
    root, other = pipeline.parents[1], pipeline.with_name("other")
    shutil.copytree(pipeline, other)
    assert press(root, "mirror")[0] == 0
    experiment = client(root).get_experiment_by_name("demo")
    assert experiment is not None
    client(root).delete_experiment(experiment.experiment_id)
    run_again(pipeline, "0.2")
    run_again(other, "0.2")

    status, printed = press(root, "mirror")
    assert status == 1
    deleted, tracked = sorted(printed.splitlines())  # "run: demo: …" before "run: other -> …"
    assert deleted.startswith("run: demo: somebody deleted the experiment demo in MLflow")
    assert f"mlflow experiments restore --experiment-id {experiment.experiment_id}`" in deleted
    assert tracked.startswith("run: other -> MLflow run ")
    status, printed = press(root, "mirror", "after-run")  # `make run` has done its work, and says it too
    assert status == 0
    assert deleted in printed
    assert "run: other is in MLflow already" in printed
    for asked in ({"model": "demo"}, {"file": "pipelines/demo/metrics.json"}):
        status, printed = press(root, "why", **asked)
        assert (status, printed) == (1, deleted.replace("run: demo", "why") + "\n")

    # the remedy, as it stands in the message
    (root / ".venv/bin").mkdir(parents=True)
    (root / ".venv/bin/mlflow").symlink_to(Path(sys.executable).with_name("mlflow"))
    remedy = re.search("`(.*? restore .*?)`", deleted)
    assert remedy
    subprocess.run(["sh", "-ec", remedy[1]], cwd=root, check=True, stdout=subprocess.DEVNULL)
    status, printed = press(root, "mirror")
    assert status == 0
    assert "run: demo -> MLflow run " in printed
    assert "run: other is in MLflow already" in printed
    rates = [run.data.params["train.rate"] for run in client(root).search_runs([experiment.experiment_id])]
    assert sorted(rates) == ["0.1", "0.2"]
    assert press(root, "why", model="demo")[0] == 0
