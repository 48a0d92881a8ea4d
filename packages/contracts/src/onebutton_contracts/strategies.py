"""Hypothesis strategies made of a contract: property tests then meet every value that it allows, the odd ones first.

For tests; no stage imports this. Hypothesis comes with the extra `testing`: https://hypothesis.readthedocs.io
"""

from __future__ import annotations

import math
import re
from datetime import UTC, date, datetime
from typing import TYPE_CHECKING, Any

import polars as pl

from onebutton_contracts.errors import InputError
from onebutton_contracts.frames import polars_schema
from onebutton_contracts.personal import kinds
from onebutton_contracts.rules import row_rules
from onebutton_contracts.terms import Column, Contract

if TYPE_CHECKING:
    from hypothesis.strategies import SearchStrategy


def tables(contract: Contract, min_rows: int = 1, max_rows: int = 10) -> SearchStrategy[pl.DataFrame]:
    """Draw small tables that keep every rule about rows and keys.

    Rules about a table as a whole (row count, freshness, measures in SQL) are left out: they are about many rows. A column that
    limits its share of nulls gets none.

    Args:
        contract: what the rows must be.
        min_rows: fewest rows.
        max_rows: most rows.

    Raises:
        InputError: a pattern is one that Python's regular expressions do not know.
    """
    from hypothesis import strategies as st

    schema = polars_schema(contract.columns)
    rows = st.fixed_dictionaries({column.name: cells(column) for column in contract.columns})
    if contract.row_rules:
        broken = pl.any_horizontal(pl.sql_expr(rule.condition).fill_null(value=False) for rule in contract.row_rules)
        rows = rows.filter(lambda row: not pl.DataFrame([row], schema=schema).select(broken).item())
    keys = [contract.primary_key, *((column.name,) for column in contract.columns if column.unique)]
    unique = tuple(_key(names) for names in keys if names)
    drawn = st.lists(rows, min_size=min_rows, max_size=max_rows, unique_by=unique or None)
    return drawn.map(lambda found: pl.DataFrame(found, schema=schema)).filter(
        lambda frame: not any(frame.select(rule.broken.any()).item() for rule in row_rules(contract))
    )


def cells(column: Column) -> SearchStrategy[Any]:
    """Draw what may stand in one cell of a column, None included where it may be missing.

    Raises:
        InputError: its pattern is one that Python's regular expressions do not know.
    """
    from hypothesis import strategies as st

    values = st.sampled_from(column.allowed) if column.allowed else _values(column)
    return values if column.required or column.null_percent is not None else st.none() | values


def _values(column: Column) -> SearchStrategy[Any]:
    from hypothesis import strategies as st

    low: Any = column.minimum
    high: Any = column.maximum
    match column.logical_type:
        case "boolean":
            return st.booleans()
        case "integer":
            return st.integers(
                -(2**63) if low is None else math.ceil(low), 2**63 - 1 if high is None else math.floor(high)
            )
        case "number":
            return st.floats(low, high, allow_nan=False, allow_infinity=False)
        case "date":
            return st.dates(low or date.min, high or date.max)
        case "timestamp":
            ends = [(limit or end).replace(tzinfo=None) for limit, end in ((low, datetime.min), (high, datetime.max))]  # noqa: DTZ901
            return st.datetimes(*ends, timezones=st.just(UTC))
        case _:
            return _texts(column)


def _texts(column: Column) -> SearchStrategy[str]:
    from hypothesis import strategies as st

    least, most = column.min_length or 0, column.max_length
    if column.pattern:
        try:
            pattern = re.compile(column.pattern)
        except re.error as error:
            message = f"column {column.name!r}: Python does not know the pattern {column.pattern!r}: {error}"
            raise InputError(message) from None
        fits = pl.col("text").str.contains(column.pattern)  # the two dialects differ in a few places
        texts = st.from_regex(pattern).filter(lambda text: pl.DataFrame({"text": [text]}).select(fits).item())
        return texts.filter(lambda text: least <= len(text) <= (len(text) if most is None else most))
    characters = st.characters(exclude_categories=["Cs"])  # surrogates are no text in UTF-8
    texts = st.text(characters, min_size=least, max_size=most)
    return texts.filter(lambda text: not kinds(text)) if column.is_free_text else texts


def _key(names: tuple[str, ...]) -> Any:
    """Return what two rows may not share; nulls count as alike, as a key of nulls names nothing."""
    return lambda row: tuple(row[name] for name in names)
