"""Find the tables to score, and read them a part at a time.

A parquet file is read in place. A CSV is turned into parquet first, every cell as text, so that any part of it can be reached at
once and no guess at a column's type can turn out wrong a million rows later.
"""

from __future__ import annotations

import csv
import glob
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import islice
from pathlib import Path

import polars as pl

from onebutton_contracts.errors import InputError

PARQUET = b"PAR1"  # the first bytes of such a file
LOOK = 65_536  # bytes of a CSV that must look like text
ROW_GROUP = 131_072  # rows; a part is one of them


@dataclass(frozen=True)
class Source:
    """A file to score, as it is before anything is read.

    Attributes:
        stamp: name, size and time of the last change: another one means another input.
    """

    path: Path
    is_text: bool
    stamp: tuple[str, int, int]


@dataclass(frozen=True)
class Table:
    """A source that can be read from any row on.

    Attributes:
        source: where it came from, for people.
        path: a parquet file.
        schema: its columns, all of them text when it was a CSV.
    """

    source: Source
    path: Path
    rows: int
    schema: pl.Schema


@dataclass(frozen=True)
class Part:
    """Neighbouring rows of one table, scored in one piece."""

    number: int
    table: Table
    first: int
    rows: int

    @property
    def stem(self) -> str:
        """The name under which its answers are kept."""
        return f"part-{self.number:06}"

    @property
    def span(self) -> str:
        """Its rows, for people."""
        return f"rows {self.first + 1:,} to {self.first + self.rows:,}"

    def read(self) -> pl.DataFrame:
        """Read its rows.

        Raises:
            InputError: the file is damaged here, or was cut since.
        """
        try:
            rows = pl.scan_parquet(self.table.path, glob=False).slice(self.first, self.rows).collect()
        except (OSError, pl.exceptions.PolarsError) as error:
            raise _unreadable(self.table.source.path, error) from None
        if rows.height != self.rows:
            raise _unreadable(self.table.source.path, f"it has no row {self.first + rows.height + 1:,} any more")
        return rows

    def place(self, row: int) -> str:
        """Say where a row of it stands, counted from 0 here: its number in the file, and of a CSV the line where it begins."""
        place = self.first + row + 1
        if not self.table.source.is_text:
            return f"row {place:,}"
        with self.table.source.path.open(encoding="utf-8-sig", newline="") as stream:
            records = csv.reader(stream)
            for _ in islice(records, place):  # the header, and the rows before; a quoted cell may hold lines
                pass
            return f"row {place:,} in line {records.line_num + 1:,}"


def find_sources(wanted: str, out: Path) -> list[Source]:
    """Find the files that were asked for.

    Args:
        wanted: a file, a folder, or a pattern such as `days/*.parquet`.
        out: where the answers go: never an input, though it may lie in the same folder.

    Raises:
        InputError: nothing is there, or a file is no table.
    """
    place = Path(wanted)
    if place.is_dir():
        found = [path for ending in ("parquet", "csv") for path in place.glob(f"*.{ending}")]
    elif place.exists():
        found = [place]
    else:
        found = [Path(path) for path in glob.glob(wanted)]  # noqa: PTH207  the pattern may be absolute
    is_input = [path.is_file() and path.name[0] != "." and path.resolve() != out.resolve() for path in found]
    kept = sorted(path for path, keep in zip(found, is_input, strict=True) if keep)
    if not kept:
        there = "holds no parquet or CSV file" if place.is_dir() else "is not here"
        message = f"IN={wanted} {there}. IN can be a file, a folder, or a pattern in quotes, such as 'days/*.parquet'"
        raise InputError(message)
    return [_source(path) for path in kept]


def _source(path: Path) -> Source:
    try:
        with path.open("rb") as stream:
            start = stream.read(LOOK)
        found = path.stat()
    except OSError as error:
        raise _unreadable(path, error.strerror) from None
    if not start:
        raise _unreadable(path, "it is empty")
    is_text = not start.startswith(PARQUET)
    if is_text and (path.suffix.lower() != ".csv" or b"\0" in start):
        raise _unreadable(path, "it is neither parquet nor CSV")
    return Source(path, is_text, (path.name, found.st_size, found.st_mtime_ns))


def check_unchanged(sources: Sequence[Source]) -> None:
    """Refuse files that are not any more what they were when they were found.

    Raises:
        InputError: names the file.
    """
    for source in sources:
        found = source.path.stat()
        if (found.st_size, found.st_mtime_ns) != source.stamp[1:]:
            message = f"{source.path} was changed while it was scored, so nothing was written. Press again"
            raise InputError(message)


def to_parquet(source: Source, target: Path) -> None:
    """Write a CSV as parquet, every cell as text, in bounded memory.

    Raises:
        InputError: it is no CSV.
        PolarsError: it cannot be written.
    """
    try:
        rows = pl.scan_csv(source.path, infer_schema=False, glob=False)
        rows.sink_parquet(target, compression="lz4", row_group_size=ROW_GROUP)
    except (pl.exceptions.PolarsError, UnicodeDecodeError) as error:
        if "os error" in str(error):
            raise
        raise _unreadable(source.path, error) from None


def open_table(source: Source, path: Path) -> Table:
    """Open what can be read from any row on.

    Args:
        source: where it came from.
        path: the source itself, or what `to_parquet` made of it.

    Raises:
        InputError: it is damaged.
    """
    try:
        lazy = pl.scan_parquet(path, glob=False)
        return Table(source, path, lazy.select(pl.len()).collect().item(), lazy.collect_schema())
    except (OSError, pl.exceptions.PolarsError) as error:
        raise _unreadable(source.path, error) from None


def cut(tables: Sequence[Table], rows: int) -> list[Part]:
    """Cut tables into parts of so many rows; a part never reaches into the next table.

    Raises:
        InputError: none has a row, or two differ in their columns.
    """
    first = tables[0]
    for other in tables[1:]:
        names = {**first.schema, **other.schema}
        differ = [name for name in names if first.schema.get(name) != other.schema.get(name)]
        if differ or other.schema != first.schema:
            column = differ[0] if differ else "the order of columns"
            kinds = " and ".join(str(table.schema.get(column, "missing")) for table in (first, other)) if differ else ""
            words = f"{first.source.path.name} and {other.source.path.name} differ in {column}"
            message = f"{words}{kinds and f': {kinds}'}. Score them apart"
            raise InputError(message)
    places = [(table, start) for table in tables for start in range(0, table.rows, rows)]
    if not places:
        message = f"{first.source.path} has columns but no rows, so there is nothing to score"
        raise InputError(message)
    return [Part(number, table, start, min(rows, table.rows - start)) for number, (table, start) in enumerate(places)]


def _unreadable(path: Path, why: object) -> InputError:
    return InputError(f"{path} cannot be read: {str(why).strip().splitlines()[0]}")
