"""What a text may mean in a CSV file, and why a column that almost has a type stays text."""

from __future__ import annotations

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
    missing = rows.filter(pl.col("text").is_in(MISSING) & (pl.col("text") != ""))
    if not missing.height:
        return "", ""
    verb = "holds" if missing.height == 1 else "hold"
    return f"{missing.height:,} of {texts.len():,} rows {verb} {KEPT}", _example(missing)


def _example(rows: pl.DataFrame) -> str:
    row, text = rows.row(0)
    return "" if kinds(text) else f", the first {text[:40]!r} in row {row:,}"
