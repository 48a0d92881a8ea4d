"""Compare two models on the same rows, overall and by slice: what is better, what is worse, and what the data cannot tell.

Paired, because two models err on the same rows (Miller 2024, "Adding Error Bars to Evals"); corrected for the number of slices
by Holm (1979), because of twenty slices one would differ by chance. docs/evaluation.md has the method and its sources.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Literal

import numpy as np

from onebutton_evaluation.declarations import Judging
from onebutton_evaluation.frames import read_rows
from onebutton_evaluation.influence import Metric, Rows
from onebutton_evaluation.intervals import LEVEL, RARE, ROUNDING, Interval, interval, standard_error, student, units_of
from onebutton_evaluation.slices import Slice
from onebutton_evaluation.wording import alike

if TYPE_CHECKING:
    import polars as pl

Verdict = Literal["better", "worse", "no difference", "not enough data"]
Overall = Literal["better", "worse", "mixed", "same", "not enough data"]
SEEN = 1.959964 + 0.841621  # standard errors that a difference needs to be seen at 95 % with a power of 80 %


@dataclass(frozen=True)
class Difference:
    """One slice: how much better the challenger is; positive is better, whichever way the metric runs.

    Attributes:
        interval: of the difference, in the metric's unit; None with too little data.
        verdict: at 95 % after Holm's correction for all slices.
        needed: rows that would be needed to see the declared tolerance with 80 % power, if they came as these did.
    """

    name: str
    group: str
    rows: int
    units: int
    interval: Interval | None
    verdict: Verdict
    needed: int | None


@dataclass(frozen=True)
class Comparison:
    """Challenger and champion on the same rows.

    Attributes:
        than: what the challenger was compared with.
        metric: by which.
        theirs: the metric of what it was compared with, on all rows; None with too little data.
        differences: all rows first, then each slice.
        verdict: over all of them.
    """

    than: str
    metric: Metric
    theirs: Interval | None
    tolerance: float
    differences: tuple[Difference, ...]
    verdict: Overall


def compare(
    frame: pl.DataFrame, slices: Sequence[Slice], judging: Judging, champion: str, than: str = "champion"
) -> Comparison:
    """Compare the column `judging.prediction` with another.

    Args:
        frame: one row per prediction, with both columns.
        slices: as `find_slices` gives them, all rows first.
        judging: names columns, unit, metric and tolerance.
        champion: the column of the champion's predictions.
        than: what to call it.

    Raises:
        InputError: a column is not there, or lacks values.
    """
    metric = judging.known()[judging.champion]
    ours, theirs = read_rows(frame, judging), read_rows(frame, judging, champion)
    found: list[Difference] = []
    for part in slices:
        sides = ours.take(part.mask), theirs.take(part.mask)
        rows, units = len(sides[0]), units_of(None, sides[0].units, len(sides[0]))
        enough = rows >= judging.minimum_rows and units >= judging.minimum_units
        one = difference(*sides, metric) if enough else None
        needed = None if one is None else rows_needed(one, judging.tolerance)
        found.append(Difference(part.name, part.group, rows, units, one, "not enough data", needed))
    adjusted = iter(holm([one.interval.p for one in found if one.interval is not None]))
    differences = tuple(one if one.interval is None else _judged(one, one.interval, next(adjusted)) for one in found)
    alone = interval(theirs, metric) if differences[0].interval else None
    return Comparison(than, metric, alone, judging.tolerance, differences, overall(differences))


def _judged(one: Difference, interval: Interval, p: float) -> Difference:
    if math.isnan(p):
        return one
    seen: Verdict = "better" if interval.estimate > 0 else "worse"
    return replace(one, verdict=seen if p < 1 - LEVEL else "no difference")


def difference(ours: Rows, theirs: Rows, metric: Metric) -> Interval | None:
    """Find the interval of how much better ours are, by the difference of influences; both have the same rows in the same order.

    Returns:
        None with too little data. It is enough where either side has enough: a model that never calls a class has no precision
        on it, and is the worse for it. Where both err so rarely that nothing is known of the spread, the interval is put together
        from those of both (Zou and Donner 2008), as if the models had nothing in common: wide rather than sure of itself.
    """
    measured, before = metric.measure(ours), metric.measure(theirs)
    sides = interval(ours, metric), interval(theirs, metric)
    known = [side for side in sides if side is not None]
    if measured is None or before is None or not known:
        return None
    sign = 1.0 if metric.better == "higher" else -1.0
    estimate = sign * (measured.estimate - before.estimate)
    error, units = standard_error(measured.influence - before.influence, ours.units)
    basis = max(side.basis for side in known)
    both = metric.in_points and (not error > ROUNDING or all(side.method in RARE for side in known))
    if _equal(ours, theirs, metric):
        estimate, low, high, p, method = 0.0, 0.0, 0.0, 1.0, "equal in every row"
    elif both and sides[0] is not None and sides[1] is not None:
        low, high = _apart(sides[0], sides[1]) if sign > 0 else _apart(sides[1], sides[0])
        error = (high - low) / 2 / student(basis)
        p, method = _chance(estimate, error, basis), "of both intervals"
    elif error > ROUNDING:
        reach = student(basis) * error
        low, high, p, method = estimate - reach, estimate + reach, _chance(estimate, error, basis), "delta method"
    else:  # by the sign test: every unit says the same
        p = 0.5 ** (units - 1) if abs(estimate) > ROUNDING else 1.0
        low, high, method = estimate, estimate, "the same in every row"
    return Interval(estimate, low, high, error, p, method, len(ours), units, basis)


def _apart(one: Interval, other: Interval) -> tuple[float, float]:
    """Find the interval of a difference from those of both sides (Zou and Donner 2008)."""
    estimate = one.estimate - other.estimate
    below = math.hypot(one.estimate - one.low, other.high - other.estimate)
    above = math.hypot(one.high - one.estimate, other.estimate - other.low)
    return estimate - below, estimate + above


def _chance(estimate: float, error: float, basis: int) -> float:
    """Return the p-value of an estimate, by Student's t."""
    from scipy.special import stdtr

    return float(2 * stdtr(basis - 1, -abs(estimate) / error))


