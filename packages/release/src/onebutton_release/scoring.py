"""Score a table of any length: the work of `make score PIPELINE=flight_delays IN=rows.parquet OUT=scored.parquet`.

OUT holds the columns of IN, the answers of the release that is in service, and which release that was.
"""

from __future__ import annotations

import os
import signal
import sys
import tempfile
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from onebutton_contracts.errors import InputError
from onebutton_release.environments import release_in_service
from onebutton_release.scoring_batch import Job, done_already, score
from onebutton_release.scoring_inputs import find_sources
from onebutton_serving.loading import Loaded, load_release

USE = "make score PIPELINE=flight_delays IN=rows.parquet OUT=scored.parquet"
NEXT = "Next: `make notebook` to look at them"
CLEAR = "\r\x1b[K"  # a terminal's line
MOST_THREADS = 4  # each has a part in memory


def check_out(out: Path) -> None:
    """Refuse a place where nothing can be written.

    Raises:
        InputError: the message says why.
    """
    folder = out.parent
    if out.suffix != ".parquet":
        message = f"OUT={out} must end in .parquet, because that is what it will be"
    elif not folder.is_dir():
        message = f"OUT={out}: there is no folder {folder}"
    else:
        try:  # the only way to know: a disk may be read-only, and root is asked for no permission
            with tempfile.TemporaryFile(dir=folder):
                return
        except OSError as error:
            message = f"OUT={out}: the folder {folder} cannot be written to: {error.strerror}"
    raise InputError(message)


def score_file(
    rows: str, scored: str, find_release: Callable[[], Loaded], shard: str = "", *, merge: bool = False
) -> str:
    """Score one file, and return the line that tells what was done.

    Args:
        rows: the path that IN names, or a pattern of several.
        scored: the path that OUT names.
        find_release: loads the release; called when both paths are good.
        shard: such as `3/64`, to score one share and keep it beside OUT; empty for all.
        merge: put together what the shards kept.

    Raises:
        InputError: a person can mend it; the message says how.
        ReleaseError: the release cannot be used.
    """
    begun = time.monotonic()
    for name, value in (("IN", rows), ("OUT", scored)):
        if not value:
            message = f"say {name}=, as in: {USE}"
            raise InputError(message)
    share = _share(shard, merge=merge)
    out = Path(scored)
    check_out(out)
    sources = find_sources(rows, out)
    release = find_release()
    job = Job(sources, out, release, threads=min(MOST_THREADS, os.cpu_count() or 1), progress=Progress())
    if out.exists():
        if done_already(job):
            return f"{out} is what release {release.version} answers to IN={rows}: it is done already. {NEXT}"
        message = f"OUT={out} exists, and is not what this input and release {release.version} give. Name another, or remove it"
        raise InputError(message)
    try:
        count = score(job, shard=share, merge=merge)
    except OSError as error:
        reason = error.strerror or str(error).splitlines()[0]
        message = f"{out} cannot be written: {reason}. Finished parts are kept: press again when that is mended"
        raise InputError(message) from None
    finally:
        job.progress(1, 1)
    taken = time.monotonic() - begun
    done = f"{count:,} rows in {taken:,.1f} s, {count / taken:,.0f} a second, by release {release.version}"
    if share:
        return f"shard {shard}: {done}, kept in {out}.parts. Next: the other shards, then the same with MERGE=1"
    return f"{done}: {out}. {NEXT}"


def _share(shard: str, *, merge: bool) -> tuple[int, int] | None:
    """Read what SHARD says."""
    if not shard:
        return None
    number, _, shards = shard.partition("/")
    if merge or not (number.isdecimal() and shards.isdecimal() and 1 <= int(number) <= int(shards)):
        why = "comes without MERGE: merge when all are done" if merge else "must be as 3/64: the third of sixty-four"
        message = f"SHARD={shard} {why}"
        raise InputError(message)
    return int(number), int(shards)


class Progress:
    """One line of a terminal that tells how far it is; nothing where nobody looks."""

    def __init__(self) -> None:
        """Start the clock with the first rows: kept parts come in no time."""
        self._begun: tuple[float, int] | None = None

    def __call__(self, done: int, rows: int) -> None:
        """Write the line again; the last time, clear it."""
        if not sys.stderr.isatty():
            return
        now = time.monotonic()
        begun, before = self._begun = self._begun or (now, done)
        speed = (done - before) / (now - begun) if now > begun else 0
        left = f", {(rows - done) / speed:,.0f} s left" if speed else ""
        line = f"score: {done:,} of {rows:,} rows{left}" if done < rows else ""
        print(f"{CLEAR}{line}", end="", file=sys.stderr, flush=True)


def interruptible(work: Callable[[], str]) -> str:
    """Work in another thread, so that Ctrl-C is heard at once, whatever polars is in the middle of.

    Polars answers the signal by a panic in one of its threads, and prints that on the terminal; it is not asked. The program
    ends on the spot, as if it had been killed: parts come to their names by a rename, and the system takes back the lock.
    """
    signal.signal(
        signal.SIGINT, signal.getsignal(signal.SIGINT)
    )  # Python's own, instead of the one that polars put there
    doing = ThreadPoolExecutor(1).submit(work)
    try:
        return doing.result()
    except KeyboardInterrupt:
        print("\nscore: interrupted; finished parts are kept, press again to go on", file=sys.stderr, flush=True)
        os._exit(130)


def score_table(  # noqa: PLR0913  what can be typed after the button
    rows: str, scored: str, pipeline: str, environment: str, shard: str = "", *, merge: bool = False
) -> None:
    """Score a table with what is in service; the work of `make score`.

    Raises:
        InputError: a person can mend it; the message says how.
        ReleaseError: the release cannot be used.
    """

    def in_service() -> Loaded:
        return load_release(release_in_service(pipeline, environment))

    print(f"score: {interruptible(lambda: score_file(rows, scored, in_service, shard, merge=merge))}")
