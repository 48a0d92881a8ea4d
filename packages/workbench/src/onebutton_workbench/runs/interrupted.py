"""Runs that were killed, and runs at the same time: a press waits for what still runs, and mends what was left half done."""

from __future__ import annotations

import fcntl
import json
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import psutil

from onebutton_contracts.dvc_files import read_yaml
from onebutton_contracts.errors import InputError
from onebutton_workbench.bootstrap import conflict_in
from onebutton_workbench.git import at_commit
from onebutton_workbench.lineage.stages import dvc_files


@contextmanager
def only_press(root: Path) -> Iterator[int]:
    """Let one press at a time run stages here.

    The lock is on an open file that DVC inherits: when `make` is killed and DVC goes on without it, the next press still waits.

    Yields:
        The file's descriptor.
    """
    place = root / ".dvc/tmp"
    place.mkdir(parents=True, exist_ok=True)
    with (place / "onebutton-run").open("a") as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            print("run: waits for another press, which still runs stages here", flush=True)
            fcntl.flock(file, fcntl.LOCK_EX)
        yield file.fileno()


def wait_for_others(root: Path) -> None:
    """Wait for a `dvc repro` that somebody typed, or that was killed and is not gone yet: DVC would refuse to start."""
    told: set[int] = set()
    while busy := busy_programs(root / ".dvc/tmp/rwlock"):
        for process in busy.keys() - told:
            print(f"run: waits for process {process}, which still runs stages here ({busy[process]})", flush=True)
        told |= busy.keys()
        time.sleep(0.5)


def busy_programs(file: Path) -> dict[int, str]:
    """Read which living processes hold files, in DVC's notes of it: their commands by their number.

    Notes of a DVC that was killed while it wrote them are taken away: it would refuse to start.
    """
    try:
        notes = json.loads(file.read_text(encoding="utf-8"))
    except FileNotFoundError:
        return {}
    except ValueError:
        file.unlink()
        return {}
    holders = [*notes.get("write", {}).values(), *(one for many in notes.get("read", {}).values() for one in many)]
    return {one["pid"]: one["cmd"] for one in holders if one and psutil.pid_exists(one["pid"])}


def mend_locks(root: Path) -> None:
    """Bring the committed `dvc.lock` back where a merge left a conflict in it, or DVC was killed while it wrote it.

    What runs then is what the sources need.
    """
    for lock in (plan.with_name("dvc.lock") for plan in dvc_files(root)):
        if lock.is_file() and not _is_whole(lock):
            merged = conflict_in(lock)
            name = lock.relative_to(root).as_posix()
            committed = at_commit("HEAD", name, root)
            lock.unlink()
            if committed is not None:
                lock.write_text(committed, encoding="utf-8")
            why = "holds the conflict of a merge" if merged else "was left half written by a press that was killed"
            print(f"run: {name} {why}; that of your last commit is back", flush=True)


def _is_whole(lock: Path) -> bool:
    try:
        stages = (read_yaml(lock).get("stages") or {}).values()
        entries = [entry for stage in stages for entry in [*stage.get("deps", []), *stage.get("outs", [])]]
    except (InputError, AttributeError, TypeError):
        return False
    return all("path" in entry for entry in entries) and lock.read_bytes().endswith(b"\n")
