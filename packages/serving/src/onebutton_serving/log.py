"""The log of predictions: every answer is handed to a thread that appends it to a journal; no answer ever waits for a disk."""

from __future__ import annotations

import fcntl
import logging
import os
import subprocess
import sys
import threading
import time
from collections import deque
from collections.abc import Sequence
from datetime import UTC, datetime
from hashlib import blake2b
from pathlib import Path
from typing import IO, Any

import msgspec

from onebutton_serving.answering import Answerer
from onebutton_serving.rows import Values, fields_in_order

EVERY = 0.2  # seconds between two visits of the disk: what a kill may lose
QUEUE = 200_000  # rows that may wait; more are dropped
LINES = 512  # lines, one a request, that are written in one go
BREATH = 0.0005  # seconds between two writes, else the thread would keep Python's lock from requests for milliseconds
ROLL_ROWS, ROLL_SECONDS = 200_000, 600.0  # a journal of so many rows, or so old, becomes a segment
SILENCE = 60.0  # seconds between two lines that say the disk is full
JOURNAL = ".journal"

logger = logging.getLogger("onebutton_serving")
_encode = msgspec.json.Encoder().encode
Entry = tuple[Answerer, float, float, str, Sequence[Values], Sequence[Sequence[float]]]
Line = tuple[Answerer, int, bytes]  # how many rows are in it


class PredictionLog:
    """Writes what one worker answers.

    A journal is lines of JSON: an object that says which release the lines below it are of, then an array per request. Its
    writer keeps it locked, so journals of workers that were killed can be told apart.

    Attributes:
        written: rows, since the start.
    """

    def __init__(self, folder: Path, key: str = "") -> None:
        """Make the folder and start the thread.

        Args:
            folder: of the log; the workers of one server share it.
            key: hashes personal values; without one they are left out.
        """
        folder.mkdir(parents=True, exist_ok=True)
        self.written = 0
        self._failed = self._refused = 0  # rows; as above
        self._folder = folder
        self._key = blake2b(key.encode()).digest() if key else b""
        self._queue: deque[Line] = deque()
        self._put = self._taken = 0  # rows; each is written by one thread alone
        self._stop = threading.Event()
        self._journal: IO[bytes] | None = None
        self._header: Answerer | None = None
        self._rows, self._opened, self._number = 0, 0.0, 0
        self._said = -SILENCE
        self._roller: subprocess.Popen[bytes] | None = None
        self._thread = threading.Thread(target=self._run, name="log", daemon=True)
        self._thread.start()

    def add(self, entry: Entry) -> None:
        """Take one request and its answers: the release, time, seconds that it took, request id, rows, answers."""
        release, moment, seconds, request, rows, answers = entry
        count = len(rows)
        if self._put - self._taken + count > QUEUE:
            self._refused += count
            return
        self._put += count
        shown = [self._hide(row, release.personal) for row in rows] if release.personal else rows
        line = _encode([round(moment * 1e6), round(seconds * 1e3, 3), request, shown, answers])
        self._queue.append((release, count, line))

    @property
    def dropped(self) -> int:
        """Rows, since the start, because the disk or the queue was full."""
        return self._failed + self._refused

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
                self._append([self._queue.popleft() for _ in range(min(LINES, len(self._queue)))])
                time.sleep(BREATH)
            old = self._rows and time.monotonic() - self._opened > ROLL_SECONDS
            if self._rows >= ROLL_ROWS or old:
                self._let_go()
                self._roll()
        except Exception:  # the thread must go on, else the queue would fill for ever
            logger.exception("the log of predictions failed, and goes on")

    def _append(self, lines: list[Line]) -> None:
        rows = sum(count for _, count, _ in lines)
        self._taken += rows
        content = []
        for release, _, line in lines:
            if release is not self._header:
                self._header = release
                content.append(_encode(_header_of(release)))
            content.append(line)
        try:
            self._write(b"\n".join(content) + b"\n")
        except OSError as error:
            self._header = None
            self._failed += rows
            if time.monotonic() - self._said > SILENCE:
                self._said = time.monotonic()
                logger.warning(
                    "the log of predictions cannot be written (%s): rows are dropped and counted", error.strerror
                )
            return
        self._rows += rows
        self.written += rows

    def _hide(self, row: Values, hidden: Sequence[int]) -> Values:
        values = list(row)
        for at in hidden:
            value = values[at]
            shown = None if value is None or not self._key else blake2b(_encode(value), digest_size=16, key=self._key)
            values[at] = shown.hexdigest() if shown else None
        return tuple(values)

    def _write(self, content: bytes) -> None:
        """Append, whole or not at all."""
        if self._journal is None:
            self._journal = self._open()
        number = self._journal.fileno()
        before = os.lseek(number, 0, os.SEEK_END)
        try:
            while content:
                content = content[os.write(number, content) :]
        except OSError:
            os.ftruncate(number, before)
            raise

    def _open(self) -> IO[bytes]:
        self._number += 1
        name = f"{datetime.now(UTC):%Y%m%dT%H%M%S}-{os.getpid()}-{self._number}{JOURNAL}"
        journal = (self._folder / name).open("ab", buffering=0)
        fcntl.flock(journal, fcntl.LOCK_EX)
        if not os.fstat(journal.fileno()).st_nlink:  # `segments` was quicker, and removed what was empty
            journal.close()
            return self._open()
        self._rows, self._opened = 0, time.monotonic()
        return journal

    def _let_go(self) -> None:
        if self._journal is not None:
            self._journal.close()
        self._journal, self._header, self._rows = None, None, 0

    def _roll(self) -> None:
        """Make segments in a process of their own: reading a journal back would hold up requests here."""
        if self._roller is None or self._roller.poll() is not None:
            command = [sys.executable, "-m", "onebutton_serving.segments", str(self._folder)]
            self._roller = subprocess.Popen(command, stdin=subprocess.DEVNULL)


def _header_of(release: Answerer) -> dict[str, Any]:
    kinds = [
        "string" if at in release.personal else field.type
        for at, field in enumerate(fields_in_order(release.loaded.schema))
    ]
    return {
        "version": release.version,
        "inputs": list(zip(release.names, kinds, strict=True)),
        "outputs": release.outputs,
    }
