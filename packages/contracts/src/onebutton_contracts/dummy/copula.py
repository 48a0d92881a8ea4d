"""A Gaussian copula on ranks: columns of any spread, bound together by the correlations of their normal scores.

Nelsen, An Introduction to Copulas (2006), chapter 2. A column of few values says less than the normal number behind it, so
its correlations come out too small: they are divided by the correlation of the two, as for a polyserial correlation
(Olsson, Drasgow and Dorans, 1982).
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from scipy.special import ndtr, ndtri

Floats = npt.NDArray[np.float64]

ENOUGH = 20  # rows: what fewer share is not told
PARTS = 100  # of a column without common values: the mean of each is told
COMMON = 0.9  # of the rows: when common values cover them, these are told one by one


@dataclass(frozen=True)
class Spread:
    """How the values of one column are spread, told without telling a row."""

    nulls: float  # the share of rows without a value; they count as highest
    values: list[float]  # rising; each is shared by `ENOUGH` rows, or the mean of as many
    shares: list[float]  # of the rows with a value, those of each
    steps: bool  # whether there is nothing between the values

    def score(self, column: Floats) -> Floats:
        """Return the normal score of each value: of the share of rows below it, half of those equal to it included."""
        below = np.interp(column, self.values, self._middles()) if self.values else np.zeros(len(column))
        chance = np.where(np.isnan(column), 1 - self.nulls / 2, (1 - self.nulls) * below)
        scores: Floats = ndtri(np.clip(chance, 1e-4, 1 - 1e-4))
        return scores

    def value(self, score: Floats) -> Floats:
        """Return the value that has a score; NaN where that is a null."""
        chance, known = ndtr(score) / max(1 - self.nulls, 1e-9), np.asarray(self.values or [np.nan])
        if self.steps:
            found = known[np.searchsorted(np.cumsum(self.shares[:-1]), chance)]
        else:
            found = np.interp(chance, self._middles(), known)
        return np.where(chance > 1, np.nan, found)

    def attenuation(self) -> float:
        """Return the correlation of a standard normal number with the score of its value; 1 when values are many."""
        normal = ndtri(np.linspace(1e-3, 1 - 1e-3, 1000))
        return max(float(np.mean(self.score(self.value(normal)) * normal) / np.mean(normal**2)), 0.05)

    def _middles(self) -> Floats:
        return np.cumsum(self.shares) - np.asarray(self.shares) / 2


def fit_spread(column: Floats) -> Spread:
    """Describe a column; NaN is a null."""
    known = np.sort(column[~np.isnan(column)])
    if len(known) < ENOUGH:
        return Spread(1.0, [], [], steps=True)
    values, counts = np.unique(known, return_counts=True)
    common = counts >= ENOUGH
    steps = bool(counts[common].sum() > COMMON * len(known))
    if steps:
        values, counts = values[common], counts[common]
    else:
        parts = np.array_split(known, min(PARTS, len(known) // ENOUGH))
        values, at = np.unique([float(f"{part.mean():.6g}") for part in parts], return_inverse=True)
        counts = np.bincount(at, [len(part) for part in parts])
    shares = (counts / counts.sum()).round(5)
    return Spread(round(1 - len(known) / len(column), 5), values.tolist(), shares.tolist(), steps)


@dataclass(frozen=True)
class Copula:
    """Columns, and how they go together."""

    spreads: dict[str, Spread]  # of each column, by name
    correlation: list[list[float]]  # of their normal scores, in this order; one row for each column

    def draw(
        self, names: Sequence[str], given: Mapping[str, Floats], rows: int, chance: np.random.Generator
    ) -> dict[str, Floats]:
        """Draw columns of so many rows, each row given what is known of it."""
        order = list(self.spreads)
        known, drawn = [order.index(name) for name in given], [order.index(name) for name in names]
        whole = np.asarray(self.correlation)
        hidden = np.array([self.spreads[name].attenuation() for name in names])
        across = whole[np.ix_(known, drawn)] / hidden
        own = whole[np.ix_(drawn, drawn)] / np.outer(hidden, hidden)
        np.fill_diagonal(own, 1)
        # A pseudo-inverse, as columns may follow from each other.
        weights = np.linalg.pinv(whole[np.ix_(known, known)], rcond=1e-3, hermitian=True) @ across
        given_scores = np.array([self.spreads[name].score(column) for name, column in given.items()]).reshape(-1, rows)
        scores = (given_scores - given_scores.mean(axis=1, keepdims=True)).T @ weights
        rest = own - weights.T @ whole[np.ix_(known, known)] @ weights
        scores += chance.multivariate_normal(np.zeros(len(names)), rest, rows, check_valid="ignore", method="eigh")
        return {name: self.spreads[name].value(scores[:, at]) for at, name in enumerate(names)}


def fit_copula(columns: Mapping[str, Floats]) -> Copula:
    """Fit the spread of each column and how they go together; NaN is a null."""
    spreads = {name: fit_spread(column) for name, column in columns.items()}
    scores = [spreads[name].score(column) for name, column in columns.items()]
    return Copula(spreads, np.atleast_2d(np.cov(scores)).round(4).tolist())
