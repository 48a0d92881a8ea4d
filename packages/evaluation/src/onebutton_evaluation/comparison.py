"""Compare two models on the same rows, overall and by slice: what is better, what is worse, and what the data cannot tell.

Paired, because two models err on the same rows (Miller 2024, "Adding Error Bars to Evals"); corrected for the number of slices
by Holm (1979), because of twenty slices one would differ by chance. docs/evaluation.md has the method and its sources.
"""

import math
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import polars as pl

from onebutton_evaluation.declarations import Judging
from onebutton_evaluation.influence import Metric, Rows
from onebutton_evaluation.intervals import (
    LEVEL,
    RARE,
    ROUNDING,
    Interval,
    interval,
    short,
    standard_error,
    student,
)
from onebutton_evaluation.metrics import read_rows
from onebutton_evaluation.slices import ALL, Slice
from onebutton_evaluation.wording import alike

NONE = "not enough data"  # the verdict where neither can be told
SEEN = 1.959964 + 0.841621  # standard errors that a difference needs to be seen at 95 % with a power of 80 %


def compare(
    frame: pl.DataFrame, slices: Sequence[Slice], judging: Judging, column: str, name: str = ""
) -> dict[str, Any]:
    """Compare the column `judging.prediction` with another; positive is better, whichever way the metric runs.

    Args:
        frame: one row per prediction, with both columns.
        slices: as `find_slices` gives them, all rows first.
        judging: names column, unit, metric and tolerance.
        column: of the other predictions.
        name: what to call these, where not as the column.

    Returns:
        What `comparison.json` says of it. The verdict of a slice is at 95 % after Holm's correction for all slices;
        `rows_needed` is how many would show the declared tolerance with 80 % power, if they came as these did.

    Raises:
        InputError: a column is not there, or lacks values.
    """
    metric = judging.known()[judging.champion]
    ours, theirs = read_rows(frame, judging), read_rows(frame, judging, column)
    parts: dict[str, dict[str, Any]] = {}
    found: dict[str, Interval] = {}
    for part in slices:
        one, other = ours.take(part.mask), theirs.take(part.mask)
        facts = {"group": part.group, "rows": len(one), "units": one.unit_count}
        parts[part.name] = {**facts, "verdict": NONE, "rows_needed": None}
        if judging.enough(len(one), one.unit_count) and (seen := difference(one, other, metric)):
            found[part.name] = seen
    for (place, seen), p in zip(found.items(), holm([seen.p for seen in found.values()]), strict=True):
        if not math.isnan(p):
            parts[place]["verdict"] = "no difference" if p >= 1 - LEVEL else "better" if seen.estimate > 0 else "worse"
        needed = rows_needed(seen, judging.tolerance)
        parts[place] |= {"difference": seen.mapping() | {"p": short(seen.p)}, "rows_needed": needed}
    alone = interval(theirs, metric) if ALL in found else None
    verdicts = {part["verdict"] for part in parts.values()}
    summed = {"better": "better", "worse": "worse", "no difference": "same", NONE: NONE}
    verdict = next(said for one, said in summed.items() if one in verdicts)
    if {"better", "worse"} <= verdicts:
        verdict = "mixed"
    return {
        "name": name or column,
        "metric": metric.name,
        "theirs": None if alone is None else alone.mapping(),
        "tolerance": judging.tolerance,
        "verdict": verdict,
        "in_words": in_words(parts, verdict, metric),
        "slices": parts,
    }


def difference(ours: Rows, theirs: Rows, metric: Metric) -> Interval | None:
    """Find the interval of how much better ours are, by the difference of influences; both have the same rows in the same order.

    Returns:
        None with too little data. It is enough where either side has enough: a model that never calls a class has no precision
        on it, and is the worse for it. Where both err so rarely that nothing is known of the spread, the interval is put together
        from those of both (Zou and Donner 2008), as if the models had nothing in common: wide rather than sure of itself.
    """
    from scipy.special import stdtr

    measured, before = metric.measure(ours), metric.measure(theirs)
    one, other = interval(ours, metric), interval(theirs, metric)
    known = [side for side in (one, other) if side is not None]
    if measured is None or before is None or not known:
        return None
    sign = 1.0 if metric.better == "higher" else -1.0
    estimate = sign * (measured.estimate - before.estimate)
    error = standard_error(measured.influence - before.influence, ours)
    basis = max(side.basis for side in known)
    rare = metric.in_points and (not error > ROUNDING or all(side.method in RARE for side in known))
    low = high = estimate
    p, method = 1.0, "the same in every row"
    if _equal(ours, theirs, metric):
        estimate, low, high, method = 0.0, 0.0, 0.0, "equal in every row"
    elif rare and one is not None and other is not None:
        better, worse = (one, other) if sign > 0 else (other, one)
        low -= math.hypot(better.estimate - better.low, worse.high - worse.estimate)
        high += math.hypot(better.high - better.estimate, worse.estimate - worse.low)
        error, method = (high - low) / 2 / student(basis), "of both intervals"
    elif error > ROUNDING:
        low, high, method = low - student(basis) * error, high + student(basis) * error, "delta method"
    elif abs(estimate) > ROUNDING:  # by the sign test: every unit says the same
        p = 0.5 ** (ours.unit_count - 1)
    if method in {"of both intervals", "delta method"}:
        p = float(2 * stdtr(basis - 1, -abs(estimate) / error))
    return Interval(estimate, low, high, error, p, method, len(ours), basis)


def _equal(ours: Rows, theirs: Rows, metric: Metric) -> bool:
    """Say whether two models cannot differ in a metric, whatever rows come: equal answers, or an equal order of them."""
    one, other = ours.predictions, theirs.predictions
    if metric.kind in {"rank", "precision"} and one.ndim == 1:
        one, other = (pl.Series(each).rank().to_numpy() for each in (one, other))
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


def rows_needed(difference: Interval, tolerance: float) -> int | None:
    """Rows needed to see the tolerance, if further rows come as these did: in units of the same size."""
    if not difference.error > 0:
        return None
    return math.ceil(difference.rows * (SEEN * difference.error / tolerance) ** 2)


def in_words(parts: Mapping[str, Mapping[str, Any]], verdict: str, metric: Metric) -> str:
    """Sum up a comparison in a sentence, differences in points of a hundred where the metric is a share or an AUC."""
    scale, digits, unit = (100, 1, " points") if metric.in_points else (1, 4, "")
    names: dict[str, list[str]] = {}
    for name, part in parts.items():
        place = "all rows" if name == ALL else name
        if part["verdict"] in {"better", "worse"}:
            ends = [scale * part["difference"][end] for end in ("low", "high")]
            low, high = map(alike(ends, digits, "+"), ends)
            place += f" ({low} to {high}{unit})"
        names.setdefault(part["verdict"], []).append(place)
    said = [f"{one} on {', '.join(names[one])}" for one in ("better", "worse") if one in names]
    if "no difference" in names:
        said.append("no difference seen elsewhere" if said else "no difference seen anywhere")
    if NONE in names:
        said.append(f"{NONE} on {', '.join(names[NONE])}")
    words = "; ".join(said)
    return words if words.startswith(verdict) else f"{verdict}: {words}"