def _equal(ours: Rows, theirs: Rows, metric: Metric) -> bool:
    """Say whether two models cannot differ in a metric, whatever rows come: equal answers, or an equal order of them."""
    if np.array_equal(ours.predictions, theirs.predictions):
        return True
    if metric.kind not in {"rank", "precision"} or ours.predictions.ndim > 1:
        return False
    one, other = (np.unique(side.predictions, return_inverse=True)[1] for side in (ours, theirs))
    return np.array_equal(one, other)


def holm(p_values: Sequence[float]) -> list[float]:
    """Correct p-values for their number (Holm 1979): the chance of one false alarm or more stays under the level.

    A NaN stays NaN and counts as a test.
    """
    p = np.asarray(p_values, dtype=np.float64)
    order = np.argsort(p)  # NaN last
    stepped = np.maximum.accumulate(p[order] * np.arange(len(p), 0, -1))
    adjusted = np.empty_like(p)
    adjusted[order] = np.minimum(stepped, 1.0)
    return [float(value) for value in adjusted]


def detectable(difference: Interval) -> float:
    """Smallest difference that rows like these would show at 95 % with 80 % power."""
    return SEEN * difference.error


def rows_needed(difference: Interval, tolerance: float) -> int | None:
    """Rows needed to see the tolerance, if further rows come as these did: in units of the same size."""
    if not difference.error > 0:
        return None
    return math.ceil(difference.rows * (detectable(difference) / tolerance) ** 2)


def overall(differences: Sequence[Difference]) -> Overall:
    """Sum up: mixed when something got better and something worse."""
    verdicts = {difference.verdict for difference in differences}
    if "better" in verdicts:
        return "mixed" if "worse" in verdicts else "better"
    return "worse" if "worse" in verdicts else "same" if "no difference" in verdicts else "not enough data"


def in_words(comparison: Comparison) -> str:
    """Sum up a comparison in a sentence."""
    names: dict[Verdict, list[str]] = {}
    for one in comparison.differences:
        place = "all rows" if one.name == "all" else one.name
        if one.interval is not None and one.verdict in {"better", "worse"}:
            place += f" ({span(one.interval, comparison.metric)})"
        names.setdefault(one.verdict, []).append(place)
    told: tuple[Verdict, ...] = ("better", "worse")
    parts = [f"{verdict} on {', '.join(names[verdict])}" for verdict in told if verdict in names]
    if "no difference" in names:
        parts.append("no difference seen elsewhere" if parts else "no difference seen anywhere")
    if "not enough data" in names:
        parts.append(f"not enough data on {', '.join(names['not enough data'])}")
    words = "; ".join(parts)
    return words if words.startswith(comparison.verdict) else f"{comparison.verdict}: {words}"


def span(interval: Interval, metric: Metric) -> str:
    """Write the ends of a difference, in points of a hundred where the metric is a share or an AUC."""
    if not metric.in_points:
        write = alike((interval.low, interval.high), 4, "+")
        return f"{write(interval.low)} to {write(interval.high)}"
    return f"{100 * interval.low:+.1f} to {100 * interval.high:+.1f} points"
