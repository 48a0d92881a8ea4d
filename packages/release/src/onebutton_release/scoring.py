"""Score a table of any length: the work of `make score PIPELINE=flight_delays IN=rows.parquet OUT=scored.parquet`.

OUT holds the columns of IN, the answers of the release that is in service, and which release that was. Rows are scored in parts,
several side by side, so memory does not grow with them. One call of the model uses one thread, so an answer is the same to the
last digit on every machine: the bytes of OUT depend on the input and the release alone, not on where a press was interrupted, or
on how many machines shared the work.

    <OUT>.parts/part-000012-<sha256>.parquet  rows with their answers
    <OUT>.parts/input-<sha256>.parquet        a CSV of the input, as parquet
    <OUT>.parts/*.draft                       what a crash left half-written; nobody reads it

The digest is of the release and the input, the name and the content together: a part that is damaged, that belongs elsewhere, or
whose machine lost its power before the disk had all of it, counts for nothing. It gets its name by a rename, when it is whole.
"""

import hashlib
import json
import os
import re
import secrets
import shutil
import signal
import sys
import time
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import polars as pl

from onebutton_contracts.errors import InputError, require
from onebutton_release.scoring_rows import Scorer, is_text
from onebutton_release.target import release_in_service
from onebutton_serving.loading import Loaded, load_release
from onebutton_serving.sealed import MANIFEST, digest_of

USE = "make score PIPELINE=flight_delays IN=rows.parquet OUT=scored.parquet"
NEXT = "Next: `make notebook` to look at them"
MOST_THREADS = 4  # each has a part in memory
ROW_GROUP = 131_072  # rows; a part is one of them
CLEAR = "\r\x1b[K"  # a terminal's line
MADE_OF = "onebutton.scoring"  # in the metadata of OUT: the release and the input that gave it


def score_table(  # noqa: PLR0913  what can be typed after the button
    *, root: Path, pipeline: str = "", env: str = "", in_: str = "", out: str = "", shard: str = ""
) -> None:
    """Score with what is in service, in another thread, so that Ctrl-C ends the program whatever polars is in the middle of."""
    # Python's own answer, instead of the one that polars put there: a panic in one of its threads
    signal.signal(signal.SIGINT, signal.getsignal(signal.SIGINT))
    doing = ThreadPoolExecutor(1).submit(score_file, in_, out, lambda: release_in_service(root, pipeline, env), shard)
    try:
        print(f"score: {doing.result()}")
    except KeyboardInterrupt:
        print("\nscore: interrupted; finished parts are kept, press again to go on", file=sys.stderr, flush=True)
        os._exit(130)


def score_file(rows: str, scored: str, find_release: Callable[[], Path], shard: str = "") -> str:
    """Score one file, and return the line that tells what was done.

    Args:
        rows: the path that IN names.
        scored: the path that OUT names.
        find_release: finds the release's folder; called when both paths are good.
        shard: such as `3/64`, to score one share and keep it beside OUT; empty for all.

    Raises:
        InputError: a person can mend it; the message says how.
        ReleaseError: the release cannot be used.
    """
    begun = time.monotonic()
    source, out = Path(rows), Path(scored)
    share = re.fullmatch(r"(\d+)/(\d+)", shard or "1/1")
    if not share or not 1 <= int(share[1]) <= int(share[2]):
        raise InputError(f"SHARD={shard} must be as 3/64: the third of sixty-four")
    require(rows and out.suffix == ".parquet", f"say IN= and OUT=, which must end in .parquet, as in: {USE}")
    readable = source.is_file() and os.access(source, os.R_OK)
    require(readable, f"IN={source} is not here, or cannot be read: name one parquet or CSV file")
    require(os.access(out.parent, os.W_OK), f"OUT={out}: {out.parent} is no folder that can be written to")
    release = load_release(find_release())
    job = Job(source, out, release, threads=min(MOST_THREADS, os.cpu_count() or 1))
    if out.exists():
        message = f"OUT={out} exists, and is not what this input and release {release.version} give. Name another, or remove it"
        require(job.is_done(), message)
        return f"{out} is what release {release.version} answers to IN={rows}: it is done already. {NEXT}"
    try:
        count = score(job, int(share[1]), int(share[2]))
    except OSError as error:
        reason = error.strerror or str(error).splitlines()[0]
        raise InputError(
            f"{out} cannot be written: {reason}. Finished parts are kept: press again when that is mended"
        ) from None
    taken = time.monotonic() - begun
    done = f"{count:,} rows in {taken:,.1f} s, {count / taken:,.0f} a second, by release {release.version}"
    if int(share[2]) > 1:
        return f"shard {shard}: {done}, kept in {job.folder}. Next: the other shards, then the same without SHARD"
    return f"{done}: {out}. {NEXT}"


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

    def is_done(self) -> bool:
        """Say whether OUT is what this very input and release gave; if so, remove parts that a crash left after it."""
        try:
            done = pl.read_parquet_metadata(self.out).get(MADE_OF) == self.made_of
        except (OSError, pl.exceptions.PolarsError):
            return False
        if done:
            shutil.rmtree(self.folder, ignore_errors=True)
        return done

    def keep(self, stem: str, write: Callable[[Path], object]) -> Path:
        """Return the place of a file: kept, whole and ours, or else written where no other program writes, and renamed."""
        kept = self.folder.glob(f"{stem}-*.parquet")
        if found := next((path for path in kept if path.name == self._name(stem, path)), None):
            return found
        self.folder.mkdir(exist_ok=True)
        draft = self.folder / f"{stem}-{secrets.token_hex(4)}.draft"
        try:
            write(draft)
            return draft.replace(self.folder / self._name(stem, draft))
        finally:
            draft.unlink(missing_ok=True)

    def _name(self, stem: str, content: Path) -> str:
        digest = hashlib.sha256(f"{self.made_of}\n{self.rows}\n{stem}\n".encode())
        with content.open("rb") as stream:
            hashlib.file_digest(stream, lambda: digest)
        return f"{stem}-{digest.hexdigest()}.parquet"


