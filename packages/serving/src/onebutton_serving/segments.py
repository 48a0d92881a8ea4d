"""Parquet segments of the log of predictions: made of journals, and read together with them.

<log>/20261125T081500123456-4711.jsonl     being written, or left by a worker that was killed
<log>/20261125T080500654321-4711.parquet   a segment, made of the journal of the same name
"""

import contextlib
import fcntl
import os
import sys
from pathlib import Path

import msgspec
import polars as pl

from onebutton_serving.log import JOURNAL, OWN

SEGMENT = ".parquet"
KINDS = {"string": pl.String(), "integer": pl.Int64(), "number": pl.Float64(), "boolean": pl.Boolean()}


def read_log(folder: Path) -> pl.LazyFrame:
    """Read every prediction that was logged, oldest files first.

    Args:
        folder: `log` in the state folder of a server, which may be running.

    Returns:
        One row per row that was predicted: `time` (UTC), `version`, `latency_ms`, `request`, `row` (its place there), every
        input, every output. An input of one of these names gets `_in` behind it, an output `_out`. Releases with other inputs
        leave null in columns that they do not have. Without a prediction there is no row and no input.
    """
    names = {path.stem for suffix in (JOURNAL, SEGMENT) for path in folder.glob(f"*{suffix}")}
    frames = [_read(folder, name) for name in sorted(names)]
    return pl.concat([_frame_of(b"").lazy(), *frames], how="diagonal_relaxed")


def roll(folder: Path) -> None:
    """Make a segment of every journal that nobody writes any more: there whole or not at all, whenever this is killed."""
    for journal in sorted(folder.glob(f"*{JOURNAL}")):
        segment = journal.with_suffix(SEGMENT)
        with journal.open("rb") as stream, contextlib.suppress(BlockingIOError):
            fcntl.flock(stream, fcntl.LOCK_SH | fcntl.LOCK_NB)
            content = stream.read()
            if not content:  # its writer has just opened it
                continue
            if not segment.is_file():
                draft = segment.with_name(f".{segment.stem}.draft")
                _frame_of(content).write_parquet(draft)
                with draft.open("rb") as written:
                    os.fsync(written.fileno())
                draft.replace(segment)
            journal.unlink()


def forget(folder: Path, megabytes: int) -> None:
    """Remove the oldest segments of a log that has more megabytes than it may, its journals included, which stay."""
    sizes = {path: path.stat().st_size for path in folder.glob("[!.]*")}
    over = sum(sizes.values()) - megabytes * 1_000_000
    for path in sorted(folder.glob(f"*{SEGMENT}")):
        if over > 0:
            path.unlink()
            over -= sizes[path]


def _read(folder: Path, name: str) -> pl.LazyFrame:
    segment = folder / f"{name}{SEGMENT}"
    if not segment.is_file():
        with contextlib.suppress(FileNotFoundError):  # it became a segment meanwhile
            return _frame_of((folder / f"{name}{JOURNAL}").read_bytes()).lazy()
    return pl.scan_parquet(segment)


def _frame_of(journal: bytes) -> pl.DataFrame:
    """Read the content of a journal; its last line may have been torn by a kill."""
    lines = iter(journal[: journal.rfind(b"\n") + 1].splitlines() or [b'{"columns":{}}'])
    header = msgspec.json.decode(next(lines))
    rows = [
        (time, header["version"], latency, request, number, *row, *answer)
        for time, latency, request, values, answers in map(msgspec.json.decode, lines)
        for number, (row, answer) in enumerate(zip(values, answers, strict=True))
    ]
    schema = {name: KINDS[kind] for name, kind in (OWN | header["columns"]).items()}
    time = pl.col("time").cast(pl.Datetime("us")).dt.replace_time_zone("UTC")
    return pl.DataFrame(rows, schema=schema, orient="row", strict=False).with_columns(time)


if __name__ == "__main__":
    os.nice(10)  # answers come first
    log, megabytes = Path(sys.argv[1]), int(sys.argv[2])
    try:
        roll(log)
        if megabytes:
            forget(log, megabytes)
    except OSError as error:  # journals stay, and are read as they are; the next one tries again
        print(f"serving: no segment of the log was made: {error}", file=sys.stderr)
        sys.exit(1)
