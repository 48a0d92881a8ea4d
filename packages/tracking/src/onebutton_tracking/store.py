"""Where MLflow keeps its runs, and what it holds of a `dvc.lock`: answered without importing MLflow, which takes seconds."""

from __future__ import annotations

import base64
import json
import os
import sqlite3
from collections.abc import Iterator
from contextlib import closing, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from onebutton_contracts.errors import InputError

LOCK_TAG = "onebutton.dvc_lock"
PIPELINE_TAG = "onebutton.pipeline"
DIRTY_TAG = "onebutton.dirty"
SOURCES_TAG = "onebutton.sources"
DEFAULT_DATABASE = "mlflow.db"
PATIENCE = 5  # seconds until a server that does not answer counts as down
WANTED = (LOCK_TAG, PIPELINE_TAG, DIRTY_TAG, SOURCES_TAG)


class StoreError(InputError):
    """MLflow's store cannot be used; the message says why and what mends it."""


@dataclass(frozen=True)
class Found:
    """A run of a `dvc.lock` that MLflow holds.

    Attributes:
        started: milliseconds since 1970.
        tags: those of `WANTED`.
    """

    run_id: str
    status: str
    started: int
    tags: dict[str, str] = field(default_factory=dict)

    @property
    def finished(self) -> bool:
        """Only a whole run counts as there."""
        return self.status == "FINISHED"

    @property
    def dirty(self) -> bool:
        """Whether its sources were in no commit."""
        return self.tags.get(DIRTY_TAG) == "true"


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
    """Whether an MLflow server answers there, rather than a database."""
    return uri.startswith(("http://", "https://"))


def check_writable(uri: str) -> None:
    """Refuse a SQLite file that cannot be written or made, before anything is begun.

    Raises:
        StoreError: the file or its folder is read-only, missing or locked, or the file is no database.
    """
    file = sqlite_file(uri)
    if file is None:
        return
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
        StoreError: there is no such file, or the server does not answer.
    """
    file = sqlite_file(uri)
    if file and not (file.is_file() and file.stat().st_size):
        message = f"there is no {file.name} yet, so nothing is known of any run. `make run` makes it"
        raise StoreError(message)
    find_runs(uri, "", "")


def find_runs(uri: str, pipeline: str, lock_digest: str) -> list[Found] | None:
    """List the runs of a pipeline's `dvc.lock`; None when only MLflow itself can tell.

    Raises:
        StoreError: the store does not answer.
    """
    if is_server(uri):
        return _ask_server(uri, pipeline, lock_digest)
    if uri.startswith("postgresql"):
        return _ask_postgresql(uri, pipeline, lock_digest)
    file = sqlite_file(uri)
    return None if file is None else _ask_sqlite(file, pipeline, lock_digest)


_QUERY = """
SELECT runs.run_uuid, runs.status, runs.start_time, tags.key, tags.value FROM runs JOIN tags ON tags.run_uuid = runs.run_uuid
WHERE runs.lifecycle_stage = 'active' AND tags.key IN ({keys}) AND runs.run_uuid IN
 (SELECT lock.run_uuid FROM tags AS lock JOIN tags AS pipe ON pipe.run_uuid = lock.run_uuid
  WHERE lock.key = {mark} AND lock.value = {mark} AND pipe.key = {mark} AND pipe.value = {mark})
"""


def _question(mark: str, pipeline: str, lock_digest: str) -> tuple[str, tuple[str, ...]]:
    keys = ", ".join([mark] * len(WANTED))
    return _QUERY.format(keys=keys, mark=mark), (*WANTED, LOCK_TAG, lock_digest, PIPELINE_TAG, pipeline)


def _found(rows: list[tuple[Any, ...]]) -> list[Found]:
    runs: dict[str, Found] = {}
    for run_id, status, started, key, value in rows:
        runs.setdefault(run_id, Found(run_id, status, started or 0)).tags[key] = value
    return list(runs.values())


def _ask_sqlite(file: Path, pipeline: str, lock_digest: str) -> list[Found]:
    if not file.is_file():
        return []
    try:
        with closing(sqlite3.connect(f"file:{file}?mode=ro", uri=True, timeout=10)) as database:
            return _found(database.execute(*_question("?", pipeline, lock_digest)).fetchall())
    except sqlite3.Error:  # not yet MLflow's tables, or no database: writing will say
        return []


def _ask_postgresql(uri: str, pipeline: str, lock_digest: str) -> list[Found]:
    import psycopg

    try:
        with connect_postgresql(uri) as database:
            return _found(database.execute(*_question("%s", pipeline, lock_digest)).fetchall())
    except psycopg.errors.UndefinedTable:
        return []  # MLflow makes its tables when it first writes


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


def _ask_server(uri: str, pipeline: str, lock_digest: str) -> list[Found]:
    from urllib.parse import quote

    experiment = _call(uri, f"experiments/get-by-name?experiment_name={quote(pipeline)}")
    if not experiment:
        return []
    search = {
        "experiment_ids": [experiment["experiment"]["experiment_id"]],
        "filter": f"tags.`{LOCK_TAG}` = '{lock_digest}' AND tags.`{PIPELINE_TAG}` = '{pipeline}'",
    }
    runs = _call(uri, "runs/search", search).get("runs", [])
    return [
        Found(
            run["info"]["run_id"],
            run["info"]["status"],
            int(run["info"].get("start_time", 0)),
            {tag["key"]: tag["value"] for tag in run["data"].get("tags", []) if tag["key"] in WANTED},
        )
        for run in runs
    ]


def _call(uri: str, path: str, body: dict[str, Any] | None = None) -> dict[str, Any]:
    """Call a server as MLflow's own client would; an empty answer when the thing does not exist."""
    from urllib.error import HTTPError, URLError
    from urllib.request import Request, urlopen

    data = json.dumps(body).encode() if body else None
    request = Request(f"{uri.rstrip('/')}/api/2.0/mlflow/{path}", data, {"Content-Type": "application/json"})  # noqa: S310  is_server has looked at the scheme
    if token := os.environ.get("MLFLOW_TRACKING_TOKEN"):
        request.add_header("Authorization", f"Bearer {token}")
    elif user := os.environ.get("MLFLOW_TRACKING_USERNAME"):
        secret = f"{user}:{os.environ.get('MLFLOW_TRACKING_PASSWORD', '')}"
        request.add_header("Authorization", f"Basic {base64.b64encode(secret.encode()).decode()}")
    try:
        with urlopen(request, timeout=PATIENCE) as answer:  # noqa: S310
            content: dict[str, Any] = json.loads(answer.read())
            return content
    except HTTPError as error:
        error.close()  # it holds the connection
        if error.code == 404:  # noqa: PLR2004  RESOURCE_DOES_NOT_EXIST
            return {}
        message = f"the server {shown(uri)} refuses: {error.code} {error.reason}"
    except (URLError, OSError) as error:
        message = f"the server {shown(uri)} does not answer ({error})"
    except ValueError:
        message = f"{shown(uri)} answers, but is no MLflow server"
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
