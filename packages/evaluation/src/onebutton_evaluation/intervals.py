"""Intervals that say how far a number may be from the truth: closed forms where units are many, a bootstrap where they are few.

docs/evaluation.md says which method is used when, why, and how its coverage is checked.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache
from typing import TYPE_CHECKING

import numpy as np

from onebutton_evaluation.auc_variance import OF_AUC, OF_DIFFERENCE, Spread, spread
from onebutton_evaluation.influence import Metric, Rows

if TYPE_CHECKING:
    from numpy.typing import NDArray

    Floats = NDArray[np.float64]

LEVEL = 0.95
LARGE = 200  # units from which the closed form covers as it promises; below, the studentised bootstrap is used
RESAMPLES = 4_999  # so that counting gives p-values of (k + 1) / 5000
ENOUGH = 25  # draws to count; further out the tail is drawn on from there
SEED = 20_130_101
ROUNDING = 1e-12  # a standard error below this is the rounding of equal numbers


@dataclass(frozen=True)
class Interval:
    """A number and how far it may be from the truth.

    Attributes:
        estimate: what the rows say.
        low: lower end at 95 %.
        high: upper end at 95 %.
        error: standard error.
        p: probability of an estimate this far from 0, were the truth 0; two-sided.
        method: how the ends were found.
        rows: judged.
        units: independent ones among them, such as days.
    """

    estimate: float
    low: float
    high: float
    error: float
    p: float
    method: str
    rows: int
    units: int


@dataclass(frozen=True)
class UnitSums:
    """What each independent unit adds: the sums of its rows' influence, and how many rows it has."""

    influence: Floats
    rows: Floats

    @property
    def error(self) -> float:
        """Standard error of the estimate, from the spread between units."""
        count = len(self.rows)
        if count <= 1:
            return float("nan")
        return float(np.sqrt(count / (count - 1) * (self.influence @ self.influence)) / self.rows.sum())


def sum_units(rows: Rows, influence: Floats) -> UnitSums:
    """Sum the influence of the rows of each unit; units without a row are left out."""
    sizes = np.bincount(rows.units, minlength=rows.unit_count)
    present = sizes > 0
    sums = np.bincount(rows.units, weights=influence, minlength=rows.unit_count).astype(np.float64)
    return UnitSums(sums[present], sizes[present].astype(np.float64))


def interval(rows: Rows, metric: Metric) -> Interval | None:
    """Judge rows by a metric, with its 95 % interval.

    Returns:
        None where the rows cannot be judged: none at all, or too few of one answer where the metric needs both.
    """
    measured = metric.measure(rows)
    if measured is None:
        return None
    return from_influence(measured[0], rows, measured[1], metric)


def from_influence(
    estimate: float, rows: Rows, influence: Floats, metric: Metric, *, difference: bool = False
) -> Interval | None:
    """Find the interval of an estimate from what each row adds to it.

    Args:
        estimate: of the metric, or of a difference in it.
        rows: judged.
        influence: of each of them, in their order.
        metric: what is estimated.
        difference: whether it is the difference of two models.

    Returns:
        None where there is not enough data for an AUC: see `auc_variance.LEAST`. The ends are NaN where the units do not differ
        at all, or are fewer than two: nothing is known then of the spread.
    """
    if metric.scale == "ranks":
        found = spread(rows, influence)
        return None if found is None else from_placements(estimate, found, difference=difference)
    sums = UnitSums(influence, np.ones(len(rows))) if rows.alone else sum_units(rows, influence)
    return wilson(estimate, sums) if metric.scale == "share" and not difference else from_units(estimate, sums)


def from_units(estimate: float, sums: UnitSums) -> Interval:
    """Find the interval of a mean, or of a difference of two, from what its units add; few of them are bootstrapped."""
    from scipy.special import stdtr, stdtrit

    units, error, rows = len(sums.rows), sums.error, int(sums.rows.sum())
    if not error > ROUNDING:
        return Interval(estimate, float("nan"), float("nan"), error, float("nan"), "no spread", rows, units)
    away = estimate / error  # from 0, in standard errors
    if units < LARGE:
        drawn = _studentised(sums)
        below, above = (float(end) for end in np.quantile(drawn, [(1 - LEVEL) / 2, (1 + LEVEL) / 2]))
        low, high = estimate - above * error, estimate - below * error
        return Interval(estimate, low, high, error, _tail(drawn, away, units), "studentised bootstrap", rows, units)
    reach = float(stdtrit(units - 1, (1 + LEVEL) / 2)) * error
    p = float(2 * stdtr(units - 1, -abs(away)))
    return Interval(estimate, estimate - reach, estimate + reach, error, p, "influence function", rows, units)


