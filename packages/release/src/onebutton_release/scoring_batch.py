"""Score tables of any length in memory that does not grow with them.

Rows are scored a part at a time, several parts side by side; OUT is all of them in their order. One call of the model uses one
thread, so an answer is the same to the last digit on every machine: the bytes of OUT depend on the input and the release alone,
not on where a press was interrupted, or on how many machines shared the work.

    <OUT>.parts/part-000012-<sha256>.parquet  rows with their answers
    <OUT>.parts/input-<sha256>.parquet        a CSV of the input, as parquet
    <OUT>.parts/*.draft                       what a crash left half-written; nobody reads it

The digest is of the release and the input, the name and the content together: a part that is damaged, that belongs elsewhere, or
whose machine lost its power before the disk had all of it, counts for nothing. It gets its name by a rename, when it is whole.
"""

from __future__ import annotations

import contextlib
import hashlib
import json
import os
import secrets
import shutil
import sys
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from pathlib import Path

import polars as pl

from onebutton_contracts.errors import InputError
from onebutton_release.scoring_rows import Part, Scorer, is_text
from onebutton_serving.loading import Loaded
from onebutton_serving.sealed import MANIFEST, digest_of

ROW_GROUP = 131_072  # rows; a part is one of them
CLEAR = "\r\x1b[K"  # a terminal's line
MADE_OF = "onebutton.scoring"  # in the metadata of OUT: the release and the input that gave it


class Job:
    """A table to score, and what is finished of it, in a folder beside OUT."""

    def __init__(self, source: Path, out: Path, release: Loaded, *, rows: int = ROW_GROUP, threads: int = 1) -> None:
        """Take note of what is asked for: parts have so many rows, and so many are made at one time."""
        self.source, self.out, self.release, self.rows, self.threads = source, out, release, rows, threads
        self.folder, self.made_of = out.with_name(f"{out.name}.parts"), self.read_made_of()

    def read_made_of(self) -> str:
        """Say what OUT is made of: the release, and the input by its name, size and last change."""
        manifest, found = digest_of(self.release.folder / MANIFEST), self.source.stat()
        return json.dumps([self.release.version, manifest, self.source.name, found.st_size, found.st_mtime_ns])

    def make(self, stem: str, write: Callable[[Path], object]) -> Path:
        """Return the place of a file: kept, or written to a draft first."""
        if found := self.find(stem):
            return found
        with self.draft(stem) as draft:
            write(draft)
            return draft.replace(self.folder / self._name(stem, draft))

    def find(self, stem: str) -> Path | None:
        """Return the place of a file that is kept, whole and ours."""
        kept = self.folder.glob(f"{stem}-*.parquet")
        return next((path for path in kept if path.name == self._name(stem, path)), None)

    @contextlib.contextmanager
    def draft(self, stem: str) -> Iterator[Path]:
        """Give a place to write something to that is not finished: one that no other program has."""
        self.folder.mkdir(exist_ok=True)
        draft = self.folder / f"{stem}-{secrets.token_hex(4)}.draft"
        try:
            yield draft
        finally:
            draft.unlink(missing_ok=True)

    def remove(self) -> None:
        """Remove all of it."""
        shutil.rmtree(self.folder, ignore_errors=True)

    def _name(self, stem: str, content: Path) -> str:
        digest = hashlib.sha256(f"{self.made_of}\n{self.rows}\n{stem}\n".encode())
        with content.open("rb") as stream:
            hashlib.file_digest(stream, lambda: digest)
        return f"{stem}-{digest.hexdigest()}.parquet"


def done_already(job: Job) -> bool:
    """Say whether OUT is what this very input and release gave; if so, remove parts that a crash left after it."""
    try:
        done = pl.read_parquet_metadata(job.out).get(MADE_OF) == job.made_of
    except (OSError, pl.exceptions.PolarsError):
        return False
    if done:
        job.remove()
    return done