def score(job: Job, shard: int = 1, shards: int = 1) -> int:
    """Score the rows, put OUT in its place when all are done, and return how many they are.

    A shard, of 64 the third, is every 64th part from the third on, kept beside OUT; shards may run side by side.

    Raises:
        InputError: the input is not what the release takes, and nothing is left of it.
        OSError: it cannot be written; finished parts are kept.
    """
    try:
        parquet = job.source
        if is_text(job.source):  # as parquet, so that any part of it can be reached at once
            csv = pl.scan_csv(job.source, infer_schema=False, glob=False)
            parquet = job.keep(
                "input", lambda place: csv.sink_parquet(place, compression="lz4", row_group_size=ROW_GROUP)
            )
        table = pl.scan_parquet(parquet, glob=False)
        rows = table.select(pl.len()).collect().item()
        require(rows, f"{job.source} has columns but no rows, so there is nothing to score")
        firsts = range(0, rows, job.rows)[shard - 1 :: shards]
        parts = [range(first, min(first + job.rows, rows)) for first in firsts]
        files = _make(job, parts, Scorer(job.source, table, job.release))
        if shards == 1:  # all in one, on the disk first, then under its name
            scored, made_of = pl.scan_parquet(files, glob=False), {MADE_OF: job.made_of}
            whole = job.keep(
                "out", lambda place: scored.sink_parquet(place, row_group_size=ROW_GROUP, metadata=made_of)
            )
            with whole.open("rb") as stream:
                os.fsync(stream.fileno())
            whole.replace(job.out)
            shutil.rmtree(job.folder, ignore_errors=True)
    except (pl.exceptions.PolarsError, UnicodeDecodeError, InputError) as error:
        if "os error" in str(error):
            raise OSError(str(error)) from None
        if shards == 1:
            shutil.rmtree(job.folder, ignore_errors=True)
        if isinstance(error, InputError):
            raise
        kind = "CSV" if is_text(job.source) else "parquet"
        raise InputError(f"{job.source} cannot be read as {kind}: {str(error).strip().splitlines()[0]}") from None
    return sum(map(len, parts))


def _make(job: Job, parts: Sequence[range], scorer: Scorer) -> list[Path]:
    """Make each part that is not kept yet, several side by side, and return the places of all."""

    def make(part: range) -> Path:
        def write(draft: Path) -> None:
            with draft.open("wb") as stream:
                scorer.score(part).write_parquet(stream, compression="lz4", statistics=False)

        return job.keep(f"part-{part.start // job.rows:06}", write)

    files, done, watched = [], 0, sys.stderr.isatty()
    workers = ThreadPoolExecutor(job.threads, thread_name_prefix="score")
    try:
        for part, path in zip(parts, workers.map(make, parts), strict=True):
            files.append(path)
            done += len(part)
            if watched:
                print(f"{CLEAR}score: {done:,} of {sum(map(len, parts)):,} rows", end="", file=sys.stderr, flush=True)
    finally:
        workers.shutdown(cancel_futures=True)
        print(CLEAR if watched else "", end="", file=sys.stderr)
    same = job.read_made_of() == job.made_of
    require(same, "the input was changed while it was scored, so nothing was written. Press again")
    return files
