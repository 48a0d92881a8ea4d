"""Where MLflow keeps its runs, whether it can be used, and what it holds of a `dvc.lock`."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from shlex import quote
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from mlflow import MlflowClient
    from mlflow.entities import Experiment, Run

from onebutton_contracts.errors import InputError

LOCK_TAG = "onebutton.dvc_lock"
PIPELINE_TAG = "onebutton.pipeline"
DIRTY_TAG = "onebutton.dirty"
SOURCES_TAG = "onebutton.sources"
DEFAULT_DATABASE = "mlflow.db"
PATIENCE = 5  # seconds until a server or database that does not answer counts as down


class StoreError(InputError):
    """MLflow's store cannot be used; the message says why and what mends it."""


class DeletedError(StoreError):
    """The experiment of one pipeline was deleted; the others are not affected. The message says what brings it back."""


def tracking_uri(root: Path) -> str:
    """Return the store in use: `MLFLOW_TRACKING_URI`, or else a SQLite file at the root of the repo."""
    return os.environ.get("MLFLOW_TRACKING_URI") or f"sqlite:///{root.resolve() / DEFAULT_DATABASE}"


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


def check_writable(uri: str) -> None:
    """Refuse a store that cannot be written, before anything is begun.

    Raises:
        StoreError: the SQLite file or its folder is read-only, missing or locked, or the file is no database; or nothing answers.
    """
    file = sqlite_file(uri)
    if file is None:
        _check_answers(uri)
        return
    import sqlite3

    try:
        with closing(sqlite3.connect(f"file:{file}?mode=rwc", uri=True, timeout=10)) as database:
            database.execute("BEGIN IMMEDIATE")
            database.rollback()
    except sqlite3.Error as error:
        message = (
            f"MLflow's database {file} cannot be written ({error}). "
            "Make the file writable, or name another store in MLFLOW_TRACKING_URI"
        )
        raise StoreError(message) from None


def check_there(uri: str) -> None:
    """Refuse to read from a store that is not there: MLflow would make an empty one, or wait for minutes.

    Raises:
        StoreError: there is no such file, or nothing answers.
    """
    file = sqlite_file(uri)
    if file and not (file.is_file() and file.stat().st_size):
        message = f"there is no {file.name} yet, so nothing is known of any run. `make run` makes it"
        raise StoreError(message)
    _check_answers(uri)


def _check_answers(uri: str) -> None:
    """Knock at a server or a PostgreSQL; any answer will do, a refusal is for MLflow's own client to tell."""
    if uri.startswith("postgresql"):
        connect_postgresql(uri).close()
    if not is_server(uri):
        return
    from http.client import HTTPException
    from ssl import SSLError
    from urllib.error import HTTPError
    from urllib.request import urlopen

    try:
        urlopen(uri, timeout=PATIENCE).close()  # noqa: S310  is_server has looked at the scheme
    except HTTPError as error:
        error.close()  # it holds the connection
    except (OSError, HTTPException) as error:
        if isinstance(getattr(error, "reason", None), SSLError):
            return  # MLflow's client may know the team's own certificates
        message = f"the server {shown(uri)} does not answer ({error})"
        raise StoreError(message) from None


def find_experiment(client: MlflowClient, pipeline: str) -> Experiment | None:
    """Return the experiment of a pipeline; None before its first run.

    Raises:
        DeletedError: somebody deleted it in MLflow, which then takes no run of that name.
    """
    found = client.get_experiment_by_name(pipeline)
    if found and found.lifecycle_stage == "deleted":
        uri = client.tracking_uri
        where = f"MLFLOW_TRACKING_URI={quote(uri)} " if sqlite_file(uri) else ""  # others are in the shell
        message = (
            f"somebody deleted the experiment {pipeline} in MLflow, so its runs can be neither read nor written. "
            f"`{where}.venv/bin/mlflow experiments restore --experiment-id {found.experiment_id}` brings it back "
            "with its runs; then `make run TRACK=only`"
        )
        raise DeletedError(message)
    return found


def find_runs(client: MlflowClient, pipeline: str, lock_digest: str) -> list[Run]:
    """List the runs of a pipeline's `dvc.lock`, finished or not.

    Raises:
        DeletedError: its experiment was deleted.
    """
    experiment = find_experiment(client, pipeline)
    wanted = f"tags.`{LOCK_TAG}` = '{lock_digest}' AND tags.`{PIPELINE_TAG}` = '{pipeline}'"
    return list(client.search_runs([experiment.experiment_id], wanted)) if experiment else []


def is_finished(run: Run) -> bool:
    """Tell whether a run was written to its end: only then it counts as there."""
    return str(run.info.status) == "FINISHED"


def connect_postgresql(uri: str) -> Any:
    """Open a PostgreSQL database; every statement counts at once.

    Raises:
        StoreError: it does not answer.
    """
    import psycopg

    plain = "postgresql://" + uri.partition("://")[2]  # SQLAlchemy's `postgresql+psycopg` names a driver
    try:
        return psycopg.connect(plain, connect_timeout=PATIENCE, autocommit=True)
    except psycopg.OperationalError as error:
        message = f"the database {shown(uri)} does not answer ({' '.join(str(error).split())[:200]})"
        raise StoreError(message) from None


@contextmanager
def alone(uri: str, what: str) -> Iterator[None]:
    """Keep every other mirror out of a database while this one writes; the end of the program, however it comes, lets them in.

    A server offers no such thing: there, mirrors agree afterwards which of two runs stays.

    Args:
        uri: of the store.
        what: is written; on PostgreSQL, different things go side by side.

    Raises:
        StoreError: the store does not answer.
    """
    if file := sqlite_file(uri):
        import fcntl

        with file.with_name(f"{file.name}.lock").open("w") as guard:
            fcntl.flock(guard, fcntl.LOCK_EX)
            yield
    elif uri.startswith("postgresql"):
        with connect_postgresql(uri) as database:
            database.execute("SELECT pg_advisory_lock(hashtextextended(%s, 0))", (f"onebutton {what}",))
            yield
    else:
        yield
