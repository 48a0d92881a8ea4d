"""Draft the first contract of a table from the table itself. What the data cannot prove is marked as a guess in a comment."""

import math
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import date
from itertools import combinations
from typing import Any

import polars as pl
import yaml
from jinja2 import Environment, PackageLoader, select_autoescape

from onebutton_contracts.frames import POLARS_TYPES
from onebutton_contracts.personal import personal_columns

FEW = 20  # a value that fewer rows share may point at a person, so it is not named; more values than this are no list
KEY_TYPES = {"date", "integer", "string", "timestamp"}
KEY_COLUMNS = 10  # of which pairs are tried
LARGEST = 10**15  # beyond it a rounded limit is not exact any more


@dataclass(frozen=True)
class Origin:
    """Where a table comes from."""

    name: str
    pipeline: str
    source: str  # the address or the file's name, without credentials
    file: str  # the table inside the source
    sha256: str  # of the source
    license: str  # as SPDX names it


def draft(frame: pl.DataFrame, origin: Origin, guesses: Mapping[str, str], key: tuple[str, ...] | None = None) -> str:
    """Write a contract that the table keeps, as YAML in the Open Data Contract Standard; the template beside this file says how.

    Limits are rounded outwards and rare values left out, so the text, which goes into git, tells of no single row. Of columns
    with personal data it tells the type alone. `guesses` say by column what was assumed to give it its type; a key that is left
    out is guessed.
    """
    personal = personal_columns(frame)
    key = guess_key(frame.drop(list(personal))) if key is None else key
    columns: list[dict[str, Any]] = []
    for series in frame:
        name, known = series.name, series.name not in personal
        facts = {"name": name, "type": logical_type(series), "required": not series.null_count()}
        facts |= {"guess": guesses.get(name, ""), "personal": personal.get(name, "")}
        facts["limits"] = limits(series, is_key=name in key) if known else {}
        facts["allowed"] = allowed(series) if known and name not in key else []
        columns.append(facts)
    folder = PackageLoader("onebutton_contracts", "intake")
    jinja = Environment(loader=folder, autoescape=select_autoescape(), trim_blocks=True, keep_trailing_newline=True)
    jinja.filters["scalar"] = scalar
    template = jinja.get_template("contract.odcs.yaml.jinja")
    return template.render(origin=origin, rows=frame.height, key=key, columns=columns)


def guess_key(frame: pl.DataFrame) -> tuple[str, ...]:
    """Guess which columns name a row: the first that never repeats, else the first two that together never do."""
    if frame.height <= 1:
        return ()
    able = [series.name for series in frame if logical_type(series) in KEY_TYPES and not series.null_count()]
    counts = {name: frame[name].n_unique() for name in able}
    for names in (*((name,) for name in able), *combinations(able[:KEY_COLUMNS], 2)):
        enough = math.prod(counts[name] for name in names) >= frame.height  # counting pairs takes long
        if enough and frame.select(pl.struct(names).n_unique()).item() == frame.height:
            return names
    return ()


def logical_type(series: pl.Series) -> str:
    """Return what the standard calls a column's type."""
    return next(name for name, kind in POLARS_TYPES.items() if kind == series.dtype)


def limits(series: pl.Series, *, is_key: bool) -> dict[str, Any]:
    """Guess the range of a column of numbers or times: rounded outwards, and open above in a key, which goes on counting."""
    low, high = series.min(), series.max()
    if isinstance(low, date):
        return {"minimum": f"{low.year:04}-01-01"}
    if low is None or not series.dtype.is_numeric() or not series.is_between(-LARGEST, LARGEST).all():
        return {}
    return {"minimum": outwards(low, up=False)} | ({} if is_key else {"maximum": outwards(high, up=True)})


def outwards(value: Any, *, up: bool) -> int:
    """Round a limit away from the values inside it, to one digit: 4,983 becomes 5,000, and 17 becomes 10."""
    step = 10 ** math.floor(math.log10(abs(value))) if abs(value) >= 1 else 1
    return int((math.ceil if up else math.floor)(value / step) * step)


def allowed(series: pl.Series) -> list[str]:
    """Return the values of a column of categories: few, each in many rows; an empty list when it is none."""
    if series.dtype != pl.String:
        return []
    counts = series.alias("value").drop_nulls().value_counts()
    few = 0 < counts.height <= FEW and not counts.filter(pl.col("count") < FEW).height
    return sorted(counts["value"]) if few else []


def scalar(value: str) -> str:
    """Write a text as YAML that reads back as the same text, on one line."""
    # Quotes escape what would break the line, and keep 1e5 a text: our reader takes it for a number, PyYAML's writer does not.
    style = None if value.isprintable() and value[:1] not in "-+.0123456789" else '"'
    dumped: str = yaml.safe_dump(value, width=math.inf, allow_unicode=True, default_style=style)
    return dumped.removesuffix("\n").removesuffix("\n...")
