"""How the types of a contract are those of a polars frame."""

from __future__ import annotations

from collections.abc import Iterable

import polars as pl

from onebutton_contracts.terms import Column

POLARS_TYPES: dict[str, pl.DataType] = {
    "boolean": pl.Boolean(),
    "date": pl.Date(),
    "integer": pl.Int64(),
    "number": pl.Float64(),
    "string": pl.String(),
    "timestamp": pl.Datetime("us", "UTC"),
}


def polars_schema(columns: Iterable[Column]) -> dict[str, pl.DataType]:
    """Return the type of each column, in their order."""
    return {column.name: POLARS_TYPES[column.logical_type] for column in columns}
