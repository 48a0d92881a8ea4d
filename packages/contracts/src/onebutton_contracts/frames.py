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


def is_pattern(name: str) -> bool:
    """Whether polars would take the name of a column for a pattern that many names match."""
    return name == "*" or (name.startswith("^") and name.endswith("$"))


def plain(series: pl.Series) -> pl.Series:
    """Bring a column to the type that a contract has for it; one that no contract describes stays as it is."""
    kind = series.dtype
    if kind == pl.Null or isinstance(kind, pl.Categorical | pl.Enum):
        return series.cast(pl.String)
    if kind.is_integer() or kind.is_decimal():
        made = series.cast(pl.Float64 if kind.is_decimal() else pl.Int64, strict=False)
        return made if made.null_count() == series.null_count() else series.cast(pl.String)
    if kind.is_float():
        return series.cast(pl.Float64).fill_nan(None)
    if isinstance(kind, pl.Datetime):
        return series.dt.convert_time_zone("UTC").dt.cast_time_unit("us")  # without a zone it is read as UTC
    return series
