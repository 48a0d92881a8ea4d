"""Where a release comes from: commit, data, parameters, environment, and the MLflow run behind it."""

from __future__ import annotations

import hashlib
import platform
from contextlib import suppress
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from onebutton_contracts.dvc_files import read_stages
from onebutton_contracts.errors import InputError
from onebutton_evaluation.gatekeeping import is_draft
from onebutton_release.environments import who
from onebutton_serving.history import now
from onebutton_tracking.commit import git, read_commit
from onebutton_tracking.lookup import run_of_lock
from onebutton_tracking.results import file_digest, locked_code, locked_digests, produced_files
from onebutton_tracking.store import tracking_uri

FORMAT = b"release 1"


def version_of(folder: Path) -> str:
    """Name the release that a pipeline's results make: the day of the commit, and the start of a digest of all it is made of.

    The same results always have the same name, so a release is built once.
    """
    try:
        lock = (folder / "dvc.lock").read_bytes()
    except OSError:
        message = (
            f"{folder.name} was never run: there is no {folder / 'dvc.lock'}. `make run PIPELINE={folder.name}` does it"
        )
        raise InputError(message) from None
    day = git("log", "-1", "--format=%cs", "--", "dvc.lock", folder=folder).strip()
    if not day:  # never committed, so it is dated by the day of the run
        day = datetime.fromtimestamp((folder / "dvc.lock").stat().st_mtime, UTC).date().isoformat()
    draft = b"draft" if is_draft(folder) else b""
    file = folder / "release.toml"
    lines = file.read_bytes().splitlines(keepends=True) if file.is_file() else []
    beside = b"".join(line for line in lines if not line.startswith(b"port"))  # which is no part of a release
    digest = hashlib.sha256(FORMAT + lock + beside + draft).hexdigest()
    return f"{day.replace('-', '')}-{digest[:8]}"


def provenance(folder: Path, root: Path) -> dict[str, Any]:
    """Write down what made the release of the results in a pipeline's folder."""
    lock = read_stages(folder / "dvc.lock")
    lock_digest = file_digest(folder / "dvc.lock")
    commit, _ = read_commit(folder, produced_files(folder))
    run = ""
    with suppress(Exception):  # MLflow is away, which must not stop a release
        run = run_of_lock(tracking_uri(root), folder.name, lock_digest)
    return {
        "pipeline": folder.name,
        "commit": commit.sha,
        "branch": commit.branch,
        "dirty": commit.dirty,
        "sources": commit.sources,
        "built_at": now(),
        "built_by": who().name,
        "python": platform.python_version(),
        "machine": platform.machine(),
        "dvc.lock": lock_digest,
        "uv.lock": file_digest(root / "uv.lock"),
        "params.yaml": file_digest(folder / "params.yaml"),
        "data": locked_digests(lock),
        "code": locked_code(lock),
        "mlflow_run": run,
    }
