"""Metrics as an estimate and what each row adds to it: its influence, from which every interval here is made.

A metric of many rows is, to first order, its true value plus the mean of one number per row, the influence function (Hampel
1974). Where a metric is a smooth function of means, the influence follows by the delta method. Summed over rows that share a
unit, such as a day, it gives the variance for clustered rows; the difference of two models on the same rows has the difference
of their influences.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from functools import cached_property
from typing import Any, Literal, Self

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]
Codes = NDArray[np.int64]
Mask = NDArray[np.bool_]
# How the interval of a metric is made; `intervals.KINDS` has the method and the least units of each.
Kind = Literal["mean", "loss", "r2", "share", "f1", "quantile", "average", "rank", "precision", "agreement"]
Better = Literal["higher", "lower", "zero", ""]
STEP = 1e-5  # to either side of a mean, as a part of its spread, to see how a function of means changes
ROUNDING = 1e-9  # of the largest change: what is less is the rounding of none


@dataclass(frozen=True)
class Rows:
    """Judged rows, in any order.

    Attributes:
        answers: what happened: a number, 0 or 1, or the number of a class; shape (rows,).
        predictions: a number or a probability, shape (rows,); for classes a probability of each, shape (rows, classes).
        units: for each row the number of the independent unit that it belongs to, such as its day; None where each row is one.
        threshold: a probability from which the answer 1 is called.
        quantiles: predicted quantiles by their level, each of shape (rows,).
    """

    answers: Floats
    predictions: Floats
    units: Codes | None = None
    classes: tuple[str, ...] = ()
    threshold: float = 0.5
    quantiles: Mapping[float, Floats] = field(default_factory=dict)

    def __len__(self) -> int:
        """Count the rows."""
        return len(self.answers)

    @cached_property
    def unit_count(self) -> int:
        """How many independent units these rows are."""
        return self.units_of(np.ones(len(self), dtype=np.bool_))

    def units_of(self, among: Mask) -> int:
        """Count the units that have one of these rows."""
        return int(np.count_nonzero(among if self.units is None else np.bincount(self.units[among])))

    def by_unit(self, values: Floats) -> Floats:
        """Sum what is of each row over those of its unit."""
        return values if self.units is None else np.bincount(self.units, weights=values).astype(np.float64)

    @cached_property
    def codes(self) -> Codes:
        """The class of each row."""
        return self.answers.astype(np.int64)

    @cached_property
    def called(self) -> Codes:
        """The class that each row is called: the likeliest, or by the threshold."""
        likely = self.predictions.argmax(axis=1) if self.predictions.ndim > 1 else self.predictions >= self.threshold
        return likely.astype(np.int64)

    def take(self, chosen: Mask | Codes) -> Self:
        """Keep some rows; units keep their numbers."""
        return replace(
            self,
            answers=self.answers[chosen],
            predictions=self.predictions[chosen],
            units=None if self.units is None else self.units[chosen],
            quantiles={level: values[chosen] for level, values in self.quantiles.items()},
        )


@dataclass(frozen=True)
class Measured:
    """A metric of some rows.

    Attributes:
        influence: of each row, mean 0, shape (rows,).
        basis: the rows that the number stands on, such as the called ones of a precision or the rarer class; None: all.
        values: of a quantile: what it is the quantile of.
        errors: rows that are called wrongly; None where nothing is called.
        parts: of a mean over classes: what was measured of each.
    """

    estimate: float
    influence: Floats
    basis: Mask | None = None
    values: Floats | None = None
    errors: int | None = None
    parts: tuple["Measured", ...] = ()


@dataclass(frozen=True)
class Metric:
    """How to judge rows by one number, called by its name in files, such as `recall[gentoo]`, and by its words on pages.

    Attributes:
        better: which way is better; "zero" for a bias, "" for what is not good or bad, such as the share of late flights.
        kind: how its interval is made.
        of: measures some rows, at least one; returns None where they cannot be judged.
        decides: whether gates and comparisons may rest on it: its interval holds what it promises.
        least_rows: under which there is not enough data, where a few rows make most of it.
    """

    name: str
    words: str
    better: Better
    kind: Kind
    of: Callable[[Rows], Measured | None]
    decides: bool = True
    least_rows: int = 0

    def measure(self, rows: Rows) -> Measured | None:
        """Measure some rows; None where they cannot be judged."""
        return self.of(rows) if len(rows) else None

    @property
    def in_points(self) -> bool:
        """Say whether it lies in 0 to 1, so that its differences are told in points of a hundred."""
        return self.kind not in {"mean", "loss", "r2", "quantile"}


def smooth(
    name: str,
    better: Better,
    statistics: Callable[[Rows], Any],
    value: Callable[[Any], Any] | None = None,
    kind: Kind = "mean",
    **facts: Any,
) -> Metric:
    """Make a metric of means, by the delta method.

    Args:
        name: as gates call it.
        better: which way is better.
        statistics: of each row, shape (rows,), or (rows, k) where `value` combines k means.
        value: a smooth function of the k means; the mean itself where it is left out.
        kind: how its interval is made.
        facts: other fields of a `Metric`, such as its `words`.
    """

    def measure(rows: Rows) -> Measured | None:
        each: Floats = np.asarray(statistics(rows), dtype=np.float64)
        mean = each.mean(axis=0)
        if value is None:
            return Measured(float(mean), each - mean)
        estimate, slope = delta(value, mean, each.std(axis=0))
        return Measured(estimate, (each - mean) @ slope) if np.isfinite([estimate, *slope]).all() else None

    return Metric(name, facts.pop("words", name.replace("_", " ")), better, kind, measure, **facts)


def delta(value: Callable[[Any], Any], means: Floats, spread: Floats) -> tuple[float, Floats]:
    """Return a function of means and its slopes, by central differences; a mean without spread has the slope 0."""
    with np.errstate(all="ignore"):
        changes = np.array([value(means + step) - value(means - step) for step in STEP * np.diag(spread)])
        changes[np.abs(changes) < ROUNDING * np.abs(changes).max()] = 0.0
        return float(value(means)), np.where(spread > 0, changes / (2 * STEP * spread), 0.0)


def counted(
    name: str, words: str, value: Callable[[Any], Any], kind: Kind, basis: Callable[[Rows], Mask] | None = None
) -> Metric:
    """Make a metric of the confusion matrix: a smooth function of the shares of its cells, rows the answers.

    There is one slope per cell, looked up by each row.
    """

    def measure(rows: Rows) -> Measured | None:
        size = len(rows.classes)
        cell = rows.codes * size + rows.called
        shares = np.bincount(cell, minlength=size * size) / len(rows)
        spread = np.sqrt(shares * (1 - shares))
        estimate, slope = delta(lambda flat: value(flat.reshape(size, size)), shares, spread)
        if not np.isfinite([estimate, *slope]).all():
            return None  # 0/0
        stands_on = None if basis is None else basis(rows)
        errors = int(np.count_nonzero(rows.codes != rows.called))
        return Measured(estimate, slope[cell] - shares @ slope, stands_on, errors=errors)

    return Metric(name, words, "higher", kind, measure)


def ranked(name: str, words: str, kind: Kind, of: Callable[[Mask, Floats], Measured | None]) -> Metric:
    """Make a metric of the order of probabilities; over several classes the mean of each against the rest."""

    def measure(rows: Rows) -> Measured | None:
        if rows.predictions.ndim == 1:
            return of(rows.answers > 0, rows.predictions)
        each = [of(rows.codes == code, rows.predictions[:, code]) for code in range(len(rows.classes))]
        parts = tuple(one for one in each if one is not None)
        if len(parts) < len(each):
            return None
        influence: Floats = np.mean([one.influence for one in parts], axis=0)
        estimate = float(np.mean([one.estimate for one in parts]))
        return Measured(estimate, influence, _scarcest(rows.codes, rows), parts=parts)

    return Metric(name, words, "higher", kind, measure)


def median_of(values: Floats) -> Measured:
    """Median; its influence has the density of Woodruff's interval (1952)."""
    half = 1.96 * np.sqrt(0.25 / len(values))
    low, here, high = np.quantile(values, np.clip([0.5 - half, 0.5, 0.5 + half], 0, 1))
    below = (values <= here).astype(np.float64)
    return Measured(float(here), (below.mean() - below) * (high - low) / (2 * half), values=values)


