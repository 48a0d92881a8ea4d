"""Runs that were killed, and runs at the same time: a press waits for another, and mends what was left half done."""

import fcntl
import json
from collections.abc import Iterator
from contextlib import contextmanager
from itertools import chain
from pathlib import Path

import psutil

from onebutton_contracts.dvc_files import read_yaml
from onebutton_contracts.errors import InputError
from onebutton_workbench.bootstrap import conflict_in
from onebutton_workbench.git import at_commit
from onebutton_workbench.workspace import dvc_files


@contextmanager
def only_press(root: Path) -> Iterator[int]:
    """Let one press at a time run stages here; give the descriptor of a locked file.

    DVC inherits it: when `make` is killed and DVC goes on without it, the next press still waits.
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


def mend(root: Path) -> None:
    """Bring the committed `dvc.lock` back where a merge left a conflict in it, or DVC was killed while it wrote it.

    What runs then is what the sources need. DVC's own notes of who holds which file go where they are half written, too, or
    speak of the dead: it would refuse to start.
    """
    notes = root / ".dvc/tmp/rwlock"
    if notes.is_file() and _of_the_dead(notes.read_text(encoding="utf-8")):
        notes.unlink()
    for lock in (plan.with_name("dvc.lock") for plan in dvc_files(root)):
        if lock.is_file() and not _is_whole(lock):
            merged = conflict_in(lock)
            name = lock.relative_to(root).as_posix()
            lock.unlink()
            if (committed := at_commit("HEAD", name, root)) is not None:
                lock.write_text(committed, encoding="utf-8")
            why = "holds the conflict of a merge" if merged else "was left half written by a press that was killed"
            print(f"run: {name} {why}; that of your last commit is back", flush=True)


def _of_the_dead(notes: str) -> bool:
    """Say whether notes are half written, or all who hold a file by them are dead, whether somebody asked after them or not."""
    try:
        held = json.loads(notes)
    except ValueError:
        return True
    holders = {one["pid"] for one in [*held.get("write", {}).values(), *chain(*held.get("read", {}).values())]}
    running = (one for one in psutil.process_iter(["status"]) if one.info["status"] != psutil.STATUS_ZOMBIE)
    return bool(holders) and not holders & {one.pid for one in running}


def _is_whole(lock: Path) -> bool:
    try:
        stages = (read_yaml(lock).get("stages") or {}).values()
        entries = [entry for stage in stages for entry in [*stage.get("deps", []), *stage.get("outs", [])]]
    except (InputError, AttributeError, TypeError):
        return False
    return all("path" in entry for entry in entries) and lock.read_bytes().endswith(b"\n")
