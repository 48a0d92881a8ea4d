"""Rows made of a contract alone: every value is allowed, and nothing else about them is true.

For unit tests; no stage imports this.
"""

from __future__ import annotations

import random
import string
from datetime import UTC, date, datetime, timedelta

import numpy as np
import polars as pl

from onebutton_contracts.errors import InputError
from onebutton_contracts.frames import POLARS_TYPES
from onebutton_contracts.rules import row_rules
from onebutton_contracts.terms import Column, Contract

NULLS = 0.05  # the share of nulls where a value may be missing, or less when the contract says so
WORDS = 200  # different texts in a column
WIDE = 10**6  # how far a number without a limit may lie from the other limit
EPOCH = datetime(2020, 1, 1, tzinfo=UTC)


def sample(contract: Contract, rows: int, seed: int = 0) -> pl.DataFrame:
    """Make rows that keep every rule about single columns, and the primary key.

    Args:
        contract: what the rows must be.
        rows: how many.
        seed: the same seed, the same rows.

    Raises:
        InputError: a rule over several columns, or a key of few values, leaves too few of them.
    """
    chance = np.random.Generator(np.random.PCG64(seed))
    kept = pl.DataFrame(schema={column.name: POLARS_TYPES[column.logical_type] for column in contract.columns})
    for _ in range(10):
        drawn = pl.DataFrame([_draw(column, rows, chance) for column in contract.columns])
        for rule in row_rules(contract):
            if rule.name not in {"primary key", "unique"}:
                drawn = drawn.filter(~rule.broken.fill_null(value=False))
        kept = pl.concat([kept, drawn])
        for key in [contract.primary_key, *((column.name,) for column in contract.columns if column.unique)]:
            kept = kept.unique(key, keep="first", maintain_order=True) if key else kept
        if kept.height >= rows:
            return kept.head(rows)
    message = (
        f"{contract.path}: only {kept.height:,} of {rows:,} rows can be made of the contract alone: its key or its rules over "
        "several columns let too few through. `make run DATA=dummy` knows more"
    )
    raise InputError(message)


def _draw(column: Column, rows: int, chance: np.random.Generator) -> pl.Series:
    values = _values(column, rows, chance)
    if not column.required:
        share = NULLS if column.null_percent is None else min(NULLS, column.null_percent / 200)
        values = (
            pl.Series(column.name, [None], dtype=values.dtype)
            .new_from_index(0, rows)
            .zip_with(pl.Series(chance.random(rows) < share), values)
        )
    return values.alias(column.name)


def _values(column: Column, rows: int, chance: np.random.Generator) -> pl.Series:
    kind = POLARS_TYPES[column.logical_type]
    if column.allowed:
        return pl.Series([column.allowed[at] for at in chance.integers(0, len(column.allowed), rows)], dtype=kind)
    match column.logical_type:
        case "boolean":
            return pl.Series(chance.random(rows) < 0.5)  # noqa: PLR2004  a coin
        case "string":
            words = _words(column, chance)
            return pl.Series([words[at] for at in chance.integers(0, len(words), rows)], dtype=kind)
        case "date" | "timestamp":
            low, high = _instants(column)
            seconds = chance.integers(0, int((high - low).total_seconds()) // 3600 + 1, rows) * 3600
            return pl.Series([low + timedelta(seconds=int(second)) for second in seconds]).cast(kind)
        case _:
            least, most = _numbers(column)
            whole = column.logical_type == "integer"
            drawn = chance.integers(int(np.ceil(least)), int(np.floor(most)), rows, endpoint=True) if whole else None
            return pl.Series(chance.uniform(least, most, rows) if drawn is None else drawn, dtype=kind)


def _numbers(column: Column) -> tuple[float, float]:
    low, high = (limit if isinstance(limit, int | float) else None for limit in (column.minimum, column.maximum))
    low = low if low is not None else (0 if high is None else high - WIDE)
    return low, high if high is not None else low + WIDE


def _instants(column: Column) -> tuple[datetime, datetime]:
    def instant(limit: object) -> datetime | None:
        if isinstance(limit, datetime):
            return limit
        return datetime(limit.year, limit.month, limit.day, tzinfo=UTC) if isinstance(limit, date) else None

    low, high = instant(column.minimum), instant(column.maximum)
    low = low or (EPOCH if high is None else high - timedelta(days=366))
    return low, high or low + timedelta(days=366)


def _words(column: Column, chance: np.random.Generator) -> list[str]:
    """Make up texts: of the pattern, when there is one."""
    if column.pattern:
        import rstr

        maker = rstr.Rstr(random.Random(int(chance.integers(2**32))))  # noqa: S311  no secret
        made = [maker.xeger(column.pattern) for _ in range(WORDS)]
    else:
        least, most = column.min_length or 1, min(column.max_length or 12, (column.min_length or 1) + 12)
        letters = np.array(list(string.ascii_lowercase))
        made = ["".join(chance.choice(letters, chance.integers(least, most, endpoint=True))) for _ in range(WORDS)]
    fits = [
        word
        for word in made
        if len(word) >= (column.min_length or 0) and (column.max_length is None or len(word) <= column.max_length)
    ]
    if not fits:
        message = (
            f"column {column.name!r}: no text of pattern {column.pattern!r} has the length that the contract asks for"
        )
        raise InputError(message)
    return fits
