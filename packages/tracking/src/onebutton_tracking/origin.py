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

from onebutton_tracking.commit import Commit, committed_lock, holding_commit, read_commit
from onebutton_tracking.results import lock_digest, produced_files

RECORD = Path(".code/origin.json")  # ignored by git: it is about this machine


@dataclass(frozen=True)
class Origin:
    """What made a `dvc.lock`.

    Attributes:
        lock_digest: of that `dvc.lock`.
        commit: the state of the sources.
        patch: from the commit to the sources, where they differed; empty otherwise.
        machine: host, system, processors and Python; empty where nobody wrote it down.
        seconds: how long each stage took that ran then; the others were up to date or came from the cache.
        peak_mb: the memory that each of these needed at its peak.
        finished: seconds since 1970.
    """

    lock_digest: str
    commit: Commit
    patch: str = ""
    machine: str = ""
    seconds: dict[str, float] = field(default_factory=dict)
    peak_mb: dict[str, float] = field(default_factory=dict)
    finished: float = 0.0


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
    draft = path.with_suffix(f".{os.getpid()}")
    draft.write_text(json.dumps(asdict(origin), indent=1), encoding="utf-8")
    draft.replace(path)


def _read(folder: Path, digest: str) -> Origin | None:
    """Return what was written down about a `dvc.lock`; None when it was about another, or cannot be read."""
    try:
        content = json.loads((folder / RECORD).read_text(encoding="utf-8"))
        origin = Origin(**content | {"commit": Commit(**content["commit"])})
    except (OSError, ValueError, TypeError, KeyError):
        return None
    return origin if origin.lock_digest == digest else None


def find_origin(folder: Path, digest: str, *, just_run: bool) -> Origin:
    """Tell where a pipeline's `dvc.lock` comes from.

    Args:
        folder: of the pipeline.
        digest: of its `dvc.lock`.
        just_run: whether DVC has just found the sources in the folder and the lock to agree.
    """
    if origin := _read(folder, digest):
        dirty = origin.commit.dirty
        held = commit_for(folder, digest, origin.commit.sources, just_run=just_run) if dirty else None
        return replace(origin, commit=held, patch="") if held else origin
    produced = produced_files(folder)
    if held := holding_commit(folder, digest, "", produced):
        return Origin(digest, held)
    return Origin(digest, *read_commit(folder, produced))


def commit_for(folder: Path, digest: str, sources: str, *, just_run: bool) -> Commit | None:
    """Find a commit that holds a `dvc.lock` and the sources that made it; None when there is none yet.

    Args:
        folder: of the pipeline.
        digest: of the `dvc.lock`.
        sources: their digest, as `Commit.sources`.
        just_run: DVC has just found sources and lock to agree, so a clean tree is proof enough: a formatter may have changed
            the text of the sources since, and not their meaning.
    """
    produced = produced_files(folder)
    held = holding_commit(folder, digest, sources, produced) if sources else None
    if held is None and just_run and committed_lock(folder) == digest:
        here, _ = read_commit(folder, produced)
        return here if here.sha and not here.dirty else None
    return held
