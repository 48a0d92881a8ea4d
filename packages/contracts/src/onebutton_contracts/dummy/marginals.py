"""How the values of one column are spread, told without telling a row: shares of common values, or quantiles.

A value rarer than `ENOUGH` rows is never told: it is folded into its neighbour, and the ends of a range are means.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

Floats = npt.NDArray[np.float64]

ENOUGH = 20  # rows: what fewer share is not told
FEW = 120  # different values: fewer are told one by one
KNOTS = 41  # quantiles of a column with many


@dataclass(frozen=True)
class Marginal:
    """The spread of one column.

    Attributes:
        nulls: the share of rows without a value.
        values: in order; each a common value, or a quantile.
        shares: of each common value, summing to 1; empty for quantiles, which are evenly spaced.
        whole: whether values are whole numbers.
    """

    nulls: float
    values: tuple[float, ...]
    shares: tuple[float, ...] = ()
    whole: bool = False

    def chance(self, values: Floats) -> Floats:
        """Return the share of rows below each value, half of those equal to it included; a null counts as lowest."""
        known = ~np.isnan(values)
        chance = np.full(len(values), self.nulls / 2)
        if self.values:
            chance[known] = self.nulls + (1 - self.nulls) * self._below(values[known])
        clipped: Floats = np.clip(chance, 1e-4, 1 - 1e-4)
        return clipped

    def _below(self, values: Floats) -> Floats:
        knots = np.asarray(self.values)
        if self.shares:
            middles = np.cumsum(self.shares) - np.asarray(self.shares) / 2
            return np.interp(values, knots, middles)
        grid = np.linspace(0, 1, len(knots))
        low = np.interp(values, knots, grid)
        high = 1 - np.interp(-values, -knots[::-1], grid)  # knots may repeat: between the first and the last of equals
        return (low + high) / 2

    def value(self, chance: Floats) -> Floats:
        """Return the value below which a share of the rows lies; NaN where that is a null."""
        if not self.values:
            return np.full(len(chance), np.nan)
        share = np.clip((chance - self.nulls) / max(1 - self.nulls, 1e-9), 0, 1)
        knots = np.asarray(self.values)
        if self.shares:
            found = knots[np.minimum(np.searchsorted(np.cumsum(self.shares), share), len(knots) - 1)]
        else:
            found = np.interp(share, np.linspace(0, 1, len(knots)), knots)
        found = np.round(found) if self.whole else found
        return np.where(chance < self.nulls, np.nan, found)

    def as_json(self) -> dict[str, Any]:
        """Write it as JSON can hold it."""
        told: dict[str, Any] = {
            "nulls": round(self.nulls, 5),
            "values": [float(f"{value:.6g}") for value in self.values],
        }
        if self.shares:
            told["shares"] = [round(share, 5) for share in self.shares]
        return told | ({"whole": True} if self.whole else {})


def marginal_of(told: dict[str, Any]) -> Marginal:
    """Read what `Marginal.as_json` wrote."""
    return Marginal(
        told["nulls"], tuple(told["values"]), tuple(told.get("shares", ())), whole=bool(told.get("whole", False))
    )


def fit_marginal(column: Floats) -> Marginal:
    """Describe a column.

    Args:
        column: numbers, NaN for null.
    """
    known = np.sort(column[~np.isnan(column)])
    nulls = 1 - len(known) / max(len(column), 1)
    if len(known) < ENOUGH:
        return Marginal(1.0, ())
    whole = bool(np.all(known == np.round(known)))
    values, counts = np.unique(known, return_counts=True)
    if len(values) <= FEW:
        told, shares = _fold(values, counts)
        return Marginal(nulls, tuple(told), tuple(shares), whole)
    knots = np.quantile(known, np.linspace(0, 1, KNOTS), method="inverted_cdf")
    knots[0], knots[-1] = known[:ENOUGH].mean(), known[-ENOUGH:].mean()
    return Marginal(nulls, tuple(np.sort(knots).tolist()), (), whole)


def _fold(values: Floats, counts: npt.NDArray[np.int64]) -> tuple[list[float], list[float]]:
    """Keep common values, and join rare neighbours until enough rows share their mean; too few join the next common value."""
    told: list[float] = []
    shares: list[float] = []
    total, rows = 0.0, 0  # of what is not told yet
    for value, count in zip(values.tolist(), counts.tolist(), strict=True):
        if count >= ENOUGH:
            told.append(value)
            shares.append(count + rows)
            total, rows = 0.0, 0
            continue
        total, rows = total + value * count, rows + count
        if rows >= ENOUGH:
            told.append(total / rows)
            shares.append(rows)
            total, rows = 0.0, 0
    if rows:
        shares[-1] += rows
    return told, [share / float(counts.sum()) for share in shares]
