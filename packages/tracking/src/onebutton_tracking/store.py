"""Which MLflow is used, whether it answers, how its troubles are told, and which runs it holds of a `dvc.lock`."""

from __future__ import annotations

import hashlib
import os
import signal
import tempfile
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from shlex import quote
from types import FrameType
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from mlflow import MlflowClient
    from mlflow.entities import Experiment, Run

from onebutton_contracts.errors import InputError

LOCK_TAG = "onebutton.dvc_lock"
PIPELINE_TAG = "onebutton.pipeline"
DIRTY_TAG = "onebutton.dirty"
SOURCES_TAG = "onebutton.sources"
VIEW = "onebutton"  # what a link to the table of runs names, whose columns a tag of the experiment lists
ANSWER = 5  # seconds until a server or database that does not answer counts as down
AGAIN = 0.5  # seconds after which what is too slow is told once more
# A team's server that hangs must not hold `make run` for the ten minutes that MLflow would wait.
SETTINGS = {
    "MLFLOW_UV_AUTO_DETECT": "false",  # else the whole uv.lock is logged with every model
    "MLFLOW_HTTP_REQUEST_TIMEOUT": "20",
    "MLFLOW_HTTP_REQUEST_MAX_RETRIES": "2",
    "MLFLOW_SUPPRESS_PRINTING_URL_TO_STDOUT": "true",
    "MLFLOW_ENABLE_ARTIFACTS_PROGRESS_BAR": "false",
}


class StoreError(InputError):
    """MLflow's store cannot be used; the message says why and what mends it."""


class DeletedError(InputError):
    """The experiment of one pipeline was deleted; the others are not affected. The message says what brings it back."""


class _TooSlow(BaseException):
    pass


def tracking_uri(root: Path) -> str:
    """Return the store in use: `MLFLOW_TRACKING_URI`, or else a SQLite file at the root of the repo."""
    return os.environ.get("MLFLOW_TRACKING_URI") or f"sqlite:///{root.resolve() / 'mlflow.db'}"


def shown(uri: str) -> str:
    """Write a URI without its password."""
    scheme, mark, rest = uri.partition("://")
    return f"{scheme}{mark}{rest.rpartition('@')[2]}" if "@" in rest else uri


def sqlite_file(uri: str) -> Path | None:
    """Return the file behind a SQLite URI; None for any other store."""
    prefix = "sqlite:///"
    return Path(uri.removeprefix(prefix)) if uri.startswith(prefix) else None


def is_server(uri: str) -> bool:
    """Tell whether a URI names an MLflow server rather than a database."""
    return uri.startswith(("http://", "https://"))


def check_there(uri: str, *, to_write: bool = False) -> None:
    """Refuse a store that is not there or cannot be written, before MLflow is imported: it would make one, or wait for minutes.

    Raises:
        StoreError: the SQLite file is missing; to write, it is no database, or its folder is missing, locked or read-only; or
            nothing answers.
    """
    file = sqlite_file(uri)
    if file is None:
        _knock(uri)
        return
    if not to_write:
        if not _has_tables(file):
            raise StoreError(f"there is no {file.name} yet, so nothing is known of any run. `make run` makes it")
        return
    import sqlite3

    try:
        with closing(sqlite3.connect(f"file:{file}?mode=rwc", uri=True, timeout=10)) as database:
            database.execute("BEGIN IMMEDIATE")
            database.rollback()
    except sqlite3.Error as error:
        mend = "Make the file writable, or name another store in MLFLOW_TRACKING_URI"
        raise StoreError(f"MLflow's database {file} cannot be written ({error}). {mend}") from None


def _has_tables(file: Path) -> bool:
    return file.is_file() and file.stat().st_size > 0


def _knock(uri: str) -> None:
    """Knock at a server or a database; any answer will do, a refusal is for MLflow's own client to tell."""
    import socket
    from http.client import HTTPException
    from ssl import SSLError
    from urllib.error import HTTPError
    from urllib.parse import urlsplit
    from urllib.request import urlopen

    try:
        if is_server(uri):
            urlopen(uri, timeout=ANSWER).close()  # noqa: S310  is_server has looked at the scheme
        elif host := urlsplit(uri).hostname:
            socket.create_connection((host, urlsplit(uri).port or 5432), ANSWER).close()
    except HTTPError as error:
        error.close()  # it holds the connection
    except (OSError, HTTPException) as error:
        if not isinstance(getattr(error, "reason", None), SSLError):  # MLflow's client may know the team's certificates
            raise StoreError(f"{shown(uri)} does not answer ({error})") from None


