"""Bring the results of every pipeline into MLflow: one run per pipeline and distinct `dvc.lock`.

DVC holds the truth; this makes it easy to look at. Pressed twice it adds nothing, and what it could not bring today it
brings tomorrow, because it starts from the files and not from memory.
"""

from __future__ import annotations

import signal
import sys
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from types import FrameType
from typing import TYPE_CHECKING

from onebutton_tracking.commit import Commit
from onebutton_tracking.marker import Marker, recall, remember
from onebutton_tracking.origin import Origin, commit_for, find_origin
from onebutton_tracking.results import DUMMY, Results, ResultsError, collect, lock_digest
from onebutton_tracking.store import (
    DIRTY_TAG,
    LOCK_TAG,
    SOURCES_TAG,
    DeletedError,
    StoreError,
    alone,
    check_writable,
    find_runs,
    is_finished,
    is_server,
    shown,
    tracking_uri,
)

if TYPE_CHECKING:
    from mlflow import MlflowClient
    from mlflow.entities import Run

PATIENCE = 60  # seconds that `make run` waits for MLflow
TRIES = 4  # of a mirror that meets others on a server
AGAIN = 0.5  # seconds after which a mirror that is too slow is told once more


class TooSlowError(BaseException):
    """MLflow took too long. No `except Exception` on the way may swallow it."""


def mirror(folder: Path, uri: str, *, just_run: bool = False) -> str:
    """Bring one pipeline's results into MLflow, unless they are there.

    Args:
        folder: of the pipeline.
        uri: of MLflow's store.
        just_run: whether DVC has just found sources and results to agree; then what was remembered of them is enough.

    Returns:
        One line that says what happened.

    Raises:
        ResultsError: the results are not complete.
        DeletedError: the pipeline's experiment was deleted in MLflow.
        StoreError: the store cannot be used.
    """
    digest = lock_digest(folder)
    known = recall(folder, shown(uri), digest) if just_run else None
    if known and not _new_commit(folder, known, just_run=just_run):
        return _already(folder, known)
    check_writable(uri)
    with refusals(uri):
        from onebutton_tracking import entry

        client = entry.open_store(uri)
        runs = find_runs(client, folder.name, digest)
        if len(runs) == 1 and is_finished(runs[0]):
            return _confirm(client, folder, uri, runs[0], just_run=just_run)
    results = collect(folder)
    if results.model and not results.model.is_file():
        message = f"{results.model} is not here. `make run` or `make pull` brings it"
        raise ResultsError(message)
    origin = find_origin(folder, digest, just_run=just_run)
    for _ in range(TRIES - 1 if is_server(uri) else 0):
        # Another mirror on the same server may have written the same at the same time, and tidied up after both: then the next
        # try finds that, or goes on from there, and may meet a third.
        with suppress(StoreError):
            return _bring(client, results, origin, uri)
    return _bring(client, results, origin, uri)


def _bring(client: MlflowClient, results: Results, origin: Origin, uri: str) -> str:
    """Write a run, and leave one where several wrote."""
    from onebutton_tracking import entry

    crowded = is_server(uri)
    with refusals(uri), alone(uri, results.pipeline):
        experiment = entry.experiment_id(client, results.pipeline, uri)
        run = entry.open_run(client, experiment, results, origin)
        model = entry.write(client, run, results, origin, crowded=crowded) if run else ""
        kept = entry.keep_one(client, experiment, results, crowded=crowded)
    if run is None:
        return f"{results.pipeline} is in MLflow already, run {kept[:8]}"
    return f"{results.pipeline} -> MLflow run {kept[:8]}{model}"


def _confirm(client: MlflowClient, folder: Path, uri: str, run: Run, *, just_run: bool) -> str:
    """Leave a whole run as it is, unless it is dirty and a commit has come to hold its sources."""
    from onebutton_tracking import entry

    tags = run.data.tags
    dirty, sources = tags.get(DIRTY_TAG) == "true", tags.get(SOURCES_TAG, "")
    marker = Marker(shown(uri), tags[LOCK_TAG], str(run.info.run_id), dirty, sources)
    commit = _new_commit(folder, marker, just_run=just_run)
    if commit is None:
        remember(folder, marker)
        return _already(folder, marker)
    entry.gain_commit(client, marker.run_id, Origin(marker.lock_digest, commit))
    return f"{folder.name} is in MLflow already, run {marker.run_id[:8]}; its sources are now commit {commit.sha[:8]}"


