"""What each worker of a server says of itself, in a file that it keeps locked for as long as it lives."""

from __future__ import annotations

import fcntl
import os
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import msgspec

SIZE = 8192  # bytes of each file from its start, so that a disk which fills later stops nobody from writing
_LONGEST = 1000  # characters of a reason


class WorkerStatus:
    """The folder that the workers of one server share.

    A lock ends with its process, however that ends. The file of a worker that has ended stays: what it counted counts on.

    Attributes:
        folder: in the state folder.
    """

    def __init__(self, folder: Path) -> None:
        """Make the folder, and the locked file of this process."""
        folder.mkdir(parents=True, exist_ok=True)
        self.folder = folder
        self._said: dict[str, Any] = {"pid": os.getpid(), "version": None, "refused": None, "counts": {}}
        self._turn = threading.Lock()  # of the event loop, which counts, and of the watcher
        self._own = (folder / f"{os.getpid()}-{time.time_ns()}.json").open("w+b", buffering=0)
        fcntl.flock(self._own, fcntl.LOCK_EX)
        self.count({})

    def say(self, version: str | None, refused: dict[str, str] | None) -> None:
        """Write what this worker has in service, and what it refused: its `version` and `why`."""
        short = {name: words[:_LONGEST] for name, words in refused.items()} if refused else None
        self._write(version=version, refused=short)

    def count(self, counts: dict[str, Any]) -> None:
        """Write what this worker has counted."""
        self._write(counts=counts)

    def read(self) -> list[dict[str, Any]]:
        """Return what every living worker has in service and has refused, by number of process."""
        living = [said for living, said in self._files() if living]
        shown = ({name: one[name] for name in ("pid", "version", "refused")} for one in living)
        return sorted(shown, key=lambda one: int(one["pid"]))

    def counts(self) -> list[dict[str, Any]]:
        """Return what every worker has counted, those that have ended included."""
        return [said["counts"] for _, said in self._files() if said["counts"]]

    def close(self) -> None:
        """Close and unlock the file of this process."""
        self._own.close()

    def _write(self, **news: Any) -> None:
        with self._turn:
            self._said |= news
            try:
                os.pwrite(self._own.fileno(), msgspec.json.encode(self._said).ljust(SIZE), 0)
            except OSError:
                return  # the disk is full: answers matter more

    def _files(self) -> Iterator[tuple[bool, dict[str, Any]]]:
        for path in self.folder.glob("*.json"):
            with path.open("rb") as stream:
                for _ in range(3):  # it may be written at this moment
                    try:
                        yield _locked(stream.fileno()), msgspec.json.decode(os.pread(stream.fileno(), SIZE, 0))
                        break
                    except msgspec.DecodeError:
                        continue


def _locked(number: int) -> bool:
    try:
        fcntl.flock(number, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except BlockingIOError:
        return True
    return False
