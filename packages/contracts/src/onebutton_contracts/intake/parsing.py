"""Read a table that has no contract yet: every value is looked at before a column is given a type."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import polars as pl
from fastexcel import FastExcelError, read_excel

from onebutton_contracts.errors import InputError, require
from onebutton_contracts.frames import POLARS_TYPES, plain
from onebutton_contracts.intake.csv_files import check_names, read_csv
from onebutton_contracts.intake.near_misses import BOOLEAN, DATE, INSTANT, INTEGER, MISSING, NUMBER, PHONE, doubt
from onebutton_contracts.intake.sniffing import sniff

TOO_EXACT = r"^[+-]?\d{16,}$"  # more digits than a float keeps
NO_ZONE = "the file names no time zone: is it UTC?"


@dataclass(frozen=True)
class Parsed:
    """A table in the types of a contract.

    Attributes:
        guesses: by column, what had to be assumed to give it its type.
        notes: what a person should know of how it was read, a sentence each.
    """

    frame: pl.DataFrame
    guesses: dict[str, str]
    notes: tuple[str, ...] = ()


def parse(path: Path) -> Parsed:
    """Read a table.

    Raises:
        InputError: it is no table, is damaged, has no rows, or has columns that no contract can describe.
    """
    kind = sniff(path)
    notes: tuple[str, ...] = ()
    try:
        if kind == "csv":
            frame, notes = read_csv(path)
        elif kind == "xlsx":
            frame, notes = _read_book(path)
        else:
            frame = pl.read_parquet(path)
    except (pl.exceptions.PolarsError, FastExcelError, OSError) as error:
        message = f"{path.name} cannot be read: {(str(error).splitlines() or [type(error).__name__])[0]}"
        raise InputError(message) from None
    check_names(frame.columns, path)
    require(frame.height, f"{path.name} has no rows")
    guesses: dict[str, str] = {}
    columns, told = [], list(notes)
    for series in frame:
        words = f"column {series.name!r} is {series.dtype}, which no contract describes; make plain columns of it"
        require((known := plain(series)).dtype in POLARS_TYPES.values(), f"{path.name}: {words}")
        if isinstance(series.dtype, pl.Datetime) and series.dtype.time_zone is None:
            guesses[series.name] = NO_ZONE
        column, note = _typed(known, kind, guesses)
        columns.append(column)
        told += [note] if note else []
    return Parsed(pl.DataFrame(columns), guesses, tuple(told))


def _read_book(path: Path) -> tuple[pl.DataFrame, tuple[str, ...]]:
    """Read the first sheet of a workbook, and say which others there are."""
    first, *others = read_excel(path).sheet_names
    frame = pl.read_excel(path, sheet_name=first, engine="calamine", infer_schema_length=None, raise_if_empty=False)
    more = f"; not taken in: {', '.join(others)}. Another is taken once it stands first, or is saved as CSV"
    return frame, (f"the sheet {first} was read{more if others else ''}",)


def _typed(series: pl.Series, kind: str, guesses: dict[str, str]) -> tuple[pl.Series, str]:
    """Give a column of text the narrowest type that all of its values have, and say why where it nearly has one.

    Parquet has types of its own: there a text is one.
    """
    if series.dtype != pl.String or kind == "parquet":
        return series, ""
    made = _from_text(series)
    if made is not None:
        if made.dtype == pl.Datetime and series.str.extract(INSTANT, 3).null_count() > made.null_count():
            guesses[series.name] = NO_ZONE
        return made, ""
    words, example = doubt(series)
    if not words:
        return series, ""
    guesses[series.name] = words
    return series, f"column {series.name!r} stays text: {words}{example}"


def _from_text(texts: pl.Series) -> pl.Series | None:
    """Return the values that texts stand for; None when they are text."""
    bare = texts.str.strip_chars()
    present = bare.set(bare.is_in(MISSING), None)
    known = present.drop_nulls()
    if not len(known) or known.str.contains(PHONE).any():
        return None

    def all_are(pattern: str) -> bool:
        return bool(known.str.contains(pattern).all())

    if all_are(DATE):
        made = present.str.to_date("%Y-%m-%d", strict=False)
    elif all_are(INSTANT):
        made = _instants(present)
    elif all_are(BOOLEAN):
        made = present.str.to_lowercase() == "true"
    elif all_are(INTEGER):
        made = present.str.strip_prefix("+").cast(pl.Int64, strict=False)
    elif all_are(NUMBER) and not known.str.contains(TOO_EXACT).any():
        made = present.str.strip_prefix("+").cast(pl.Float64, strict=False)
        made = made.set(made.is_infinite(), None)  # 1e999 is no number that fits
    else:
        return None
    return made if made.null_count() == present.null_count() else None


def _instants(texts: pl.Series) -> pl.Series:
    """Read ISO 8601 with and without seconds, `T` or a space between, an offset or none, which is read as UTC."""
    whole = texts.str.replace(" ", "T", literal=True).str.replace(r"(T\d{2}:\d{2})($|Z|[+-])", "${1}:00${2}")
    zoned = whole.str.replace(r"(T[\d:.]+)$", "${1}Z")
    return zoned.str.to_datetime("%Y-%m-%dT%H:%M:%S%.f%#z", time_unit="us", time_zone="UTC", strict=False)
