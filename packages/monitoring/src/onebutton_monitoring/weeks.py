"""Figures of each week and slice: volume, labels, what wrong calls cost, calibration, whether answers follow predictions."""

from __future__ import annotations

from dataclasses import dataclass, replace
from datetime import date
from typing import TYPE_CHECKING

import numpy as np
import polars as pl

from onebutton_evaluation.declarations import Judging
from onebutton_evaluation.intervals import Interval, interval, student
from onebutton_evaluation.metrics import read_rows
from onebutton_monitoring.joining import DAY, SUMS, WEEK, week_of

if TYPE_CHECKING:
    from numpy.typing import NDArray

    Floats = NDArray[np.float64]

DAYS = 7  # of a week
FOUR = 4  # weeks of the metric: its interval needs some twenty days


@dataclass(frozen=True)
class Number:
    """A number with its standard error; days count as one observation, and one of them alone has none."""

    estimate: float
    error: float
    days: int

    @property
    def ends(self) -> tuple[float, float]:
        """Both ends of the 95 % interval."""
        reach = student(self.days) * self.error if self.days > 1 else float("nan")
        return self.estimate - reach, self.estimate + reach

    def __str__(self) -> str:
        """Write it with its interval."""
        return "{:.3f} ({:.3f} to {:.3f})".format(self.estimate, *self.ends)


@dataclass(frozen=True)
class Week:
    """A week of one slice: what a row cost, predicted minus observed, and the slope of answers on predictions."""

    start: date
    rows: int
    labelled: int
    cost: Number | None = None
    gap: Number | None = None
    slope: Number | None = None


def figures(days: pl.DataFrame, start: date = date.min) -> Week:
    """Measure days of one slice, rows of `Joined.days`, together."""
    rows, known = int(days["rows"].sum()), days.filter(pl.col("labelled") > 0)
    if known.is_empty():
        return Week(start, rows, 0)
    predicted, answered, both, squared, cost = (known[name].to_numpy() for name in SUMS)
    count = known["labelled"].to_numpy().astype(np.float64)
    middle, share = predicted.sum() / count.sum(), answered.sum() / count.sum()
    spread = squared - 2 * middle * predicted + count * middle**2
    together = both - middle * answered - share * predicted + count * middle * share
    alike = bool(spread.sum() < 1e-9 * count.sum())  # all predictions are, so nothing can follow them
    slope = None if alike else _ratio(together, spread)
    return Week(start, rows, int(count.sum()), _ratio(cost, count), _ratio(predicted - answered, count), slope)


def _ratio(above: Floats, below: Floats) -> Number:
    """Divide two sums over days, with the standard error of the sandwich (Liang and Zeger 1986)."""
    estimate, days = float(above.sum() / below.sum()), len(above)
    influence = above - estimate * below
    error = np.sqrt(days / (days - 1) * (influence @ influence)) / below.sum() if days > 1 else float("nan")
    return Number(estimate, float(error), days)


def by_week(days: pl.DataFrame) -> dict[str, list[Week]]:
    """Measure each slice week by week."""
    found: dict[str, list[Week]] = {}
    for (name, start), part in days.with_columns(week_of()).sort(DAY).group_by("slice", WEEK, maintain_order=True):
        found.setdefault(str(name), []).append(figures(part, start))
    return found


def headline(watched: pl.DataFrame, judging: Judging) -> dict[date, Interval | None]:
    """Judge the four weeks up to each week by the metric of `gates.toml`; None where its interval needs more labels."""
    known, one = watched.filter(pl.col(judging.answer).is_not_null()), replace(judging, unit=DAY, quantiles={})
    weeks = watched[WEEK].unique().sort()
    parts = {
        week: known.filter(pl.col(WEEK).is_between(pl.lit(week).dt.offset_by(f"-{FOUR - 1}w"), week)) for week in weeks
    }
    metric = judging.known()[judging.champion]
    return {week: interval(read_rows(rows, one), metric) if rows.height else None for week, rows in parts.items()}
