"""Bring the results of every pipeline into MLflow: one run per pipeline and distinct `dvc.lock`.

DVC holds the truth; this makes it easy to look at. Pressed twice it adds nothing, and what it could not bring today it
brings tomorrow, because it starts from the files and not from memory. A marker in DVC's temporary folder remembers what a store
was seen to hold, so that `make run` with nothing new spends no seconds on importing MLflow; `make run TRACK=only` asks MLflow
itself, where a run may have been deleted, or an older backup restored.
"""

import hashlib
import json
import sys
from collections.abc import Sequence
from pathlib import Path

from onebutton_contracts.errors import InputError
from onebutton_tracking.commit import Commit, find_origin, holding_commit
from onebutton_tracking.results import collect, lock_digest
from onebutton_tracking.store import (
    DIRTY_TAG,
    SOURCES_TAG,
    DeletedError,
    StoreError,
    alone,
    at_most,
    check_there,
    connect,
    find_runs,
    is_finished,
    shown,
)

PATIENCE = 60  # seconds that `make run` waits for MLflow


def _read_marker(file: Path) -> dict[str, str]:
    """Read which run MLflow was seen to hold, whole and once; empty where nothing can be read.

    It has `lock`, the digest of the `dvc.lock`; `run`, its id; and of a dirty run `sources`, their digest.
    """
    try:
        found: dict[str, str] = json.loads(file.read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return {}
    return found if {"lock", "run", "sources"} == set(found) else {}


def mirror(folder: Path, uri: str, *, just_run: bool = False) -> str:
    """Bring one pipeline's results into MLflow, unless they are there; return the line that says what happened.

    Of several runs of one `dvc.lock`, which mirrors on different machines may write at once, the oldest is completed and stays.

    Args:
        folder: of the pipeline.
        uri: of MLflow's store.
        just_run: whether DVC has just found sources and results to agree; then the marker is enough.

    Raises:
        InputError: the results are not complete, the experiment was deleted in MLflow, or the store cannot be used.
    """
    digest, store = lock_digest(folder), hashlib.sha256(shown(uri).encode()).hexdigest()[:12]
    file = folder.parents[1] / ".dvc/tmp/onebutton-mlflow" / store / f"{folder.name}.json"

    def gained(sources: str) -> Commit | None:
        """Find the commit that has come to hold the sources of a dirty run."""
        return holding_commit(folder, digest, sources, just_run=just_run)

    seen = _read_marker(file) if just_run else {}
    if seen.get("lock") == digest and not gained(seen["sources"]):
        return _already(folder, seen)
    check_there(uri, to_write=True)
    with alone(uri), connect(uri) as client:
        from onebutton_tracking import entry

        runs = find_runs(client, folder.name, digest)
        if not runs or not is_finished(runs[0]):  # none, or one that a killed mirror left
            results = collect(folder)
            origin = find_origin(folder, digest, just_run=just_run)
            return entry.bring(client, results, origin, uri, runs)
        entry.settle(client, runs)
        run_id, tags = runs[0].info.run_id, runs[0].data.tags
        sources = tags.get(SOURCES_TAG, "") if tags.get(DIRTY_TAG) == "true" else ""
        seen = {"lock": digest, "run": run_id, "sources": sources}
        if commit := gained(sources):
            entry.gain_commit(client, runs[0], commit)
            return f"{folder.name} is in MLflow already, run {run_id[:8]}; its sources are now commit {commit.sha[:8]}"
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(json.dumps(seen), encoding="utf-8")
        return _already(folder, seen)


def _already(folder: Path, seen: dict[str, str]) -> str:
    kept = "; its sources are in no commit yet, MLflow keeps the patch" if seen["sources"] else ""
    return f"{folder.name} is in MLflow already, run {seen['run'][:8]}{kept}"


def mirror_all(folders: Sequence[Path], uri: str, *, after_run: bool = False) -> int:
    """Mirror pipelines and say one line for each; return the exit status.

    After `make run` the results are what counts, and they are safe: MLflow's troubles are told and fail nothing.
    """
    status = 0
    try:
        with at_most(PATIENCE if after_run else 0, uri):
            for folder in folders:
                try:
                    print(f"run: {mirror(folder, uri, just_run=after_run)}", flush=True)
                except StoreError:
                    raise  # the next pipeline would meet the same
                except InputError as error:
                    print(f"run: {folder.name}: {error}", file=sys.stderr)
                    status |= not (after_run and isinstance(error, DeletedError))
    except StoreError as error:
        words = "The results are safe in DVC; the next `make run` brings them later"
        print(f"run: MLflow is behind: {error}. {words}", file=sys.stderr)
        return status if after_run else 1
    return status
