"""What is to be made again: a run as MLflow keeps it, or what the last commit holds."""

from __future__ import annotations

import os
import tempfile
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

from onebutton_tracking import lookup
from onebutton_tracking.commit import git
from onebutton_tracking.entry import COMMIT_TAG, PATCH
from onebutton_tracking.lookup import UnknownError
from onebutton_tracking.results import CURVES
from onebutton_tracking.store import (
    DIRTY_TAG,
    LOCK_TAG,
    PIPELINE_TAG,
    StoreError,
    check_there,
    open_store,
    refusals,
    tracking_uri,
)

if TYPE_CHECKING:
    from mlflow import MlflowClient
    from mlflow.entities import Run

LOCK = "sources/dvc.lock"


@dataclass(frozen=True)
class Record:
    """What is to be made again.

    Attributes:
        name: for people: a run, a model version or a commit.
        sha: the commit.
        patch: from the commit to the sources; empty unless the run was dirty.
        dirty: whether its sources were in no commit.
        lock: the text of its `dvc.lock`; empty for a commit, and where nobody kept it.
        lock_digest: of that text; empty for a commit.
        uv_lock: digest of its `uv.lock`; empty where nobody wrote it down.
        metrics: by dotted name; None for those of the commit.
    """

    name: str
    pipeline: str
    sha: str
    patch: str = ""
    dirty: bool = False
    lock: str = ""
    lock_digest: str = ""
    uv_lock: str = ""
    metrics: dict[str, float] | None = field(default=None)


def record_of_run(client: MlflowClient, run: Run, name: str) -> Record:
    """Read what is to be made again off a run."""
    tags = run.data.tags
    return Record(
        name=name,
        pipeline=tags[PIPELINE_TAG],
        sha=tags.get(COMMIT_TAG, ""),
        patch=_artifact(client, run, PATCH) if tags.get(DIRTY_TAG) == "true" else "",
        dirty=tags.get(DIRTY_TAG) == "true",
        lock=_artifact(client, run, LOCK),
        lock_digest=tags[LOCK_TAG],
        uv_lock=tags.get("onebutton.uv_lock", ""),
        metrics={name: number for name, number in run.data.metrics.items() if not name.startswith(CURVES)},
    )


def _artifact(client: MlflowClient, run: Run, path: str) -> str:
    """Return the text of a file that the mirror kept; empty when it kept none."""
    folder, _, _ = path.rpartition("/")
    if path not in {entry.path for entry in client.list_artifacts(run.info.run_id, folder)}:
        return ""
    with tempfile.TemporaryDirectory(prefix="onebutton-artifact-") as scratch:
        file = Path(client.download_artifacts(run.info.run_id, path, scratch))
        return file.read_bytes().decode("utf-8", "surrogateescape")


def records(root: Path, asked: Mapping[str, str]) -> list[Record]:
    """Find what was asked for: a run, a model, or when nothing was typed every pipeline's champion.

    Where MLflow knows none, it is what the last commit holds: a clone without MLflow can be held to its results as well.

    Raises:
        UnknownError: it is not there.
        StoreError: MLflow does not answer.
    """
    uri = tracking_uri(root)
    names = sorted(path.parent.name for path in root.glob("pipelines/*/dvc.lock"))
    sha = git("rev-parse", "HEAD", folder=root).strip()
    committed = {name: Record(f"{name} at the last commit", name, sha) for name in names}
    try:
        check_there(uri)
    except StoreError:
        if asked or os.environ.get("MLFLOW_TRACKING_URI"):
            raise
        return list(committed.values())
    with refusals(uri):
        client = open_store(uri)
        if len(asked) > 1:
            raise UnknownError("RUN and MODEL each say what to make again: type one of them")
        if text := asked.get("RUN"):
            run = lookup.find_run(client, text)
            return [record_of_run(client, run, f"run {run.info.run_id[:8]}")]
        registered = {model.name for model in client.search_registered_models()}
        found = []
        for text in [asked["MODEL"]] if asked else names:
            if not asked and text not in registered:
                found.append(committed[text])
                continue
            subject = lookup.find_model(client, text)
            version = subject.version.version if subject.version else "?"
            found.append(
                record_of_run(client, subject.run, f"{text.partition('@')[0].partition('/')[0]} version {version}")
            )
        return found
