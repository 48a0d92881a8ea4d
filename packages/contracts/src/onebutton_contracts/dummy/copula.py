"""A Gaussian copula on ranks: columns of any spread, bound together by the correlations of their normal scores.

Nelsen, An Introduction to Copulas (2006), chapter 2. A column of few values says less than the normal number behind it, so
its correlations come out too small: they are divided by the correlation of the two, as for a polyserial correlation
(Olsson, Drasgow and Dorans, 1982).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from scipy.special import ndtr, ndtri

Floats = npt.NDArray[np.float64]

ENOUGH = 20  # rows: what fewer share is not told
FEW = 120  # different values: fewer are told one by one
MOST = 0.9  # of more values, common: then they are told one by one, too
PARTS = 100  # of any other column: the mean of each is told
DIGITS = 5  # of a number that is told
EXPLAINED = 0.98  # of a column's variance, at most, by what is given; by rounding it can be more than all
RIDGE = 1e-3  # keeps a matrix of columns that follow from each other invertible


@dataclass(frozen=True)
class Spread:
    """How the values of one column are spread, told without telling a row.

    Attributes:
        nulls: the share of rows without a value; they count as lowest.
        values: rising; each is shared by `ENOUGH` rows, or the mean of as many.
        shares: of the rows with a value, those of each.
        steps: whether there is nothing between the values.
        whole: whether values are whole numbers.
    """

    nulls: float
    values: list[float]
    shares: list[float]
    steps: bool
    whole: bool

    def chance(self, column: Floats) -> Floats:
        """Return the share of rows below each value, half of those equal to it included."""
        share = np.interp(column, self.values, self._middles()) if self.values else np.zeros(len(column))
        chance = np.where(np.isnan(column), self.nulls / 2, self.nulls + (1 - self.nulls) * share)
        clipped: Floats = np.clip(chance, 1e-4, 1 - 1e-4)
        return clipped

    def value(self, chance: Floats) -> Floats:
        """Return the value below which a share of the rows lies; NaN where that is a null."""
        if not self.values:
            return np.full(len(chance), np.nan)
        share, known = (chance - self.nulls) / max(1 - self.nulls, 1e-9), np.asarray(self.values)
        if self.steps:
            found = known[np.minimum(np.searchsorted(np.cumsum(self.shares), share), len(known) - 1)]
        else:
            found = np.interp(share, self._middles(), known)
        return np.where(chance < self.nulls, np.nan, np.round(found) if self.whole else found)

    def attenuation(self) -> float:
        """Return the correlation of a standard normal number with the score of its value; 1 when values are many."""
        normal = ndtri(np.linspace(1e-3, 1 - 1e-3, 1000))
        scores = ndtri(self.chance(self.value(ndtr(normal))))
        return max(float(np.mean(scores * normal) / np.mean(normal**2)), 0.05)

    def _middles(self) -> Floats:
        return np.cumsum(self.shares) - np.asarray(self.shares) / 2


def fit_spread(column: Floats) -> Spread:
    """Describe a column; NaN is a null."""
    known = np.sort(column[~np.isnan(column)])
    if len(known) < ENOUGH:
        return Spread(1.0, [], [], steps=True, whole=True)
    whole = bool(np.all(known == np.round(known)))
    values, counts = np.unique(known, return_counts=True)
    common = values[counts >= ENOUGH]
    steps = len(common) > (0 if len(values) <= FEW else MOST * len(values))
    if steps:  # a rare value joins the nearest common one
        nearest = np.abs(values[:, None] - common).argmin(axis=1)
        values, counts = common, np.bincount(nearest, counts)
    else:
        parts = np.array_split(known, min(PARTS, len(known) // ENOUGH))
        means = np.array([round(part.mean()) if whole else part.mean() for part in parts])
        values, at = np.unique(means, return_inverse=True)
        counts = np.bincount(at, [len(part) for part in parts])
    told = [float(f"{value:.6g}") for value in values]
    shares = [round(float(share), DIGITS) for share in counts / counts.sum()]
    return Spread(round(1 - len(known) / len(column), DIGITS), told, shares, steps, whole)


@dataclass(frozen=True)
class Copula:
    """Columns, and how they go together.

    Attributes:
        spreads: of each column, by name.
        covariance: of their normal scores, in this order; the lower half of the symmetric matrix.
    """

    spreads: dict[str, Spread]
    covariance: list[float]

    def draw(self, names: Sequence[str], given: Mapping[str, Floats], noise: Floats) -> dict[str, Floats]:
        """Draw columns, each row given what is known of it.

        Args:
            names: of the columns to draw.
            given: columns that are known, by name; all of as many rows.
            noise: independent standard normal numbers, shape (rows, names).
        """
        order = list(self.spreads)
        known, drawn = [order.index(name) for name in given], [order.index(name) for name in names]
        whole = np.zeros((len(order), len(order)))
        whole[np.tril_indices(len(order))] = self.covariance
        whole += np.tril(whole, -1).T + RIDGE * np.eye(len(order))
        hidden = np.array([self.spreads[name].attenuation() for name in names])
        within, across = whole[np.ix_(known, known)], whole[np.ix_(known, drawn)] / hidden
        own = whole[np.ix_(drawn, drawn)] / np.outer(hidden, hidden)
        np.fill_diagonal(own, 1)
        weights = np.linalg.solve(within, across)
        weights *= np.sqrt(np.minimum(1, EXPLAINED / np.maximum((across * weights).sum(axis=0), 1e-9)))
        explained = weights.T @ within @ weights
        scores = noise @ root(own - explained, 1 - np.diag(explained)).T
        if given:
            found = np.column_stack([ndtri(self.spreads[name].chance(column)) for name, column in given.items()])
            scores = scores + (found - found.mean(axis=0)) @ weights
        return {name: self.spreads[name].value(ndtr(scores[:, at])) for at, name in enumerate(names)}


def fit_copula(columns: Mapping[str, Floats]) -> Copula:
    """Fit the spread of each column and how they go together; NaN is a null."""
    spreads = {name: fit_spread(column) for name, column in columns.items()}
    scores = np.column_stack([ndtri(spreads[name].chance(column)) for name, column in columns.items()])
    covariance = np.atleast_2d(np.cov(scores, rowvar=False))
    return Copula(spreads, [round(float(one), 4) for one in covariance[np.tril_indices(len(covariance))]])


def root(matrix: Floats, variances: Floats) -> Floats:
    """Return a root of the covariance matrix nearest to one that may be none, rounding or estimates being in the way.

    Args:
        matrix: symmetric.
        variances: what its diagonal must be, so that what is drawn keeps its spread.
    """
    values, vectors = np.linalg.eigh((matrix + matrix.T) / 2)
    found = vectors * np.sqrt(np.clip(values, 0, None))
    lengths = np.maximum(np.sqrt((found**2).sum(axis=1)), 1e-9)
    scaled: Floats = found * (np.sqrt(np.clip(variances, 0, None)) / lengths)[:, None]
    return scaled
