"""Read a table that has no contract yet: every value is looked at before a column is given a type."""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import polars as pl

from onebutton_contracts.errors import require
from onebutton_contracts.frames import POLARS_TYPES, plain
from onebutton_contracts.intake.files import read_table, sniff
from onebutton_contracts.personal import kinds

MISSING = ("", "NA", "N/A", "NaN", "nan", "null", "NULL")  # missing where all else is a number, date or boolean
NUMBER = r"^[+-]?(?:(?:0|[1-9]\d*)(?:\.\d*)?|\.\d+)(?:[eE][+-]?\d+)?$"
TOO_EXACT = r"^[+-]?\d{16,}$"  # more digits than a float keeps
PHONE = r"^\+\d{8,15}$"  # +4930123456 calls somebody; a measurement so large bears no plus
DATE = r"^\d{4}-\d{2}-\d{2}$"
INSTANT = r"^(\d{4}-\d{2}-\d{2})[T ](\d{2}:\d{2}(?::\d{2}(?:\.\d{1,6})?)?)(Z|[+-]\d{2}:?\d{2})?$"
NO_ZONE = "the file names no time zone: is it UTC?"
FOREIGN = {  # how other countries and programs write what would be a number or a date here
    "numbers with commas between thousands (or decimal commas)": r"^[+-]?\d{1,3}(?:,\d{3})+(?:\.\d+)?$",
    "numbers with a decimal comma": r"^[+-]?\d{1,3}(?:\.\d{3})*,\d+$|^[+-]?\d+,\d+$",
    "shares with a percent sign": r"^[+-]?\d+(?:[.,]\d+)?\s?%$",
    "dates written as day.month.year": r"^\d{1,2}\.\d{1,2}\.\d{2,4}$",
    "dates with slashes, of which day and month cannot be told": r"^\d{1,2}/\d{1,2}/\d{2,4}$",
}
MEASURED = r"^[+-]?\d+\D|^[€$£]\s?\d"  # 71.885 km, 12/2020
AS_MEASURED = "values that begin with a digit, as numbers with units and dates do"
KEPT = "a word that may mean missing and is kept"
MOST = 0.9  # of the values: then the others look like mistakes
MANY = 0.75  # of the values begin with a digit; of UUIDs only six of ten do


@dataclass(frozen=True)
class Parsed:
    """A table in the types of a contract."""

    frame: pl.DataFrame
    guesses: dict[str, str]  # by column, what had to be assumed to give it its type, or why it stays text
    notes: tuple[str, ...] = ()  # what a person should know of how it was read, a sentence each


def parse(path: Path) -> Parsed:
    """Read a table.

    Raises:
        InputError: it is no table, is damaged, has no rows, or has columns that no contract can describe.
    """
    kind = sniff(path)
    frame, notes = read_table(path, kind)
    guesses: dict[str, str] = {}
    columns = []
    for series in frame:
        column = plain(series)
        words = f"column {series.name!r} is {series.dtype}, which no contract describes; make plain columns of it"
        require(column.dtype in POLARS_TYPES.values(), f"{path.name}: {words}")
        without_zone = isinstance(series.dtype, pl.Datetime) and series.dtype.time_zone is None
        if column.dtype == pl.String and kind != "parquet":  # which has types of its own
            texts, column = column, _typed(column)
            zones = texts.str.extract(INSTANT, 3).null_count()
            without_zone = column.dtype == pl.Datetime and zones > column.null_count()
            if column.dtype == pl.String and (found := doubt(texts))[0]:
                guesses[series.name], example = found
                notes.append(f"column {series.name!r} stays text: {guesses[series.name]}{example}")
        if without_zone:
            guesses[series.name] = NO_ZONE
        columns.append(column)
    return Parsed(pl.DataFrame(columns), guesses, tuple(notes))


def _typed(texts: pl.Series) -> pl.Series:
    """Give a column of text the narrowest type that all of its values have."""
    bare = texts.str.strip_chars()
    present = bare.set(bare.is_in(MISSING), None)
    known = present.drop_nulls()
    if known.is_empty() or known.str.contains(PHONE).any():
        return texts
    for pattern, read in READERS.items():
        if known.str.contains(pattern).all():
            made = read(present)
            return made if made.null_count() == present.null_count() else texts
    return texts


def _instants(texts: pl.Series) -> pl.Series:
    """Read ISO 8601 with and without seconds, `T` or a space between, an offset or none, which is read as UTC."""
    whole = texts.str.replace(" ", "T", literal=True).str.replace(r"(T\d{2}:\d{2})($|Z|[+-])", "${1}:00${2}")
    zoned = whole.str.replace(r"(T[\d:.]+)$", "${1}Z")
    return zoned.str.to_datetime("%Y-%m-%dT%H:%M:%S%.f%#z", time_unit="us", time_zone="UTC", strict=False)


def _numbers(texts: pl.Series) -> pl.Series:
    """Read numbers; what a float does not hold, such as 1e999 or 17 digits, becomes null."""
    made = texts.str.strip_prefix("+").cast(pl.Float64, strict=False)
    return made.set(made.is_infinite() | texts.str.contains(TOO_EXACT), None)


READERS: dict[str, Callable[[pl.Series], pl.Series]] = {
    DATE: lambda texts: texts.str.to_date("%Y-%m-%d", strict=False),
    INSTANT: _instants,
    r"^(?i:true|false)$": lambda texts: texts.str.to_lowercase() == "true",
    # 007 is a code, and what has more digits does not fit
    r"^[+-]?(?:0|[1-9]\d{0,17})$": lambda texts: texts.str.strip_prefix("+").cast(pl.Int64),
    NUMBER: _numbers,
}


def doubt(texts: pl.Series) -> tuple[str, str]:
    """Say why a column of text that nearly has another type is none, and show a value with its row; of plain text nothing.

    The reason may stand in git, so it holds no value. The value is for the person who has the file; a personal one is left out.
    """
    rows = pl.DataFrame({"text": texts.str.strip_chars()}).with_row_index("row", offset=1).drop_nulls()
    known = rows.filter(~pl.col("text").is_in(MISSING))
    for words, pattern in FOREIGN.items():
        fitting = known.filter(pl.col("text").str.contains(pattern))
        if fitting.height > MOST * known.height:
            return f"{words}; a stage can turn them, or write the file anew", _example(fitting)
    if known["text"].str.contains(PHONE).any():
        return "", ""
    for kind, pattern in {"number": NUMBER, "date": DATE, "time": INSTANT}.items():
        others = known.filter(~pl.col("text").str.contains(pattern))
        if 0 < others.height < (1 - MOST) * known.height:
            verb = "is" if others.height == 1 else "are"
            return f"{others.height:,} of {known.height:,} values {verb} no {kind}", _example(others)
    measured = known.filter(pl.col("text").str.contains(MEASURED))
    if measured.height > MANY * known.height:
        return AS_MEASURED, _example(measured)
    missing = rows.filter(pl.col("text").is_in(MISSING) & (pl.col("text") != ""))
    if missing.is_empty():
        return "", ""
    verb = "holds" if missing.height == 1 else "hold"
    return f"{missing.height:,} of {texts.len():,} rows {verb} {KEPT}", _example(missing)


def _example(rows: pl.DataFrame) -> str:
    row, text = rows.row(0)
    return "" if kinds(text) else f", the first {text[:40]!r} in row {row:,}"