def _new_commit(folder: Path, marker: Marker, *, just_run: bool) -> Commit | None:
    """Find the commit that has come to hold the sources of a dirty run; None where there is none, or the run is not dirty."""
    if not marker.dirty:
        return None
    return commit_for(folder, marker.lock_digest, marker.sources, just_run=just_run)


def _already(folder: Path, marker: Marker) -> str:
    kept = "; its sources are in no commit yet, MLflow keeps the patch" if marker.dirty else ""
    return f"{folder.name} is in MLflow already, run {marker.run_id[:8]}{kept}"


@contextmanager
def refusals(uri: str) -> Iterator[None]:
    """Turn whatever MLflow, its database or its disk refuses into one line.

    Raises:
        StoreError: something was refused.
    """
    from importlib import metadata

    from alembic.util import CommandError
    from mlflow.exceptions import MlflowException
    from sqlalchemy.exc import SQLAlchemyError

    try:
        yield
    except (MlflowException, SQLAlchemyError, CommandError, OSError) as error:
        reason = " ".join(str(error).split())
        message = f"MLflow at {shown(uri)} refused: {reason[:300]}"
        if "database schema" in reason or isinstance(error, CommandError):
            message = (
                f"the database {shown(uri)} was made by another version of MLflow than the {metadata.version('mlflow')} here. "
                "A newer one wants `git pull` and `make setup`; an older one a backup and `mlflow db upgrade`"
            )
        raise StoreError(message) from None


@contextmanager
def at_most(seconds: float) -> Iterator[None]:
    """Stop whatever is done inside when it takes longer; 0 for as long as it takes.

    Raises:
        TooSlowError: it took longer.
    """

    def stop(_signal: int, _frame: FrameType | None) -> None:
        raise TooSlowError

    before = signal.signal(signal.SIGALRM, stop)
    # Again and again: where the first one is raised inside a finaliser, Python prints it and goes on, and would wait for ever.
    signal.setitimer(signal.ITIMER_REAL, seconds, AGAIN)
    try:
        yield
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, before)


def bring(folders: list[Path], uri: str, *, after_run: bool) -> int:
    """Mirror pipelines and say one line for each; return the exit status.

    After `make run` the results are what counts, and they are safe: MLflow's troubles are told and fail nothing.
    """
    status = 0
    try:
        with at_most(PATIENCE if after_run else 0):
            for folder in folders:
                try:
                    print(f"run: {mirror(folder, uri, just_run=after_run)}", flush=True)
                except ResultsError as error:
                    print(f"run: {folder.name}: {error}", file=sys.stderr)
                    status = 1
                except DeletedError as error:
                    print(f"run: {folder.name}: {error}", file=sys.stderr)
                    status = status if after_run else 1
    except StoreError as error:  # the next pipeline would meet the same
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


def mirror_all(root: Path, pipeline: str = "", *, dummy: bool = False, after_run: bool = False) -> int:
    """Mirror every pipeline, or the one that is named; return the exit status.

    Args:
        root: of the repo.
        pipeline: its name; all of them when empty.
        dummy: whether the copies that ran on dummy data are meant.
        after_run: whether DVC has just found sources and results to agree.

    Raises:
        ResultsError: there is no such pipeline.
    """
    paths = sorted(root.glob(f"{'.dummy' if dummy else 'pipelines'}/*/dvc.yaml"))
    folders = [path.parent for path in paths if pipeline in ("", path.parent.name.removesuffix(DUMMY))]
    if pipeline and not folders:
        known = ", ".join(path.parent.name for path in paths) or "(none yet)"
        message = f"there is no pipeline {pipeline!r}. PIPELINE can be: {known}"
        raise ResultsError(message)
    return bring(folders, tracking_uri(root), after_run=after_run)
