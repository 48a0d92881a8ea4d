"""Find the tables to score, and read them a part at a time.

A parquet file is read in place. A CSV is turned into parquet first, every cell as text, so that any part of it can be reached at
once and no guess at a column's type can turn out wrong a million rows later.
"""

from __future__ import annotations

import csv
import glob
import os
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import islice
from pathlib import Path

import polars as pl

from onebutton_contracts.errors import InputError

ROW_GROUP = 131_072  # rows; a part is one of them


@dataclass(frozen=True)
class Source:
    """A file to score, as it is before anything is read."""

    path: Path

    @property
    def is_text(self) -> bool:
        """Whether it is a CSV; anything else is parquet."""
        return self.path.suffix.lower() == ".csv"

    def stamp(self) -> tuple[str, int, int]:
        """Return name, size and time of the last change: another one means another input."""
        found = self.path.stat()
        return self.path.name, found.st_size, found.st_mtime_ns

    def unreadable(self, why: object) -> InputError:
        """Say why it cannot be read."""
        kind = "CSV" if self.is_text else "parquet"
        return InputError(f"{self.path} cannot be read as {kind}: {str(why).strip().splitlines()[0]}")


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
            raise self.table.source.unreadable(error) from None
        if rows.height != self.rows:
            raise self.table.source.unreadable("it is shorter than it was")
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
    """Find the files that were asked for, in the order of their names.

    Args:
        wanted: a file, a folder, or a pattern such as `days/*.parquet`.
        out: where the answers go: never an input, though it may lie in the same folder.

    Raises:
        InputError: nothing is there.
    """
    place = Path(wanted)
    patterns = [f"{glob.escape(wanted)}/*.{ending}" for ending in ("parquet", "csv")] if place.is_dir() else [wanted]
    names = [wanted] if place.is_file() else [name for pattern in patterns for name in glob.glob(pattern)]  # noqa: PTH207  may be absolute
    found = sorted(path for path in map(Path, names) if path.is_file() and path.resolve() != out.resolve())
    if not found:
        there = "holds no parquet or CSV file" if place.is_dir() else "is not here"
        message = f"IN={wanted} {there}. IN can be a file, a folder, or a pattern in quotes, such as 'days/*.parquet'"
        raise InputError(message)
    return [Source(path) for path in found]


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
        if "os error" in str(error) and os.access(source.path, os.R_OK):
            raise
        raise source.unreadable(error) from None


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
        raise source.unreadable(error) from None


def cut(tables: Sequence[Table], rows: int) -> list[Part]:
    """Cut tables into parts of so many rows; a part never reaches into the next table.

    Raises:
        InputError: none has a row, or two differ in their columns.
    """
    first = tables[0]
    for other in tables[1:]:
        if other.schema != first.schema:
            names = sorted({name for name, _ in first.schema.items() ^ other.schema.items()}) or [
                "the order of columns"
            ]
            message = (
                f"{first.source.path.name} and {other.source.path.name} differ in {', '.join(names)}. Score them apart"
            )
            raise InputError(message)
    places = [(table, start) for table in tables for start in range(0, table.rows, rows)]
    if not places:
        message = f"{first.source.path} has columns but no rows, so there is nothing to score"
        raise InputError(message)
    return [Part(number, table, start, min(rows, table.rows - start)) for number, (table, start) in enumerate(places)]
