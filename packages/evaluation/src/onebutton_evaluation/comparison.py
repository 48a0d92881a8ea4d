"""Compare two models on the same rows, overall and by slice: what is better, what is worse, and what the data cannot tell.

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
from onebutton_evaluation.influence import METRICS, Metric, Rows, sorted_rows, take
from onebutton_evaluation.intervals import LEVEL, Interval, from_influence, interval
from onebutton_evaluation.slices import Slice, check_rows, unit_values

if TYPE_CHECKING:
    import polars as pl
    from numpy.typing import NDArray

    Floats = NDArray[np.float64]
    Places = NDArray[np.int64]

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
        theirs: the metric of what it was compared with, on all rows; None with too little data.
        differences: all rows first, then each slice.
        verdict: over all of them.
    """

    than: str
    metric: str
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
    metric = METRICS[judging.champion]
    check_rows(frame, judging, champion)
    units = unit_values(frame, judging.unit)
    answers = frame[judging.answer].to_numpy()
    sides = [sorted_rows(answers, frame[name].to_numpy(), units) for name in (judging.prediction, champion)]
    found: list[tuple[Slice, int, int, Interval | None]] = []
    for part in slices:
        ours, theirs = (take(side, part.mask[order]) for side, order in sides)
        rows, units_here = len(ours), int(np.count_nonzero(np.bincount(ours.units, minlength=1)))
        enough = rows >= judging.minimum_rows and units_here >= judging.minimum_units
        places = [order[part.mask[order]] for _, order in sides]
        found.append((part, rows, units_here, _difference(ours, theirs, places, metric) if enough else None))
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
    alone = interval(sides[1][0], metric) if found[0][-1] else None
    return Comparison(than, metric.name, alone, judging.tolerance, differences, overall(differences))


def _difference(ours: Rows, theirs: Rows, places: Sequence[Places], metric: Metric) -> Interval | None:
    """Find the interval of how much better ours are; None with too little data.

    Args:
        ours: the challenger's rows, in the order of its predictions.
        theirs: the champion's, in the order of its own.
        places: where the rows of either stand in the frame.
        metric: to judge by.
    """
    measured, before = metric.measure(ours), metric.measure(theirs)
    if measured is None or before is None:
        return None
    sign = 1.0 if metric.better == "higher" else -1.0
    estimate, influence = sign * (measured[0] - before[0]), measured[1].copy()
    influence -= _moved(before[1], places[1], places[0])
    influence *= sign
    found = from_influence(estimate, ours, influence, metric, difference=True)
    if found is None or influence.any():
        return found
    alike = metric.scale != "ranks" or np.array_equal(_ranks(ours), _moved(_ranks(theirs), places[1], places[0]))
    return Interval(0.0, 0.0, 0.0, 0.0, 1.0, "equal in every unit", found.rows, found.units) if alike else found


def _moved(values: Floats, come_from: Places, go_to: Places) -> Floats:
    """Bring values of rows that stand in one order into another."""
    frame = np.empty(int(come_from.max()) + 1)
    frame[come_from] = values
    return frame[go_to]


def _ranks(rows: Rows) -> Floats:
    """Number the predictions, equal ones alike: two models of the same ranks cannot differ in AUC, whatever rows come."""
    return np.concatenate(([0.0], np.cumsum(np.diff(rows.predictions) > 0)))


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
    """Sum up a comparison in a sentence."""
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
    words = "; ".join(parts) or comparison.verdict
    return words if words.startswith(comparison.verdict) else f"{comparison.verdict}: {words}"


def _place(one: Difference) -> str:
    return "all rows" if one.name == "all" else one.name


def span(interval: Interval, metric: Metric) -> str:
    """Write the ends of a difference, in points of a hundred where the metric is a share or an AUC."""
    if metric.scale == "plain":
        return f"{interval.low:+.4f} to {interval.high:+.4f}"
    return f"{100 * interval.low:+.1f} to {100 * interval.high:+.1f} points"
