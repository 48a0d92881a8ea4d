"""The status of each worker of a server, in a file that the worker keeps locked for as long as it lives."""

from __future__ import annotations

import fcntl
import json
import os
from pathlib import Path
from typing import Any

SIZE = 4096  # of each file from its start, so that a full disk stops nobody from saying something else
_LONGEST = 1000  # characters of a reason


class WorkerStatus:
    """The folder that the workers of one server share.

    A lock ends with its process, however that ends: the file of a worker that was killed is not locked, and is passed over.
    """

    def __init__(self, folder: Path) -> None:
        """Make the folder, and the locked file of this process."""
        folder.mkdir(parents=True, exist_ok=True)
        self._folder = folder
        self._own = (folder / f"{os.getpid()}.json").open("w+b", buffering=0)
        fcntl.flock(self._own, fcntl.LOCK_EX)
        self.say(None, None)

    def say(self, version: str | None, refused: dict[str, str] | None) -> None:
        """Write what this worker has in service, and what it refused: its `version` and `why`."""
        short = {name: words[:_LONGEST] for name, words in refused.items()} if refused else None
        content = json.dumps({"pid": os.getpid(), "version": version, "refused": short}).encode()
        try:
            os.pwrite(self._own.fileno(), content.ljust(SIZE), 0)
        except OSError:
            return  # the disk is full: answers matter more

    def read(self) -> list[dict[str, Any]]:
        """Return what every living worker says, by number of process."""
        found = []
        for path in self._folder.glob("*.json"):
            for _ in range(3):  # it may be written at this moment
                try:
                    with path.open("rb") as stream:
                        if _locked(stream.fileno()):
                            found.append(json.loads(stream.read()))
                    break
                except OSError:
                    break
                except ValueError:
                    continue
        return sorted(found, key=lambda one: int(one["pid"]))

    def close(self) -> None:
        """Close and unlock the file of this process."""
        self._own.close()


def _locked(number: int) -> bool:
    try:
        fcntl.flock(number, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except BlockingIOError:
        return True
    return False
