"""A Gaussian copula: columns of any spread, bound together by the correlations of their normal scores.

Nelsen, An Introduction to Copulas (2006), chapter 2; conditional normals as in any text on multivariate statistics.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from statistics import NormalDist
from typing import Any

import numpy as np

from onebutton_contracts.dummy.marginals import Floats, Marginal, fit_marginal, marginal_of

RIDGE = 1e-3  # keeps a correlation matrix of columns that follow from each other invertible
_GRID = np.linspace(1e-4, 1 - 1e-4, 20_001)
_SCORES = np.array([NormalDist().inv_cdf(chance) for chance in _GRID])


def to_scores(chances: Floats) -> Floats:
    """Turn chances into the standard normal numbers that have them."""
    scores: Floats = np.interp(chances, _GRID, _SCORES)
    return scores


def to_chances(scores: Floats) -> Floats:
    """Turn standard normal numbers into the chances of a lower one."""
    return np.interp(scores, _SCORES, _GRID)


@dataclass(frozen=True)
class Copula:
    """Columns that are drawn given others.

    Attributes:
        given: the columns that are known when it draws.
        drawn: the columns that it draws.
        marginals: of both, by name.
        centres: the mean score of what is given; columns of few values have another than 0.
        covariance: of the normal scores of what is given and of the normal numbers behind what is drawn, in this order.
    """

    given: tuple[str, ...]
    drawn: tuple[str, ...]
    marginals: dict[str, Marginal]
    centres: Floats
    covariance: Floats

    @cached_property
    def _parts(self) -> tuple[Floats, Floats]:
        """The weights of what is given, and the root of what is left to chance, so that each drawn number has variance 1."""
        known = len(self.given)
        matrix = self.covariance + RIDGE * np.eye(len(self.covariance))
        within, across, own = matrix[:known, :known], matrix[:known, known:], matrix[known:, known:]
        weights: Any = np.linalg.solve(within, across) if known else np.zeros((0, len(own)))
        explained = np.diag(across.T @ weights)
        # What is given cannot explain more than all: columns that follow from each other would, by rounding.
        weights = weights * np.sqrt(np.minimum(1, 0.98 / np.maximum(explained, 1e-9)))
        return weights, root(own - across.T @ weights, 1 - np.diag(weights.T @ within @ weights))

    def scores(self, columns: dict[str, Floats], names: tuple[str, ...]) -> Floats:
        """Return the normal scores of some columns, shape (rows, columns)."""
        length = len(next(iter(columns.values()), np.zeros(0)))
        found = [to_scores(self.marginals[name].chance(columns[name])) for name in names]
        return np.column_stack(found) if found else np.zeros((length, 0))

    def draw(self, columns: dict[str, Floats], rows: int, chance: np.random.Generator) -> dict[str, Floats]:
        """Draw rows.

        Args:
            columns: what is given, each of that many rows.
            rows: how many.
            chance: where the draws come from.
        """
        weights, noise = self._parts
        given = self.scores(columns, self.given) - self.centres if self.given else np.zeros((rows, 0))
        return self.values(given @ weights + chance.standard_normal((rows, len(self.drawn))) @ noise.T)

    def values(self, scores: Floats) -> dict[str, Floats]:
        """Turn the normal numbers behind what is drawn into values, shape (rows, drawn)."""
        chances = to_chances(scores)
        return {name: self.marginals[name].value(chances[:, at]) for at, name in enumerate(self.drawn)}

    def as_json(self) -> dict[str, Any]:
        """Write it as JSON can hold it: of the symmetric matrix the lower half."""
        lower = self.covariance[np.tril_indices(len(self.covariance))]
        return {
            "given": list(self.given),
            "drawn": list(self.drawn),
            "marginals": {name: marginal.as_json() for name, marginal in self.marginals.items()},
            "centres": [round(float(value), 3) for value in self.centres],
            "covariance": [round(float(value), 3) for value in lower],
        }


def copula_of(told: dict[str, Any]) -> Copula:
    """Read what `Copula.as_json` wrote."""
    size = len(told["given"]) + len(told["drawn"])
    matrix = np.zeros((size, size))
    matrix[np.tril_indices(size)] = told["covariance"]
    matrix = matrix + np.tril(matrix, -1).T
    marginals = {name: marginal_of(item) for name, item in told["marginals"].items()}
    return Copula(tuple(told["given"]), tuple(told["drawn"]), marginals, np.asarray(told["centres"]), matrix)


def fit_copula(columns: dict[str, Floats], given: tuple[str, ...], drawn: tuple[str, ...]) -> Copula:
    """Fit the spread of each column and how they go together.

    A column of few values says less than the normal number behind it, so its covariances come out too small: those of what is
    drawn are divided by the covariance of the two, as for a polyserial correlation (Olsson, Drasgow and Dorans, 1982).

    Args:
        columns: numbers by name, NaN for null.
        given: those that will be known.
        drawn: those to draw.
    """
    names = (*given, *drawn)
    marginals = {name: fit_marginal(columns[name]) for name in names}
    scores = np.column_stack([to_scores(marginals[name].chance(columns[name])) for name in names])
    covariance = np.atleast_2d(np.cov(scores, rowvar=False))
    told = np.array([1.0 if name in given else attenuation(marginals[name]) for name in names])
    covariance = covariance / np.outer(told, told)
    drawn_ones = np.arange(len(given), len(names))
    covariance[drawn_ones, drawn_ones] = 1
    return Copula(given, drawn, marginals, scores[:, : len(given)].mean(axis=0), covariance)


def attenuation(marginal: Marginal) -> float:
    """Return the covariance of a standard normal number with the score of its value; 1 when values are many."""
    chances = _GRID[::20]
    scores = to_scores(marginal.chance(marginal.value(chances)))
    normal = to_scores(chances)
    return max(float(np.mean(scores * normal)) / float(np.mean(normal**2)), 0.05)


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
