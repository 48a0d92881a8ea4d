"""Compare two models on the same rows, overall and by slice: what is better, what is worse, and what nobody can tell.

Paired, because two models err on the same rows (Miller 2024, "Adding Error Bars to Evals"); corrected for the number of slices
by Holm (1979), because of twenty slices one would differ by chance. docs/evaluation.md has the method and its sources.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

import numpy as np

from onebutton_evaluation.declarations import Judging
from onebutton_evaluation.influence import METRICS, Metric, sorted_rows, take
from onebutton_evaluation.intervals import LEVEL, Interval, UnitSums, from_units, sum_units
from onebutton_evaluation.slices import Slice, check_rows, unit_values

if TYPE_CHECKING:
    import polars as pl

Verdict = Literal["better", "worse", "no difference", "not enough data"]
Overall = Literal["better", "worse", "mixed", "same", "not enough data"]
POWER = 0.8  # of seeing a difference that is there, in the number of rows needed
SEEN = 1.959964 + 0.841621  # standard errors that a difference needs to be seen at 95 % with this power


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
        metric: its name.
        differences: all rows first, then each slice.
        verdict: over all of them.
    """

    than: str
    metric: str
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
    metric = METRICS[judging.champion]
    check_rows(frame, judging, champion)
    units = unit_values(frame, judging.unit)
    answers = frame[judging.answer].to_numpy()
    sides = [sorted_rows(answers, frame[name].to_numpy(), units) for name in (judging.prediction, champion)]
    found: list[tuple[Slice, int, int, Interval | None]] = []
    for part in slices:
        rows, units_here, difference = int(part.mask.sum()), 0, None
        pair = [take(side, part.mask[order]) for side, order in sides]
        units_here = int(np.count_nonzero(np.bincount(pair[0].units, minlength=1)))
        if rows >= judging.minimum_rows and units_here >= judging.minimum_units:
            measured = [(one, metric.measure(one)) for one in pair]
            if all(result is not None for _, result in measured):
                (estimate, sums), (before, sums_before) = (
                    (result[0], sum_units(one, result[1])) for one, result in measured if result is not None
                )
                sign = 1.0 if metric.better == "higher" else -1.0
                both = UnitSums(sign * (sums.influence - sums_before.influence), sums.rows)
                difference = _interval(sign * (estimate - before), both, metric)
        found.append((part, rows, units_here, difference))
    adjusted = iter(holm([difference.p for *_, difference in found if difference is not None]))
    differences = tuple(
        Difference(
            part.name,
            part.group,
            rows,
            units_here,
            difference,
            "not enough data" if difference is None else _verdict(difference, next(adjusted)),
            None if difference is None else rows_needed(difference, judging.tolerance),
        )
        for part, rows, units_here, difference in found
    )
    return Comparison(than, metric.name, judging.tolerance, differences, overall(differences))


def _interval(estimate: float, sums: UnitSums, metric: Metric) -> Interval:
    """Find the interval of a difference; where no unit differs at all, the two are the same and it is 0 to 0."""
    found = from_units(estimate, sums, metric, difference=True)
    if math.isnan(found.low) and estimate == 0:
        return Interval(0.0, 0.0, 0.0, 0.0, 1.0, "equal in every unit", found.rows, found.units)
    return found


def _verdict(difference: Interval, p: float) -> Verdict:
    if math.isnan(p):
        return "not enough data"
    if p >= 1 - LEVEL:
        return "no difference"
    return "better" if difference.estimate > 0 else "worse"


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
    if {"better", "worse"} <= verdicts:
        return "mixed"
    for verdict in ("better", "worse"):
        if verdict in verdicts:
            return "better" if verdict == "better" else "worse"
    return "same" if "no difference" in verdicts else "not enough data"


def in_words(comparison: Comparison) -> str:
    """Say it so that a person outside the team can use it."""
    metric, parts = METRICS[comparison.metric], []
    for verdict in ("better", "worse"):
        named = [
            f"{_place(one)} ({span(one.interval, metric)})"
            for one in comparison.differences
            if one.verdict == verdict and one.interval is not None
        ]
        if named:
            parts.append(f"{verdict} on {', '.join(named)}")
    verdicts = [one.verdict for one in comparison.differences]
    if "no difference" in verdicts:
        parts.append("no difference seen elsewhere" if parts else "no difference seen anywhere")
    if "not enough data" in verdicts:
        few = [_place(one) for one in comparison.differences if one.verdict == "not enough data"]
        parts.append(f"not enough data on {', '.join(few)}")
    return f"{comparison.verdict}: {'; '.join(parts)}" if parts else comparison.verdict


def _place(one: Difference) -> str:
    return "all rows" if one.name == "all" else one.name


def span(interval: Interval, metric: Metric) -> str:
    """Write the ends of a difference, in points of a hundred where the metric is a share or an AUC."""
    if metric.scale == "plain":
        return f"{interval.low:+.4f} to {interval.high:+.4f}"
    return f"{100 * interval.low:+.1f} to {100 * interval.high:+.1f} points"