def rarest_called(rows: Rows) -> Mask:
    """Mark the rows of the class that is rarest, among the answers or among what they are called."""
    return min(_scarcest(rows.codes, rows), _scarcest(rows.called, rows), key=np.count_nonzero)


def _scarcest(codes: Codes, rows: Rows) -> Mask:
    """Mark the rows of the class that is rarest; none where a class does not occur."""
    marked: Mask = codes == int(np.bincount(codes, minlength=len(rows.classes)).argmin())
    return marked


def auc_of(happened: Mask, scores: Floats) -> Measured | None:
    """Area under the ROC curve, ties counted half, with placement values as influence (DeLong et al. 1988).

    It stands on the rarer answer, and is None where one of them does not occur.
    """
    count, positives = len(scores), int(np.count_nonzero(happened))
    negatives = count - positives
    if positives == 0 or negatives == 0:
        return None
    order, starts, ends = rising(scores)
    counts = np.concatenate([[0], np.cumsum(happened[order])])
    ones = (counts[starts] + counts[ends]) / 2  # that stand below each row, equals counted half
    below = np.empty(count)
    below[order] = np.where(happened[order], (starts + ends) / 2 - ones, ones)
    placement = np.where(happened, below / negatives, 1 - below / positives)
    area = float(placement[happened].mean())
    influence = (placement - area) * np.where(happened, count / positives, count / negatives)
    return Measured(area, influence, basis=happened if positives <= negatives else ~happened)


def average_precision_of(happened: Mask, scores: Floats) -> Measured | None:
    """Mean over the positives of the precision at their score; influence by its functional derivative (Hampel 1974).

    It stands on the answer 1, and is None where that does not occur.
    """
    order, starts, ends = rising(-scores)
    answers, count = happened[order].astype(np.float64), len(scores)
    positives = float(answers.sum())
    if positives == 0:
        return None
    precision = np.cumsum(answers)[ends - 1] / ends

    def from_here(each: Floats) -> Any:  # the sum over the rows that are scored at most as high
        return np.cumsum(each[::-1])[::-1][starts]

    estimate = float(precision @ answers) / positives
    own = answers * (precision - estimate)
    others = answers * from_here(answers / ends) - from_here(answers * precision / ends)
    influence = np.empty(count)
    influence[order] = (own + others) * count / positives
    return Measured(estimate, influence, basis=happened)


def rising(values: Floats) -> tuple[Codes, Codes, Codes]:
    """Sort values; return the order, and at each place of it where those that equal it begin and end."""
    order = np.argsort(values)
    firsts = np.flatnonzero(np.diff(values[order], prepend=np.nan))
    sizes = np.diff(firsts, append=len(values))
    starts = np.repeat(firsts, sizes)
    return order, starts, starts + np.repeat(sizes, sizes)
