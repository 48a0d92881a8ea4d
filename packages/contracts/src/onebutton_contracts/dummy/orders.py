"""Order the values of a column by how often the target follows them, so that a copula, which knows more and less, can use them.

A delay does not rise with the weekday or the direction of the wind. It does with the share of delays at that weekday or wind.
"""

from __future__ import annotations

from dataclasses import dataclass
from itertools import pairwise
from typing import Any

import numpy as np
import polars as pl

from onebutton_contracts.dummy.marginals import ENOUGH, FEW

BINS = 24  # of a column of many numbers


@dataclass(frozen=True)
class Order:
    """The number by which each value of a column is ordered: the mean of the target over many rows.

    Attributes:
        values: of a column of text.
        edges: of a column of numbers, where one bin ends and the next begins.
        means: of the bins, one more than edges.
        rest: for a null, and for a value that is not told.
    """

    values: dict[str, float]
    edges: tuple[float, ...]
    means: tuple[float, ...]
    rest: float

    def of(self, column: str) -> pl.Expr:
        """Order a column."""
        cell = pl.col(column)
        if self.means:
            found = cell.map_batches(self._binned, return_dtype=pl.Float64())
            return found.fill_null(self.rest)
        return cell.cast(pl.String).replace_strict(self.values, default=self.rest, return_dtype=pl.Float64)

    def _binned(self, column: pl.Series) -> pl.Series:
        known = column.to_numpy(allow_copy=True)
        found = np.asarray(self.means)[np.searchsorted(np.asarray(self.edges), known)]
        return pl.Series(column.name, np.where(np.isnan(known), self.rest, found))

    def as_json(self) -> dict[str, Any]:
        """Write it as JSON can hold it."""
        return {key: value for key, value in vars(self).items() if value}


def order_of(told: dict[str, Any]) -> Order:
    """Read what `Order.as_json` wrote."""
    return Order(
        told.get("values", {}), tuple(told.get("edges", ())), tuple(told.get("means", ())), float(told.get("rest", 0.0))
    )


def fit_order(laid: pl.DataFrame, column: str, target: str) -> Order:
    """Take the mean of the target for each value of a column, or for each bin of its numbers.

    Args:
        laid: both columns.
        column: text or numbers.
        target: numbers, null where it is not known.
    """
    mean = pl.col(target).mean().fill_null(0.0)
    unknown = laid.filter(pl.col(column).is_null())
    rest = round(laid.select(mean).item() if unknown.height < ENOUGH else unknown.select(mean).item(), 4)
    if laid.schema[column] != pl.String:
        known = laid.drop_nulls(column)
        edges = np.asarray(_edges(known[column]))
        bins = np.searchsorted(edges, known[column].to_numpy())
        told = dict(known.with_columns(bin=pl.Series(bins)).group_by("bin").agg(mean).iter_rows())
        return Order(
            {}, tuple(edges.tolist()), tuple(round(told.get(at, rest), 4) for at in range(len(edges) + 1)), rest
        )
    counted = laid.drop_nulls(column).group_by(pl.col(column).cast(pl.String)).agg(pl.len(), mean).sort(column)
    return Order({name: round(value, 4) for name, rows, value in counted.iter_rows() if rows >= ENOUGH}, (), (), rest)


def _edges(known: pl.Series) -> list[float]:
    """Cut numbers between their common values when they are few, else into bins of about as many rows."""
    if known.n_unique() > FEW:
        return sorted(set(known.quantile(np.linspace(0, 1, BINS + 1)[1:-1].tolist(), "lower")))
    counts = known.value_counts(name="count").filter(pl.col("count") >= ENOUGH).sort(known.name)
    common = counts[known.name].to_list()
    return [(low + high) / 2 for low, high in pairwise(common)]
