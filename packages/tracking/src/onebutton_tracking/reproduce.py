"""Make the results of a run again, from its commit and nothing else, and compare every output. The work of `make reproduce`.

A worktree at that commit, the locked environment, every stage by force: the person's own tree is not touched, and the worktree is
gone afterwards.
"""

from __future__ import annotations

import hashlib
import os
import tempfile
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from onebutton_contracts.dvc_files import read_stages, read_yaml
from onebutton_contracts.errors import InputError
from onebutton_tracking import lookup
from onebutton_tracking.commit import git
from onebutton_tracking.comparison import DIFFERENT, Comparison, compare, page, read_by
from onebutton_tracking.entry import COMMIT_TAG, PATCH
from onebutton_tracking.results import CURVES, collect
from onebutton_tracking.store import (
    DIRTY_TAG,
    LOCK_TAG,
    PIPELINE_TAG,
    StoreError,
    check_there,
    connect,
    tracking_uri,
)
from onebutton_tracking.worktree import Record, check_possible, prepare, run_stages, worktree

if TYPE_CHECKING:
    from mlflow import MlflowClient
    from mlflow.entities import Run


def records(root: Path, *, run: str = "", model: str = "") -> list[Record]:
    """Find what was asked for: a run, a model, or when nothing was typed every pipeline's champion.

    Where MLflow knows none, it is what the last commit holds: a clone without MLflow can be held to its results as well.

    Raises:
        InputError: it is not there.
        StoreError: MLflow does not answer.
    """
    if run and model:
        raise InputError("RUN and MODEL each say what to make again: type one of them")
    uri, sha = tracking_uri(root), git("rev-parse", "HEAD", folder=root).strip()
    names = sorted(path.parent.name for path in root.glob("pipelines/*/dvc.lock"))
    committed = {name: Record(f"{name} at the last commit", name, sha) for name in names}
    try:
        check_there(uri)
    except StoreError:
        if run or model or os.environ.get("MLFLOW_TRACKING_URI"):
            raise
        return list(committed.values())
    with connect(uri) as client:
        if run:
            found = lookup.find_run(client, run)
            return [_record(client, found, f"run {found.info.run_id[:8]}")]
        registered = {one.name for one in client.search_registered_models()}
        if model:
            return [_champion(client, model)]
        return [_champion(client, name) if name in registered else committed[name] for name in names]


def _champion(client: MlflowClient, text: str) -> Record:
    subject = lookup.find_model(client, text)
    version = f"{subject.version.name} version {subject.version.version}" if subject.version else text
    return _record(client, subject.run, version)


def _record(client: MlflowClient, run: Run, name: str) -> Record:
    tags = run.data.tags
    dirty = tags.get(DIRTY_TAG) == "true"
    return Record(
        name=name,
        pipeline=tags[PIPELINE_TAG],
        sha=tags.get(COMMIT_TAG, ""),
        patch=_artifact(client, run, PATCH) if dirty else "",
        dirty=dirty,
        lock=_artifact(client, run, "sources/dvc.lock"),
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


def _other_inputs(lock: Mapping[str, Any], folder: Path) -> list[str]:
    """Name the inputs whose bytes are not those that a `dvc.lock` recorded: DVC takes what stands in its cache at its word."""
    words = "does not hold the bytes that were recorded; somebody changed it in the cache"
    return [
        f"the input {path} {words}"
        for path, digest in read_by(lock).items()
        if (folder / path).is_file() and hashlib.md5((folder / path).read_bytes()).hexdigest() != digest  # noqa: S324  DVC's own
    ]


def reproduce(record: Record, root: Path) -> Comparison:
    """Make the results of a record again and compare."""
    check_possible(record, root)
    patched = " and its patch" if record.patch else ""
    print(f"reproduce: {record.name} from commit {record.sha[:12]}{patched}, in a worktree", flush=True)
    with worktree(root, record.sha) as tree:
        folder = tree / "pipelines" / record.pipeline
        notes = prepare(record, tree, root)
        then = read_stages(folder / "dvc.lock")
        notes += _other_inputs(then, folder)
        before = collect(folder).metrics if record.metrics is None else record.metrics
        ran = run_stages(record, tree)
        now = read_stages(folder / "dvc.lock")
        found = compare(then, now, before, collect(folder).metrics, tolerance(folder))
        notes += [f"{stage} did not run" for stage in sorted(set(now) - ran)]
    if notes:
        return Comparison(DIFFERENT, found.rows, (*notes, *found.reasons))
    print(f"reproduce: {len(ran)} of {len(now)} stages ran", flush=True)
    return found


def tolerance(folder: Path) -> float:
    """Read how much a metric may differ off `params.yaml`: `reproduce.tolerance`; 0 where it does not say."""
    file = folder / "params.yaml"
    section = read_yaml(file).get("reproduce") if file.is_file() else None
    return float(section["tolerance"]) if isinstance(section, dict) and "tolerance" in section else 0.0


def reproduce_all(*, root: Path, run: str = "", model: str = "") -> int:
    """Make again a run or a model, or every champion; print a table and a verdict for each, and return the exit status.

    Raises:
        InputError: the run or the model is not there, or one could not be made again.
    """
    status = 0
    for record in records(root, run=run, model=model):
        found = reproduce(record, root)
        print(page(found))
        why = f": {'; '.join(found.reasons[:5])}" if found.reasons else ""
        print(f"reproduce: {record.name} is {found.verdict}{why}", flush=True)
        status |= found.verdict == DIFFERENT
    return status
