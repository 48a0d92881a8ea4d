"""The log of predictions: every answer is handed to a thread that appends it to a journal; no answer ever waits for a disk."""

from __future__ import annotations

import fcntl
import logging
import os
import threading
import time
from collections import deque
from collections.abc import Sequence
from datetime import UTC, datetime
from itertools import groupby, product
from pathlib import Path
from typing import IO, TYPE_CHECKING, Any

import msgspec

if TYPE_CHECKING:
    from onebutton_serving.loading import Answers, Loaded
    from onebutton_serving.rows import Values

EVERY = 0.2  # seconds between two visits of the disk: what a kill may lose
QUEUE = 200_000  # rows that may wait; more are dropped
LINES = 512  # lines, one a request, that are written in one go
BREATH = 0.0005  # seconds between two writes, else the thread would keep Python's lock from requests for milliseconds
ROLL_ROWS, ROLL_SECONDS = 200_000, 600.0  # a journal of so many rows, or so old, is let go of
SILENCE = 60.0  # seconds between two lines that say the disk is full
JOURNAL = ".jsonl"
# Columns beside what is asked and answered, with the kind of each.
OWN = {"time": "integer", "version": "string", "latency_ms": "number", "request": "string", "row": "integer"}

logger = logging.getLogger("onebutton_serving")
_encode = msgspec.json.Encoder().encode
Line = tuple["Loaded", int, bytes]  # of which release, how many rows are in it


class PredictionLog:
    """Writes what one worker answers.

    A journal is lines of JSON: the version and the columns of one release, then a line for each request. Its writer keeps it
    locked, so `segments` can tell which nobody writes any more.

    Attributes:
        written: rows, since the start.
    """

    def __init__(self, folder: Path) -> None:
        """Make the folder, which the workers of one server share, and start the thread."""
        folder.mkdir(parents=True, exist_ok=True)
        self._folder = folder
        self._queue: deque[Line] = deque()
        self._put = self._refused = 0  # rows; the event loop alone writes these
        self._taken = self._failed = self.written = 0  # rows; and the thread these
        self._stop = threading.Event()
        self._journal: IO[bytes] | None = None
        self._release: Loaded | None = None  # whose rows are in the journal
        self._rows, self._opened = 0, 0.0
        self._said = -SILENCE
        self._thread = threading.Thread(target=self._run, name="log", daemon=True)
        self._thread.start()

    def add(self, release: Loaded, rows: list[Values], answers: Answers, request: str, seconds: float) -> None:
        """Take one request, its answers, its id, and the seconds that it took."""
        if self._put - self._taken + len(rows) > QUEUE:
            self._refused += len(rows)
            return
        self._put += len(rows)
        logged: list[Any] = rows
        if release.reader.personal:
            logged = [list(row) for row in rows]
            for row, at in product(logged, release.reader.personal):
                row[at] = None
        line = _encode((round(time.time() * 1e6), round(seconds * 1e3, 3), request, logged, answers))
        self._queue.append((release, len(rows), line))

    @property
    def dropped(self) -> int:
        """Rows, since the start, because the disk or the queue was full."""
        return self._refused + self._failed

    def close(self) -> None:
        """Write what waits, and let go of the journal; `segments` makes a segment of it."""
        self._stop.set()
        self._thread.join(10)

    def _run(self) -> None:
        while not self._stop.wait(EVERY):
            self._visit()
        self._visit()
        self._let_go()

    def _visit(self) -> None:
        try:
            while self._queue:
                lines = [self._queue.popleft() for _ in range(min(LINES, len(self._queue)))]
                for release, some in groupby(lines, key=lambda line: line[0]):
                    self._append(release, list(some))
                time.sleep(BREATH)
            if self._rows >= ROLL_ROWS or (self._rows and time.monotonic() - self._opened > ROLL_SECONDS):
                self._let_go()
        except Exception:  # the thread must go on, else the queue would fill for ever
            logger.exception("the log of predictions failed, and goes on")

    def _append(self, release: Loaded, lines: Sequence[Line]) -> None:
        """Append lines to the journal of a release, whole or not at all."""
        rows = sum(count for _, count, _ in lines)
        self._taken += rows
        content = b"".join(line + b"\n" for _, _, line in lines)
        try:
            if self._journal is None or release is not self._release:
                self._let_go()
                self._journal, self._release, self._opened = self._open(), release, time.monotonic()
            number = self._journal.fileno()
            before = os.lseek(number, 0, os.SEEK_END)
            if before == 0:
                content = _encode({"version": release.version, "columns": _columns(release)}) + b"\n" + content
            try:
                while content:
                    content = content[os.write(number, content) :]
            except OSError:
                os.ftruncate(number, before)
                raise
            self._rows += rows
            self.written += rows
        except OSError as error:
            self._failed += rows
            if time.monotonic() - self._said > SILENCE:
                self._said = time.monotonic()
                words = "the log of predictions cannot be written (%s): rows are dropped and counted"
                logger.warning(words, error.strerror)

    def _open(self) -> IO[bytes]:
        name = f"{datetime.now(UTC):%Y%m%dT%H%M%S%f}-{os.getpid()}{JOURNAL}"
        journal = (self._folder / name).open("ab", buffering=0)
        fcntl.flock(journal, fcntl.LOCK_EX)
        return journal

    def _let_go(self) -> None:
        if self._journal is not None:
            self._journal.close()
        self._journal, self._rows = None, 0


def _columns(release: Loaded) -> dict[str, str]:
    """Return the kind of each value of a row and of each number that is answered, by a name that no other column has."""
    found = dict(OWN)
    for fields, suffix in ((release.reader.fields, "_in"), (release.schema.outputs, "_out")):
        for field in fields:
            name = field.name
            while name in found:
                name += suffix
            found[name] = field.type if suffix == "_in" else "number"
    return found
