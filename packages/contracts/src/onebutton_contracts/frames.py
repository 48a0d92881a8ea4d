"""Frames of polars and pandas in the types of a contract, and the facts by which a table is known again."""

import hashlib
from collections.abc import Iterable, Mapping
from typing import Any

import polars as pl

from onebutton_contracts.errors import InputError, require
from onebutton_contracts.terms import Column

POLARS_TYPES: dict[str, pl.DataType] = {
    "boolean": pl.Boolean(),
    "date": pl.Date(),
    "integer": pl.Int64(),
    "number": pl.Float64(),
    "string": pl.String(),
    "timestamp": pl.Datetime("us", "UTC"),
}
DIGITS = 9  # of a number: another machine may round the last ones otherwise


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


def from_pandas(frame: Any) -> pl.DataFrame:
    """Return a pandas frame in the types that contracts know; its index goes.

    Raises:
        InputError: a column holds values of several types.
    """
    columns = []
    for name in frame.columns:
        require(isinstance(name, str), f"a column is called {name!r}, which is no text; give it a name")
        try:
            column = pl.from_pandas(frame[name].reset_index(drop=True), nan_to_null=True).rename(name)
        except Exception as error:  # pyarrow and polars raise a dozen kinds
            reason = str(error).splitlines()[0]
            raise InputError(f"the column {name!r} is neither of numbers nor texts nor times: {reason}") from error
        columns.append(plain(column))
    return pl.DataFrame(columns)


def to_pandas(frame: pl.DataFrame, types: Mapping[str, str] | None = None) -> Any:
    """Return a table as pandas has it; of columns which had other types there, `changed_types` names them."""
    found: Any = frame.to_pandas()  # whose types take a column's own for granted
    for name, kind in (types or {}).items():
        if name in found.columns:
            bare = kind.startswith("datetime64") and "," not in kind
            found[name] = (found[name].dt.tz_localize(None) if bare else found[name]).astype(kind)
    return found


def changed_types(before: Any, known: pl.DataFrame) -> dict[str, str]:
    """Name the pandas types that columns had and do not come back with from a table of a contract."""
    after = known.to_pandas()
    types = {name: str(before[name].dtype) for name in before.columns}
    return {name: kind for name, kind in types.items() if kind != str(after[name].dtype)}


def facts(frame: pl.DataFrame) -> dict[str, Any]:
    """Return by what a table is known again: its columns and their types, its rows, and a digest of its rounded content."""
    rounded = frame.with_columns(pl.selectors.float().round_sig_figs(DIGITS))
    return {
        "columns": {name: str(kind) for name, kind in frame.schema.items()},
        "rows": frame.height,
        "sha256": hashlib.sha256(rounded.write_csv().encode()).hexdigest(),
    }