def score(job: Job, *, shard: tuple[int, int] = (1, 1), merge: bool = False) -> int:
    """Score the rows, and put OUT in its place when all are done.

    Args:
        job: what is asked for.
        shard: such as (3, 64), to keep every 64th part from the third on beside OUT, and no more; shards may run side by side.
        merge: ask the model nothing: the shards must have kept every part.

    Returns:
        How many rows.

    Raises:
        InputError: the input is not what the release takes, and nothing is left of it; or, to merge, a part is missing or of
            another press.
        OSError: it cannot be written; finished parts are kept.
    """
    number, shards = shard
    of_text = is_text(job.source)
    try:
        parquet = job.make("input", partial(_to_parquet, job.source)) if of_text else job.source
        table = pl.scan_parquet(parquet, glob=False)
        parts = _cut(job, table.select(pl.len()).collect().item())[number - 1 :: shards]
        files = _find(job, parts) if merge else _make(job, parts, Scorer(job.source, table, job.release))
        if shards == 1:
            _join(job, files)
            job.remove()
    except InputError:
        if shards == 1 and not merge:
            job.remove()
        raise
    except (pl.exceptions.PolarsError, UnicodeDecodeError) as error:
        if "os error" in str(error):
            raise OSError(str(error)) from None
        job.remove()
        message = (
            f"{job.source} cannot be read as {'CSV' if of_text else 'parquet'}: {str(error).strip().splitlines()[0]}"
        )
        raise InputError(message) from None
    return sum(part.rows for part in parts)


def _to_parquet(source: Path, target: Path) -> None:
    """Write a CSV as parquet, in bounded memory, so that any part of it can be reached at once."""
    rows = pl.scan_csv(source, infer_schema=False, glob=False)
    rows.sink_parquet(target, compression="lz4", row_group_size=ROW_GROUP)


def _cut(job: Job, rows: int) -> list[Part]:
    if not rows:
        message = f"{job.source} has columns but no rows, so there is nothing to score"
        raise InputError(message)
    return [Part(at, first, min(job.rows, rows - first)) for at, first in enumerate(range(0, rows, job.rows))]


def _find(job: Job, parts: Sequence[Part]) -> list[Path]:
    """Return the places of all parts; refuse to merge when they are not all there."""
    found = [(part, job.find(part.stem)) for part in parts]
    if lacking := [part for part, path in found if path is None]:
        first = lacking[0]
        message = (
            f"{len(lacking)} of {len(parts)} parts are not in {job.folder}: {first.stem} ({first.span} of "
            f"{job.source}) is missing, damaged, or of another input or release. Score its shard again"
        )
        raise InputError(message)
    return [path for _, path in found if path]


def _make(job: Job, parts: Sequence[Part], scorer: Scorer) -> list[Path]:
    """Make each part that is not kept yet, several side by side, and return the places of all."""

    def make(part: Part) -> Path:
        def write(draft: Path) -> None:
            with draft.open("wb") as stream:
                scorer.score(part).write_parquet(stream, compression="lz4", statistics=False)

        return job.make(part.stem, write)

    files, done, rows = [], 0, sum(part.rows for part in parts)
    workers = ThreadPoolExecutor(job.threads, thread_name_prefix="score")
    try:
        for part, path in zip(parts, workers.map(make, parts), strict=True):
            files.append(path)
            done += part.rows
            if sys.stderr.isatty():
                print(f"{CLEAR}score: {done:,} of {rows:,} rows", end="", file=sys.stderr, flush=True)
    finally:
        workers.shutdown(cancel_futures=True)
        print(CLEAR if sys.stderr.isatty() else "", end="", file=sys.stderr)
    if job.read_made_of() != job.made_of:
        raise InputError("the input was changed while it was scored, so nothing was written. Press again")
    return files


def _join(job: Job, files: list[Path]) -> None:
    """Put the parts together in their order, and the whole in its place: on the disk first, then under its name."""
    with job.draft("out") as draft:
        pl.scan_parquet(files, glob=False).sink_parquet(
            draft, row_group_size=ROW_GROUP, metadata={MADE_OF: job.made_of}
        )
        with draft.open("rb") as stream:
            os.fsync(stream.fileno())
        draft.replace(job.out)
