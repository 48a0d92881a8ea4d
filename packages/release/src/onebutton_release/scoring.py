"""Score a table of any length: the work of `make score PIPELINE=flight_delays IN=rows.parquet OUT=scored.parquet`.

OUT holds the columns of IN, the answers of the release that is in service, and which release that was.
"""

from __future__ import annotations

import os
import re
import signal
import sys
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from onebutton_contracts.errors import InputError
from onebutton_release.scoring_batch import Job, done_already, score
from onebutton_release.target import release_in_service
from onebutton_serving.loading import Loaded, load_release

USE = "make score PIPELINE=flight_delays IN=rows.parquet OUT=scored.parquet"
NEXT = "Next: `make notebook` to look at them"
ALL = (1, 1)  # the first of one share
MOST_THREADS = 4  # each has a part in memory


def score_table(  # noqa: PLR0913  what can be typed after the button
    root: Path, pipeline: str, environment: str, *, rows: str, out: str, shard: str, merge: bool
) -> str:
    """Score a table with what is in service, and return the line that tells what was done."""

    def in_service() -> Loaded:
        return load_release(release_in_service(root, pipeline, environment))

    return interruptible(lambda: score_file(rows, out, in_service, shard, merge=merge))


def score_file(
    rows: str, scored: str, find_release: Callable[[], Loaded], shard: str = "", *, merge: bool = False
) -> str:
    """Score one file, and return the line that tells what was done.

    Args:
        rows: the path that IN names.
        scored: the path that OUT names.
        find_release: loads the release; called when both paths are good.
        shard: such as `3/64`, to score one share and keep it beside OUT; empty for all.
        merge: put together what the shards kept.

    Raises:
        InputError: a person can mend it; the message says how.
        ReleaseError: the release cannot be used.
    """
    begun = time.monotonic()
    share, source, out = _share(shard, merge=merge), Path(rows), Path(scored)
    if not rows or out.suffix != ".parquet":
        message = f"say IN= and OUT=, which must end in .parquet, as in: {USE}"
        raise InputError(message)
    if not source.is_file() or not os.access(source, os.R_OK):
        message = f"IN={source} is not here, or cannot be read: name one parquet or CSV file"
        raise InputError(message)
    if not os.access(out.parent, os.W_OK):
        message = f"OUT={out}: {out.parent} is no folder that can be written to"
        raise InputError(message)
    release = find_release()
    job = Job(source, out, release, threads=min(MOST_THREADS, os.cpu_count() or 1))
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
    taken = time.monotonic() - begun
    done = f"{count:,} rows in {taken:,.1f} s, {count / taken:,.0f} a second, by release {release.version}"
    if share != ALL:
        return f"shard {shard}: {done}, kept in {out}.parts. Next: the other shards, then the same with MERGE=1"
    return f"{done}: {out}. {NEXT}"


def _share(shard: str, *, merge: bool) -> tuple[int, int]:
    """Read what SHARD says."""
    found = re.fullmatch(r"(\d+)/(\d+)", shard or "1/1")
    if (shard and merge) or not found or not 1 <= int(found[1]) <= int(found[2]):
        why = "comes without MERGE: merge when all are done" if merge else "must be as 3/64: the third of sixty-four"
        message = f"SHARD={shard} {why}"
        raise InputError(message)
    return int(found[1]), int(found[2])


def interruptible(work: Callable[[], str]) -> str:
    """Work in another thread, so that Ctrl-C ends the program at once, whatever polars is in the middle of."""
    # Python's own answer, instead of the one that polars put there: a panic in one of its threads
    signal.signal(signal.SIGINT, signal.getsignal(signal.SIGINT))
    doing = ThreadPoolExecutor(1).submit(work)
    try:
        return doing.result()
    except KeyboardInterrupt:
        print("\nscore: interrupted; finished parts are kept, press again to go on", file=sys.stderr, flush=True)
        os._exit(130)