def from_placements(estimate: float, found: Spread, *, difference: bool = False) -> Interval:
    """Find the interval of an AUC, or of a difference of two, from the placements of both classes.

    An AUC has the interval of a share (Wilson 1927), of so many independent rows as tell a share as well as these tell the AUC
    (the effective number of Korn and Graubard 1998): it cannot leave 0 to 1, and is wide where few rows are ranked perfectly. It
    is not bootstrapped: placements are known from these rows only, and drawing units again would leave that out.
    """
    from scipy.special import stdtr, stdtrit

    error = found.error
    tied = not error > ROUNDING and not difference and 0 < estimate < 1  # all predictions are alike
    if tied:
        return Interval(estimate, float("nan"), float("nan"), error, float("nan"), "no spread", found.rows, found.units)
    centre, padded, freedom = found.padded(estimate, OF_DIFFERENCE if difference else OF_AUC)
    quantile = float(stdtrit(freedom, (1 + LEVEL) / 2))
    p = float(2 * stdtr(freedom, -abs(centre) / padded))
    low, high = centre - quantile * padded, centre + quantile * padded
    if not difference:
        low, high = _of_share(estimate, centre * (1 - centre) / padded**2, quantile)
    return Interval(estimate, low, high, error, p, "DeLong", found.rows, found.units)


def _studentised(sums: UnitSums) -> Floats:
    """Draw the units again and again, and measure each draw's mean in its own standard errors (Efron 1981, Hall 1988).

    A mean over clustered rows is a ratio of sums, and so is its draw.
    """
    units = len(sums.rows)
    influence, size = sums.influence, sums.rows
    moments = np.column_stack([influence, size, influence**2, influence * size, size**2])
    total, rows, squares, mixed, sizes = (_draws(units) @ moments).T
    shift = total / rows
    spread = np.maximum(squares - 2 * shift * mixed + shift**2 * sizes, 0.0)
    error = np.sqrt(units / (units - 1) * spread) / rows
    good = error > ROUNDING  # not so where every unit drawn is alike
    values: Floats = shift[good] / error[good]
    return values


def _tail(drawn: Floats, away: float, units: int) -> float:
    """Return the two-sided p-value of an estimate so many standard errors from 0.

    Draws are counted as long as enough are further. Beyond, counting would end at 2 in 5,000, which corrected for some hundred
    slices is no evidence, however bad the model: there the tail goes on from the last draws that are enough as that of Student's
    t does (after Knijnenburg et al. 2009, "Fewer permutations, more accurate P-values").
    """
    from scipy.special import stdtr

    further = min(np.count_nonzero(drawn >= away), np.count_nonzero(drawn <= away))
    if further >= ENOUGH:
        return min(1.0, 2 * (further + 1) / (len(drawn) + 1))
    last = float(np.partition(np.sign(away) * drawn, -ENOUGH)[-ENOUGH])
    if not 0 < last < abs(away):
        return 2 * (ENOUGH + 1) / (len(drawn) + 1)
    beyond = stdtr(units - 1, -abs(away)) / stdtr(units - 1, -last)
    return float(2 * (ENOUGH + 1) / (len(drawn) + 1) * beyond)


@lru_cache(maxsize=16)
def _draws(units: int) -> Floats:
    """Draw as many units as there are, with replacement: how often each comes, shape (resamples, units). Equal each time."""
    return np.random.default_rng(SEED).multinomial(units, np.full(units, 1 / units), size=RESAMPLES).astype(np.float64)


def wilson(share: float, sums: UnitSums) -> Interval:
    """Find the interval of a share (Wilson 1927), for clustered rows with the effective number of rows (Korn and Graubard 1998).

    Rows that share a key tell less than as many independent ones: the spread between units says how much less.
    """
    from scipy.special import ndtri, stdtrit

    count, units, error = float(sums.rows.sum()), len(sums.rows), sums.error
    normal = float(ndtri((1 + LEVEL) / 2))
    effective = count
    if error > ROUNDING and units < count:
        few = (normal / float(stdtrit(units - 1, (1 + LEVEL) / 2))) ** 2
        effective = min(count, share * (1 - share) / error**2 * few)
    low, high = _of_share(share, effective, normal)
    p = float("nan")  # nobody asks whether a share is 0
    return Interval(share, low, high, error, p, "Wilson", int(count), units)


def _of_share(share: float, rows: float, quantile: float) -> tuple[float, float]:
    """Find the shares from which this one is not further than so many of their own standard errors (Wilson 1927)."""
    whole = 1 + quantile**2 / rows
    middle = (share + quantile**2 / (2 * rows)) / whole
    reach = quantile * np.sqrt(share * (1 - share) / rows + quantile**2 / (4 * rows**2)) / whole
    return max(0.0, float(middle - reach)), min(1.0, float(middle + reach))
