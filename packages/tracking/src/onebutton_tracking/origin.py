"""Where a `dvc.lock` comes from: the commit, the machine, and what each stage took.

`make run` writes it down beside the fingerprints as soon as DVC is done, because MLflow may be down then and the sources edited
before it is back. Where nothing was written down, git tells which commit brought the `dvc.lock`.
"""

from __future__ import annotations

import json
import os
import platform
import time
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path

from onebutton_tracking.commit import Commit, brought_lock, holding_commit, read_commit
from onebutton_tracking.results import lock_digest, produced_files

RECORD = Path(".code/origin.json")  # ignored by git: it is about this machine


@dataclass(frozen=True)
class Origin:
    """What made a `dvc.lock`."""

    lock_digest: str
    commit: Commit
    patch: str = ""  # from the commit to the sources, where they differed
    machine: str = ""  # host, system, processors and Python; empty where nobody wrote it down
    seconds: dict[str, float] = field(default_factory=dict)  # of each stage that ran then; the others were up to date
    peak_mb: dict[str, float] = field(default_factory=dict)  # the memory that each of these needed at its peak
    finished: float = 0.0  # seconds since 1970


def record(folder: Path, seconds: Mapping[str, float], peak_mb: Mapping[str, float] | None = None) -> None:
    """Write down where a pipeline's `dvc.lock` comes from, unless that was done before.

    Args:
        folder: of the pipeline.
        seconds: that each stage took which has just run.
        peak_mb: the memory that each of these needed at its peak.

    Raises:
        InputError: the pipeline has no `dvc.lock`.
    """
    digest = lock_digest(folder)
    if _read(folder, digest):
        return
    commit, patch = read_commit(folder, produced_files(folder))
    system = f"{platform.node()}, {platform.system()} {platform.machine()}"
    machine = f"{system}, {os.cpu_count()} processors, Python {platform.python_version()}"
    origin = Origin(digest, commit, patch, machine, dict(seconds), dict(peak_mb or {}), time.time())
    path = folder / RECORD
    path.parent.mkdir(exist_ok=True)
    path.write_text(json.dumps(asdict(origin), indent=1), encoding="utf-8")


def _read(folder: Path, digest: str) -> Origin | None:
    """Return what was written down about a `dvc.lock`; None when it was about another, or cannot be read."""
    try:
        content = json.loads((folder / RECORD).read_text(encoding="utf-8"))
        origin = Origin(**content | {"commit": Commit(**content["commit"])})
    except (OSError, ValueError, TypeError, KeyError):
        return None
    return origin if origin.lock_digest == digest else None


def find_origin(folder: Path, digest: str, *, just_run: bool) -> Origin:
    """Tell where a pipeline's `dvc.lock` comes from; `just_run` as for `holding_commit`."""
    produced = produced_files(folder)
    origin = _read(folder, digest)
    if origin is None:
        brought = brought_lock(folder, digest)
        return Origin(digest, brought) if brought else Origin(digest, *read_commit(folder, produced))
    sources = origin.commit.sources if origin.commit.dirty else ""
    held = holding_commit(folder, digest, sources, produced, just_run=just_run)
    return replace(origin, commit=held, patch="") if held else origin
