"""Find the tables to score, and read them a part at a time.

A parquet file is read in place. A CSV is turned into parquet first, every cell as text, so that any part of it can be reached at
once and no guess at a column's type can turn out wrong a million rows later.
"""

from __future__ import annotations

import glob
from collections.abc import Sequence
from dataclasses import dataclass
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
        rows: how many it has.
        schema: its columns, all of them text when it was a CSV.
    """

    source: Source
    path: Path
    rows: int
    schema: pl.Schema

    @property
    def name(self) -> str:
        """The file's name."""
        return self.source.path.name


@dataclass(frozen=True)
class Part:
    """Neighbouring rows of one table, scored in one piece."""

    number: int
    table: Table
    first: int
    rows: int

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
    kept = sorted(path for path in found if path.is_file() and not path.name.startswith(".") and not _same(path, out))
    if not kept:
        there = "holds no parquet or CSV file" if place.is_dir() else "is not here"
        message = f"IN={wanted} {there}. IN can be a file, a folder, or a pattern in quotes, such as 'days/*.parquet'"
        raise InputError(message)
    return [_source(path) for path in kept]


def _same(path: Path, other: Path) -> bool:
    return path.resolve() == other.resolve()


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


def to_parquet(source: Source, target: Path) -> None:
    """Write a CSV as parquet, every cell as text, in bounded memory.

    Raises:
        InputError: it is no CSV.
        OSError: it cannot be written.
    """
    try:
        rows = pl.scan_csv(source.path, infer_schema=False, glob=False)
        rows.sink_parquet(target, compression="lz4", row_group_size=ROW_GROUP)
    except (pl.exceptions.PolarsError, UnicodeDecodeError) as error:
        if "os error" in str(error):
            raise OSError(str(error)) from None
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
        schema, rows = lazy.collect_schema(), lazy.select(pl.len()).collect().item()
    except (OSError, pl.exceptions.PolarsError) as error:
        raise _unreadable(source.path, error) from None
    return Table(source, path, rows, schema)


def check_alike(tables: Sequence[Table]) -> None:
    """Refuse tables of which no one table can be made.

    Raises:
        InputError: none has a row, or two differ in their columns.
    """
    first = tables[0]
    for other in tables[1:]:
        if other.schema == first.schema:
            continue
        differing = [
            name for name in {**first.schema, **other.schema} if first.schema.get(name) != other.schema.get(name)
        ]
        column = differing[0] if differing else "the order of columns"
        kinds = (
            [str(table.schema.get(column, "missing")) for table in (first, other)] if differing else ["one", "another"]
        )
        message = f"{first.name} and {other.name} differ in {column}: {kinds[0]} and {kinds[1]}. Score them apart"
        raise InputError(message)
    if not any(table.rows for table in tables):
        message = f"{first.source.path} has columns but no rows, so there is nothing to score"
        raise InputError(message)


def cut(tables: Sequence[Table], rows: int) -> list[Part]:
    """Cut tables into parts of so many rows; a part never reaches into the next table."""
    places = [(table, first) for table in tables for first in range(0, table.rows, rows)]
    return [Part(number, table, first, min(rows, table.rows - first)) for number, (table, first) in enumerate(places)]


def _unreadable(path: Path, why: object) -> InputError:
    return InputError(f"{path} cannot be read: {str(why).strip().splitlines()[0]}")