@contextmanager
def connect(uri: str) -> Iterator[MlflowClient]:
    """Open a store, and turn whatever MLflow, its database or its disk refuses into one line, a StoreError."""
    from importlib import metadata

    from alembic.util import CommandError
    from mlflow.exceptions import MlflowException
    from sqlalchemy.exc import SQLAlchemyError

    try:
        yield open_store(uri)
    except (MlflowException, SQLAlchemyError, CommandError, OSError) as error:
        reason = " ".join(str(error).split())
        message = f"MLflow at {shown(uri)} refused: {reason[:300]}"
        if "database schema" in reason or isinstance(error, CommandError):
            mend = "A newer one wants `git pull` and `make setup`; an older one a backup and `mlflow db upgrade`"
            version = metadata.version("mlflow")
            message = f"the database {shown(uri)} was made by another version of MLflow than the {version} here. {mend}"
        raise StoreError(message) from None


@contextmanager
def at_most(seconds: float, uri: str) -> Iterator[None]:
    """Stop waiting for a store after some seconds, with a StoreError; 0 for as long as it takes."""

    def stop(_signal: int, _frame: FrameType | None) -> None:
        raise _TooSlow

    before = signal.signal(signal.SIGALRM, stop)
    # Again and again: where the first one is raised inside a finaliser, Python prints it and goes on, and would wait for ever.
    signal.setitimer(signal.ITIMER_REAL, seconds, AGAIN)
    try:
        yield
    except _TooSlow:
        raise StoreError(f"MLflow at {shown(uri)} did not finish within {seconds:g} seconds") from None
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, before)


@contextmanager
def alone(uri: str) -> Iterator[None]:
    """Let one mirror at a time write into a store from this machine; what two machines wrote at once, the next press settles."""
    import fcntl

    file, name = sqlite_file(uri), hashlib.sha256(uri.encode()).hexdigest()[:16]
    guard = Path(tempfile.gettempdir(), f"onebutton-mlflow-{os.getuid()}-{name}")
    with (file.with_name(f"{file.name}.lock") if file else guard).open("a") as held:
        fcntl.flock(held, fcntl.LOCK_EX)
        yield


def open_store(uri: str) -> MlflowClient:
    """Open MLflow's store, and set its tables up where there are none."""
    import logging

    for name, text in SETTINGS.items():
        os.environ.setdefault(name, text)
    import mlflow

    for name in ("alembic", "mlflow"):
        logging.getLogger(name).setLevel(logging.ERROR)  # they tell how they set up tables; errors are raised anyway
    mlflow.set_tracking_uri(uri)
    mlflow.set_registry_uri(uri)
    file = sqlite_file(uri)
    if file and not _has_tables(file):
        # Beside its place: tables that were cut off half-way would be refused for ever.
        draft = file.with_name(f"{file.name}.draft")
        for left in (draft, draft.with_name(f"{draft.name}-journal")):
            left.unlink(missing_ok=True)
        mlflow.MlflowClient(f"sqlite:///{draft}")
        draft.replace(file)
    return mlflow.MlflowClient(uri, uri)


def find_experiment(client: MlflowClient, pipeline: str) -> Experiment | None:
    """Return the experiment of a pipeline; None before its first run; refuse one that was deleted, which takes no run."""
    found = client.get_experiment_by_name(pipeline)
    if found and found.lifecycle_stage == "deleted":
        uri = client.tracking_uri
        where = f"MLFLOW_TRACKING_URI={quote(uri)} " if sqlite_file(uri) else ""  # others are in the shell
        restore = f"{where}.venv/bin/mlflow experiments restore --experiment-id {found.experiment_id}"
        raise DeletedError(
            f"somebody deleted the experiment {pipeline} in MLflow. `{restore}` brings it back; then `make run TRACK=only`"
        )
    return found


def find_runs(client: MlflowClient, pipeline: str, lock_digest: str) -> list[Run]:
    """List the runs of a pipeline's `dvc.lock`, finished or not, the oldest first."""
    experiment = find_experiment(client, pipeline)
    wanted = f"tags.`{LOCK_TAG}` = '{lock_digest}' AND tags.`{PIPELINE_TAG}` = '{pipeline}'"
    runs = client.search_runs([experiment.experiment_id], wanted) if experiment else []
    return sorted(runs, key=lambda run: (run.info.start_time, run.info.run_id))


def is_finished(run: Run) -> bool:
    """Tell whether a run was written to its end: only then it counts as there."""
    return str(run.info.status) == "FINISHED"
