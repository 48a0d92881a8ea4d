"""Parquet segments of the log of predictions: made of journals, and read together with them.

<log>/20261125T081500-4711-1.journal   being written, or left by a worker that was killed
<log>/20261125T080500-4711-1.parquet   a segment, made of the journal of the same name
"""

from __future__ import annotations

import fcntl
import os
import sys
from collections.abc import Container, Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Any

import msgspec

from onebutton_serving.settings import from_environment

if TYPE_CHECKING:
    import polars as pl

JOURNAL, SEGMENT = ".journal", ".parquet"


def read_log(folder: Path) -> pl.LazyFrame:
    """Read every prediction that was logged, oldest files first.

    Args:
        folder: `log` in the state folder of a server, which may be running.

    Returns:
        One row per row that was predicted: `time` (UTC), `version`, `latency_ms`, `request`, `row` (its place there), every
        input, every output. An input of one of these names gets `_in` behind it, an output `_out`. Releases with other inputs
        leave null in columns that they do not have. Without a prediction there is no row and no input.
    """
    import polars as pl

    for _ in range(10):  # a journal may become a segment meanwhile
        journals = sorted(folder.glob(f"*{JOURNAL}"))
        segments = {path.stem: path for path in folder.glob(f"*{SEGMENT}")}
        try:
            frames = {path.stem: _frame_of(path).lazy() for path in journals if path.stem not in segments}
        except FileNotFoundError:
            continue
        frames |= {name: pl.scan_parquet(path) for name, path in segments.items()}
        return pl.concat([frames[name] for name in sorted(frames)] or [_empty().lazy()], how="diagonal_relaxed")
    message = f"{folder}: the log changes faster than it can be read"
    raise OSError(message)


def roll(folder: Path) -> list[Path]:
    """Make a segment of every journal that nobody writes any more.

    Returns:
        The new segments. Each is there whole or not at all, whenever this is killed.
    """
    made = []
    with (folder / ".lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        for draft in folder.glob(".*.draft"):
            draft.unlink()
        for journal in sorted(folder.glob(f"*{JOURNAL}")):
            with journal.open("rb") as stream:
                try:
                    fcntl.flock(stream, fcntl.LOCK_SH | fcntl.LOCK_NB)
                except BlockingIOError:
                    continue
                if segment := _roll_one(journal):
                    made.append(segment)
    return made


def forget(folder: Path, days: int, megabytes: int, now: datetime) -> list[Path]:
    """Remove the oldest segments: those begun more than so many days ago, and those for which the log is too large.

    Args:
        folder: of the log.
        days: that segments stay; 0 keeps all.
        megabytes: that the log may have, its journals included, which stay; 0 sets no limit.
        now: in UTC.

    Returns:
        What was removed.
    """
    oldest = f"{now - timedelta(days=days):%Y%m%dT%H%M%S}" if days else ""
    sizes = {path: path.stat().st_size for path in [*folder.glob(f"*{SEGMENT}"), *folder.glob(f"*{JOURNAL}")]}
    over = sum(sizes.values()) - megabytes * 1_000_000 if megabytes else 0
    removed = []
    for path in sorted(folder.glob(f"*{SEGMENT}")):
        if over <= 0 and path.name >= oldest:
            break
        path.unlink(missing_ok=True)
        over -= sizes[path]
        removed.append(path)
    return removed


def _roll_one(journal: Path) -> Path | None:
    segment = journal.with_suffix(SEGMENT)
    frame = None if segment.is_file() else _frame_of(journal)
    if frame is not None and frame.height:
        draft = journal.with_name(f".{journal.stem}.draft")
        frame.write_parquet(draft)
        with draft.open("rb") as stream:
            os.fsync(stream.fileno())
        draft.replace(segment)
    journal.unlink()
    return segment if frame is not None and frame.height else None


def _columns(time: Any) -> dict[str, Any]:
    import polars as pl

    return {"time": time, "version": pl.String, "latency_ms": pl.Float64, "request": pl.String, "row": pl.Int64}


def _empty() -> pl.DataFrame:
    import polars as pl

    return pl.DataFrame(schema=_columns(pl.Datetime("us", "UTC")))


def _frame_of(journal: Path) -> pl.DataFrame:
    """Read a journal; a line that a kill or a full disk tore is passed over."""
    import polars as pl

    frames = [_empty()]
    for header, entries in _parts(journal):
        kinds: dict[str, Any] = {"string": pl.String, "integer": pl.Int64, "number": pl.Float64, "boolean": pl.Boolean}
        rows = [
            (moment, header["version"], latency, request, number, *row, *answer)
            for moment, latency, request, values, answers in entries
            for number, (row, answer) in enumerate(zip(values, answers, strict=True))
        ]
        schema = _columns(pl.Int64)
        for name, kind in header["inputs"]:
            schema[_free(name, schema, "_in")] = kinds[kind]
        for name in header["outputs"]:
            schema[_free(name, schema, "_out")] = pl.Float64
        time = pl.col("time").cast(pl.Datetime("us")).dt.replace_time_zone("UTC")
        frames.append(pl.DataFrame(rows, schema=schema, orient="row", strict=False).with_columns(time))
    return pl.concat(frames, how="diagonal_relaxed")


def _free(name: str, taken: Container[str], suffix: str) -> str:
    """Return a name that no column has yet."""
    while name in taken:
        name += suffix
    return name


def _parts(journal: Path) -> Iterator[tuple[dict[str, Any], list[list[Any]]]]:
    """Yield each header with the entries below it."""
    header: dict[str, Any] | None = None
    entries: list[list[Any]] = []
    for line in journal.read_bytes().split(b"\n"):
        try:
            found = msgspec.json.decode(line)
        except (msgspec.DecodeError, UnicodeDecodeError):
            continue
        if isinstance(found, dict):
            if header and entries:
                yield header, entries
            header, entries = found, []
        elif isinstance(found, list):
            entries.append(found)
    if header and entries:
        yield header, entries


if __name__ == "__main__":
    os.nice(10)  # answers come first
    try:
        settings = from_environment()
        roll(Path(sys.argv[1]))
        forget(Path(sys.argv[1]), settings.keep_days, settings.keep_mb, datetime.now(UTC))
    except OSError as error:  # journals stay, and are read as they are; the next one tries again
        print(f"serving: no segment of the log was made: {error}", file=sys.stderr)
        sys.exit(1)
