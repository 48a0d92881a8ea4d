"""Bring the results of every pipeline into MLflow: one run per pipeline and distinct `dvc.lock`.

DVC holds the truth; this makes it easy to look at. Pressed twice it adds nothing, and what it could not bring today it
brings tomorrow, because it starts from the files and not from memory.
"""

from __future__ import annotations

import sys
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from onebutton_contracts.errors import InputError
from onebutton_tracking.commit import Commit
from onebutton_tracking.marker import Marker, recall, remember
from onebutton_tracking.origin import commit_for, find_origin
from onebutton_tracking.results import collect, lock_digest
from onebutton_tracking.store import (
    DIRTY_TAG,
    LOCK_TAG,
    SOURCES_TAG,
    DeletedError,
    StoreError,
    TooSlowError,
    alone,
    at_most,
    check_writable,
    find_runs,
    is_finished,
    open_store,
    refusals,
    shown,
)

if TYPE_CHECKING:
    from mlflow import MlflowClient
    from mlflow.entities import Run

PATIENCE = 60  # seconds that `make run` waits for MLflow


def mirror(folder: Path, uri: str, *, just_run: bool = False) -> str:
    """Bring one pipeline's results into MLflow, unless they are there.

    Of several runs of one `dvc.lock`, which mirrors on different machines may write at once, the oldest is completed and stays.

    Args:
        folder: of the pipeline.
        uri: of MLflow's store.
        just_run: whether DVC has just found sources and results to agree; then what was remembered of them is enough.

    Returns:
        One line that says what happened.

    Raises:
        InputError: the results are not complete.
        DeletedError: the pipeline's experiment was deleted in MLflow.
        StoreError: the store cannot be used.
    """
    digest = lock_digest(folder)
    seen = recall(folder, uri) if just_run else None
    if seen and seen.lock_digest == digest and not _new_commit(folder, seen, just_run=just_run):
        return _already(folder, seen)
    check_writable(uri)
    with refusals(uri), alone(uri):
        client = open_store(uri)
        runs = find_runs(client, folder.name, digest)
        if runs and is_finished(runs[0]):
            return _confirm(client, folder, uri, runs, just_run=just_run)
        return _bring(client, folder, uri, runs, just_run=just_run)


def _bring(client: MlflowClient, folder: Path, uri: str, runs: Sequence[Run], *, just_run: bool) -> str:
    """Write a run, or go on with the one that a killed mirror left."""
    from onebutton_tracking import entry

    results = collect(folder)
    if results.model and not results.model.is_file():
        message = f"{results.model} is not here. `make run` or `make pull` brings it"
        raise InputError(message)
    origin = find_origin(folder, results.lock_digest, just_run=just_run)
    experiment = entry.experiment_id(client, results, uri)
    run = runs[0] if runs else entry.create(client, experiment, results, origin)
    model = entry.write(client, run, results, origin)
    entry.settle(client, find_runs(client, results.pipeline, results.lock_digest))
    return f"{results.pipeline} -> MLflow run {run.info.run_id[:8]}{model}"


def _confirm(client: MlflowClient, folder: Path, uri: str, runs: Sequence[Run], *, just_run: bool) -> str:
    """Leave a whole run as it is, unless it is dirty and a commit has come to hold its sources."""
    from onebutton_tracking import entry

    entry.settle(client, runs)
    info, tags = runs[0].info, runs[0].data.tags
    dirty, sources = tags.get(DIRTY_TAG) == "true", tags.get(SOURCES_TAG, "")
    seen = Marker(tags[LOCK_TAG], str(info.run_id), str(info.experiment_id), dirty, sources)
    commit = _new_commit(folder, seen, just_run=just_run)
    if commit is None:
        remember(folder, uri, seen)
        return _already(folder, seen)
    entry.gain_commit(client, runs[0], commit)
    return f"{folder.name} is in MLflow already, run {seen.run_id[:8]}; its sources are now commit {commit.sha[:8]}"


def _new_commit(folder: Path, seen: Marker, *, just_run: bool) -> Commit | None:
    """Find the commit that has come to hold the sources of a dirty run; None where there is none, or the run is not dirty."""
    return commit_for(folder, seen.lock_digest, seen.sources, just_run=just_run) if seen.dirty else None


def _already(folder: Path, seen: Marker) -> str:
    kept = "; its sources are in no commit yet, MLflow keeps the patch" if seen.dirty else ""
    return f"{folder.name} is in MLflow already, run {seen.run_id[:8]}{kept}"


def mirror_all(folders: Sequence[Path], uri: str, *, after_run: bool = False) -> int:
    """Mirror pipelines and say one line for each; return the exit status.

    After `make run` the results are what counts, and they are safe: MLflow's troubles are told and fail nothing.

    Args:
        folders: of the pipelines.
        uri: of MLflow's store.
        after_run: whether DVC has just found sources and results to agree.
    """
    status = 0
    try:
        with at_most(PATIENCE if after_run else 0):
            for folder in folders:
                try:
                    print(f"run: {mirror(folder, uri, just_run=after_run)}", flush=True)
                except StoreError:
                    raise  # the next pipeline would meet the same
                except InputError as error:
                    print(f"run: {folder.name}: {error}", file=sys.stderr)
                    status |= not (after_run and isinstance(error, DeletedError))
    except StoreError as error:
        reason = str(error)
    except TooSlowError:
        reason = f"MLflow at {shown(uri)} did not finish within {PATIENCE} seconds"
    else:
        return status
    print(
        f"run: MLflow is behind: {reason}. The results are safe in DVC; the next `make run` brings them later",
        file=sys.stderr,
    )
    return status if after_run else 1
