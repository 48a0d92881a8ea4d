"""What a text may mean in a CSV file, and why a column that almost has a type stays text."""

from __future__ import annotations

from dataclasses import dataclass

import polars as pl

from onebutton_contracts.personal import kinds

MISSING = ("", "NA", "N/A", "NaN", "nan", "null", "NULL")  # missing where all else is a number, date or boolean
BOOLEAN = r"^(?i:true|false)$"
INTEGER = r"^[+-]?(?:0|[1-9]\d{0,17})$"  # 007 is a code, and what has more digits does not fit
NUMBER = r"^[+-]?(?:(?:0|[1-9]\d*)(?:\.\d*)?|\.\d+)(?:[eE][+-]?\d+)?$"
PHONE = r"^\+\d{8,15}$"  # +4930123456 calls somebody; a measurement so large bears no plus
DATE = r"^\d{4}-\d{2}-\d{2}$"
INSTANT = r"^(\d{4}-\d{2}-\d{2})[T ](\d{2}:\d{2}(?::\d{2}(?:\.\d{1,6})?)?)(Z|[+-]\d{2}:?\d{2})?$"
FOREIGN = {  # how other countries and programs write what would be a number or a date here
    "numbers with commas between thousands (or decimal commas)": r"^[+-]?\d{1,3}(?:,\d{3})+(?:\.\d+)?$",
    "numbers with a decimal comma": r"^[+-]?\d{1,3}(?:\.\d{3})*,\d+$|^[+-]?\d+,\d+$",
    "shares with a percent sign": r"^[+-]?\d+(?:[.,]\d+)?\s?%$",
    "dates written as day.month.year": r"^\d{1,2}\.\d{1,2}\.\d{2,4}$",
    "dates with slashes, of which day and month cannot be told": r"^\d{1,2}/\d{1,2}/\d{2,4}$",
}
KEPT = "a word that may mean missing and is kept"
MOST = 0.9  # of the values: then the others look like mistakes


@dataclass(frozen=True)
class Doubt:
    """Why a column stays text.

    Attributes:
        words: the reason; it may stand in git, so it holds no value.
        example: a value and its row, for the person who has the file; empty where the value is personal.
    """

    words: str
    example: str


def doubt(texts: pl.Series) -> Doubt | None:
    """Say why a column of text that nearly has another type is none; None where it is plain text."""
    rows = pl.DataFrame({"text": texts.str.strip_chars()}).with_row_index("row", offset=1).drop_nulls()
    known = rows.filter(~pl.col("text").is_in(MISSING))
    for words, pattern in FOREIGN.items():
        fitting = known.filter(pl.col("text").str.contains(pattern))
        if fitting.height > MOST * known.height:
            return Doubt(f"{words}; a stage can turn them, or write the file anew", _example(fitting))
    if known["text"].str.contains(PHONE).any():
        return None
    for kind, pattern in {"number": NUMBER, "date": DATE, "time": INSTANT}.items():
        others = known.filter(~pl.col("text").str.contains(pattern))
        if 0 < others.height < (1 - MOST) * known.height:
            verb = "is" if others.height == 1 else "are"
            return Doubt(f"{others.height:,} of {known.height:,} values {verb} no {kind}", _example(others))
    missing = rows.filter(pl.col("text").is_in(MISSING) & (pl.col("text") != ""))
    if missing.height:
        verb = "holds" if missing.height == 1 else "hold"
        words = f"{missing.height:,} of {texts.len():,} rows {verb} {KEPT}"
        return Doubt(words, _example(missing))
    return None


def _example(rows: pl.DataFrame) -> str:
    row, text = rows.row(0)
    return "" if kinds(text) else f", the first {text[:40]!r} in row {row:,}"
