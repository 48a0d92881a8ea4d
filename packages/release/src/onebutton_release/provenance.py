"""Where a release comes from: commit, data, parameters, environment, and the MLflow run behind it."""

from __future__ import annotations

import hashlib
import platform
from contextlib import suppress
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from onebutton_contracts.dvc_files import read_stages
from onebutton_evaluation.gatekeeping import is_draft
from onebutton_release.target import who
from onebutton_serving.history import now
from onebutton_tracking.commit import git, read_commit
from onebutton_tracking.lookup import run_of_lock
from onebutton_tracking.results import file_digest, lock_digest, locked_digests
from onebutton_tracking.store import tracking_uri

FORMAT = b"release 1"


def version_of(folder: Path) -> str:
    """Name the release that a pipeline's results make: the day of the commit, and the start of a digest of all it is made of.

    The same results always have the same name, so a release is built once.
    """
    lock_digest(folder)  # refuses a pipeline that was never run
    lock, file = folder / "dvc.lock", folder / "release.toml"
    day = git("log", "-1", "--format=%cs", "--", "dvc.lock", folder=folder).strip()
    if not day:  # never committed, so it is dated by the day of the run
        day = datetime.fromtimestamp(lock.stat().st_mtime, UTC).date().isoformat()
    lines = file.read_bytes().splitlines(keepends=True) if file.is_file() else []
    beside = b"".join(line for line in lines if not line.startswith(b"port"))  # which is no part of a release
    made_of = FORMAT + lock.read_bytes() + beside + (b"draft" if is_draft(folder) else b"")
    return f"{day.replace('-', '')}-{hashlib.sha256(made_of).hexdigest()[:8]}"


def provenance(folder: Path, root: Path) -> dict[str, Any]:
    """Write down what made the release of the results in a pipeline's folder."""
    data, code = locked_digests(read_stages(folder / "dvc.lock"))
    digest, run = lock_digest(folder), ""
    commit, _ = read_commit(folder)
    with suppress(Exception):  # MLflow is away, which must not stop a release
        run = run_of_lock(tracking_uri(root), folder.name, digest)
    return {
        "pipeline": folder.name,
        "commit": commit.sha,
        "branch": commit.branch,
        "dirty": commit.dirty,
        "sources": commit.sources,
        "built_at": now(),
        "built_by": who()[0],
        "python": platform.python_version(),
        "machine": platform.machine(),
        "dvc.lock": digest,
        "uv.lock": file_digest(root / "uv.lock"),
        "params.yaml": file_digest(folder / "params.yaml"),
        "data": data,
        "code": code,
        "mlflow_run": run,
    }
