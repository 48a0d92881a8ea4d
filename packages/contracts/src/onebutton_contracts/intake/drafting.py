"""Draft the first contract of a table from the table itself. What the data cannot prove is marked as a guess in a comment."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import date, datetime
from itertools import combinations
from typing import Any

import polars as pl

from onebutton_contracts.frames import POLARS_TYPES
from onebutton_contracts.personal import personal_columns

FEW = 20  # a value that fewer rows share may point at a person, so it is not named; more values than this are no list
KEY_TYPES = {"date", "integer", "string", "timestamp"}
KEY_COLUMNS = 10  # of which pairs are tried
LARGEST = 10**15  # beyond it a rounded limit is not exact any more


@dataclass(frozen=True)
class Origin:
    """Where a table comes from.

    Attributes:
        source: the address or the file's name, without credentials.
        file: the table inside the source.
        sha256: of the source.
        license: as SPDX names it.
    """

    name: str
    pipeline: str
    source: str
    file: str
    sha256: str
    license: str


def draft(frame: pl.DataFrame, origin: Origin, guesses: Mapping[str, str], key: tuple[str, ...] | None = None) -> str:
    """Write a contract that the table keeps, as YAML in the Open Data Contract Standard.

    Limits are rounded outwards and rare values left out, so the text, which goes into git, tells of no single row. Of columns
    with personal data it tells the type alone.

    Args:
        frame: the table, in the types of `POLARS_TYPES`.
        origin: where it comes from.
        guesses: by column, what was assumed to give it its type.
        key: the columns that name a row; a guess where left out.
    """
    personal = personal_columns(frame)
    key = guess_key(frame.drop(list(personal))) if key is None else key
    lines = [
        "# Drafted from the data by `make data-add`. Where it says guess, a person who knows the data decides.",
        "# https://bitol-io.github.io/open-data-contract-standard/; what each key holds: docs/contracts.md",
        "apiVersion: v3.1.0",
        "kind: DataContract",
        f"id: {origin.pipeline}-{origin.name}",
        "version: 1.0.0",
        "status: draft",
        "team:",
        f"  name: the team that owns pipelines/{origin.pipeline} (see .github/CODEOWNERS)",
        "roles:",
        "  - role: reader",
        "    access: read",
        "    description: ask the team that owns the pipeline # guess: say where access is asked for",
        "schema:",
        f"  - name: {origin.name}",
        "    logicalType: object",
        "    customProperties:",
        "      - {property: classification, value: internal} # guess: public, internal or personal",
        *_property("source", origin.source),
        *_property("sourceFile", origin.file),
        *_property("sourceSha256", origin.sha256),
        *_property("sourceLicense", origin.license),
        "    quality:",
        f"      # guess: half of the {frame.height:,} rows that came first",
        f"      - {{metric: rowCount, mustBeGreaterOrEqualTo: {max(1, frame.height // 2)}}}",
        "    properties:",
    ]
    for series in frame:
        lines += _column(series, key, personal.get(series.name, ""), guesses.get(series.name, ""))
    return "\n".join(lines) + "\n"


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


def _column(series: pl.Series, key: tuple[str, ...], personal: str, guess: str) -> Iterator[str]:
    yield f"      - name: {scalar(series.name)}"
    yield f"        logicalType: {logical_type(series)}" + (f" # guess: {guess}" if guess else "")
    if not series.null_count():
        yield "        required: true # guess: none is missing"
    if series.name in key:
        yield "        primaryKey: true # guess: no two rows are alike in it" + (" together" if len(key) > 1 else "")
        yield f"        primaryKeyPosition: {key.index(series.name) + 1}"
    if personal:
        yield f"        classification: personal # found: {personal}"
        return
    options = ", ".join(f"{name}: {limit}" for name, limit in limits(series, is_key=series.name in key).items())
    if options:
        yield "        # guess: what was seen, rounded outwards"
        yield f"        logicalTypeOptions: {{{options}}}"
    values = allowed(series) if series.name not in key else []
    if values:
        yield "        # guess: the values that were seen"
        yield "        quality:"
        yield "          - metric: invalidValues"
        yield "            mustBe: 0"
        yield "            arguments:"
        yield "              validValues:"
        yield from (f"                - {scalar(value)}" for value in values)


def limits(series: pl.Series, *, is_key: bool) -> dict[str, Any]:
    """Guess the range of a column of numbers or times: rounded outwards, and open above in a key, which goes on counting."""
    low, high = series.min(), series.max()
    if isinstance(low, datetime | date):
        return {"minimum": f"{low.year:04}-01-01"}
    if isinstance(low, bool) or not isinstance(low, int | float) or not isinstance(high, int | float):
        return {}
    if not (abs(low) <= LARGEST and abs(high) <= LARGEST):
        return {}
    return {"minimum": outwards(low, up=False)} | ({} if is_key else {"maximum": outwards(high, up=True)})


def outwards(value: float, *, up: bool) -> float:
    """Round a limit away from the values inside it, to one digit and a half: 4,983 becomes 5,000, and 17 becomes 15."""
    if not value:
        return 0
    if abs(value) < 1:  # a share, or a small number: to the next whole one
        return math.ceil(value) if up else math.floor(value)
    step = 10 ** math.floor(math.log10(abs(value)))
    half = step // 2 if step > 1 else 1
    return int((math.ceil if up else math.floor)(value / half) * half)


def allowed(series: pl.Series) -> list[str]:
    """Return the values of a column of categories: few, each in many rows; an empty list when it is none."""
    if series.dtype != pl.String:
        return []
    counts = series.alias("value").drop_nulls().value_counts()
    few = 0 < counts.height <= FEW and not counts.filter(pl.col("count") < FEW).height
    return sorted(counts["value"]) if few else []


def _property(name: str, value: str) -> list[str]:
    return [f"      - property: {name}", f"        value: {scalar(value)}"]


def scalar(value: str) -> str:
    """Write a text as YAML that reads back as the same text, on one line."""
    import yaml

    style = None if value.isprintable() else '"'  # escapes what would break the line
    dumped: str = yaml.safe_dump(value, width=math.inf, allow_unicode=True, default_style=style)
    return dumped.removesuffix("\n").removesuffix("\n...")
