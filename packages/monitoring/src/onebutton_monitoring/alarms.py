"""Alarms with a budget of false ones: a sequential test on what wrong calls cost each week, and what alarms at once.

The test is Page's CUSUM (1954) of the log likelihood ratio of two means, the usual cost and the harmful one (Lorden 1971). Its
threshold is the lowest with which half-years of weeks whose days are drawn from the tuning months alarm no more often than the
budget says: days, because rows of one day share its weather.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import date, datetime, timedelta
from typing import TYPE_CHECKING

import numpy as np
import polars as pl

from onebutton_contracts.errors import InputError
from onebutton_evaluation.slices import ALL
from onebutton_monitoring.declaration import FILE, Monitor
from onebutton_monitoring.joining import DAY
from onebutton_monitoring.weeks import DAYS, Week, figures

if TYPE_CHECKING:
    from numpy.typing import NDArray

    Floats = NDArray[np.float64]
    Flags = NDArray[np.bool_]

HALF_YEAR = 26  # weeks
DRAWN = 2000  # half-years
LEAST_OF_TUNING, LEAST_OF_WEEK = 14, 5  # days
LOST, CERTAIN = 0.25, 4.0  # a slope is lost when it is so many standard errors below a quarter of the usual one
THRESHOLDS = np.geomspace(0.25, 60, 60)


@dataclass(frozen=True)
class Alarm:
    """Something that is wrong.

    Attributes:
        kind: such as `cost`, `nulls`, `silence`.
        where: the slice.
        what: the column, or what else is meant; empty where the kind says it.
        since: the first day of it, as far as can be told.
        seen: the last day of the week in which it was found.
        words: what was found, and how sure that is.
        until: the week in which it was over; None while it stands.
    """

    kind: str
    where: str
    what: str
    since: date
    seen: date
    words: str
    until: date | None = None

    @property
    def name(self) -> str:
        """What tells it from others: repeats of it are folded."""
        return " / ".join(filter(None, (self.kind, self.where, self.what)))


def spells(kind: str, where: str, what: str, weeks: Iterable[tuple[date, str, date]]) -> list[Alarm]:
    """Fold weeks in a row that say the same into one alarm.

    Args:
        kind: as of `Alarm`, as the two after it.
        where: the slice.
        what: the column.
        weeks: their Monday; what is wrong, empty where nothing is; and since when.
    """
    found: list[Alarm] = []
    for start, words, since in weeks:
        stands = bool(found) and found[-1].until is None
        if words and not stands:
            found.append(Alarm(kind, where, what, since, start + timedelta(DAYS - 1), words))
        elif stands and not words:
            found[-1] = replace(found[-1], until=start)
    return found


@dataclass(frozen=True)
class Usual:
    """What the tuning months lead to expect of a slice.

    Attributes:
        cost: of a row.
        limit: of harm.
        costs: of all rows of each day, and how many they are; shape (2, days).
        error: standard error of a week's mean cost.
        within: variance of the cost of a row.
        slope: of answers on predictions.
    """

    cost: float
    limit: float
    costs: Floats
    error: float
    within: float
    slope: float

    def thinned(self, labelled: float) -> float:
        """Return the variance that a week's mean cost has because only so many of its rows have a label."""
        return self.within * max(0.0, 1 / max(labelled, 1.0) - 1 / (DAYS * float(self.costs[1].mean())))

    def evidence(self, cost: Floats, labelled: float) -> Floats:
        """Return the log likelihood ratio of the harmful mean to the usual one."""
        rise = self.limit - self.cost
        return rise / (self.error**2 + self.thinned(labelled)) * (cost - (self.limit + self.cost) / 2)


def usual(days: pl.DataFrame, said: Monitor) -> dict[str, Usual]:
    """Learn from the tuning months, given as `Joined.days`; a slice with too little of them is not watched.

    Raises:
        InputError: there are too few days, or they are harmful themselves.
    """
    whole = figures(days.filter(pl.col("slice") == ALL)).cost
    if whole is None or whole.days < LEAST_OF_TUNING:
        message = f"{FILE}: tuning: {said.tuning!r} holds {whole.days if whole else 0} days; it needs {LEAST_OF_TUNING}"
        raise InputError(message)
    rise = said.harm.limit - whole.estimate
    if rise <= 0:
        message = f"{FILE}: harm.limit is {said.harm.limit:g}, and a row of tuning costs {whole.estimate:.3f} already"
        raise InputError(message)
    found = {}
    for (name,), part in days.partition_by("slice", as_dict=True, maintain_order=True).items():
        week = figures(part)
        if week.cost and week.slope and week.cost.days >= LEAST_OF_TUNING:
            mean, error = week.cost.estimate, week.cost.error * float(np.sqrt(week.cost.days / DAYS))
            costs, squares = part.select("cost", "labelled").to_numpy().T, part["cost_squared"].to_numpy()
            within = float(squares.sum() / costs[1].sum()) - mean**2
            found[str(name)] = Usual(mean, mean + rise, costs, error, within, week.slope.estimate)
    return found


def climb(evidence: Floats, threshold: float) -> tuple[Floats, Flags]:
    """Add evidence up week by week, as CUSUM does; an alarm begins at the threshold and stands until half of it is gone.

    Args:
        evidence: shape (weeks, ...); each of the others is a test of its own.
        threshold: of all.

    Returns:
        The sum, which never exceeds the threshold, and whether an alarm stands; both of the same shape.
    """
    level, stands = np.zeros(evidence.shape[1:]), np.zeros(evidence.shape[1:], dtype=np.bool_)
    both = []
    for one in evidence:
        level = np.clip(level + one, 0, threshold)
        stands = (level >= threshold) | (stands & (level > threshold / 2))
        both.append((level, stands))
    return np.array([level for level, _ in both]), np.array([stands for _, stands in both])


def drawn(known: Mapping[str, Usual], labelled: Mapping[str, float], count: int = DRAWN, seed: int = 0) -> Floats:
    """Draw evidence of half-years whose days are those of the tuning months; shape (weeks, half-years, slices)."""
    rng = np.random.default_rng(seed)
    days = rng.integers(known[ALL].costs.shape[1], size=(HALF_YEAR, count, DAYS))
    found = []
    for name, one in known.items():
        costs, counts = one.costs[:, days % one.costs.shape[1]].sum(axis=-1)
        noise = rng.normal(0, np.sqrt(one.thinned(labelled[name])), size=costs.shape)
        found.append(one.evidence(costs / counts + noise, labelled[name]))
    return np.stack(found, axis=-1)


def calls(standing: Flags) -> Floats:
    """Count the weeks in which somebody is called because an alarm of any slice begins; shape without weeks and slices."""
    before = np.concatenate([np.zeros_like(standing[:1]), standing[:-1]])
    counted: Floats = (standing & ~before).any(axis=-1).sum(axis=0).astype(np.float64)
    return counted


def threshold_of(known: Mapping[str, Usual], labelled: Mapping[str, float], budget: float) -> float:
    """Choose the lowest threshold that keeps the budget of false alarms in a half-year with so many labels a week."""
    evidence = drawn(known, labelled)
    kept = (one for one in THRESHOLDS if calls(climb(evidence, one)[1]).mean() <= budget)
    return float(next(kept, THRESHOLDS[-1]))


def of_cost(name: str, weeks: Sequence[Week], known: Usual, threshold: float) -> list[Alarm]:
    """Find alarms about the cost of one slice, from its weeks with labels."""
    judged = [(week.start, week.cost, week.labelled) for week in weeks if week.cost]
    evidence = [known.evidence(np.array(cost.estimate), labelled) for _, cost, labelled in judged]
    levels, standing = climb(np.array(evidence), threshold)
    said, since = [], date.min
    for at, (start, cost, _) in enumerate(judged):
        since = start if not at or levels[at - 1] == 0 else since
        words = f"a row costs {cost} instead of {known.cost:.3f}; harm begins at {known.limit:.3f}"
        said.append((start, words if standing[at] else "", since))
    return spells("cost", name, "", said)


def of_relation(name: str, weeks: Sequence[Week], known: Usual) -> list[Alarm]:
    """Find weeks whose answers no longer follow predictions: labels are mixed up, or the world has changed.

    The slope of answers on predictions (Cox 1958) is held against a quarter of the usual one.
    """
    said = []
    for week in weeks:
        lost = week.slope and week.slope.estimate + CERTAIN * week.slope.error < LOST * known.slope
        words = (
            f"answers hardly follow predictions: slope {week.slope} instead of {known.slope:.2f}. Are labels mixed up?"
        )
        said.append((week.start, words if lost and week.slope and week.slope.days >= LEAST_OF_WEEK else "", week.start))
    return spells("relation", name, "labels", said)


def of_silence(days: pl.DataFrame, said: Monitor, now: datetime) -> list[Alarm]:
    """Say when predictions, or labels that are due, have stopped."""
    found = []
    for what, column, late in (("predictions", "rows", 0), ("labels", "labelled", said.label_delay_days)):
        newest = days.filter(pl.col(column) > 0)[DAY].max()
        last = newest if isinstance(newest, date) else date.min
        if last < now.date() - timedelta(late + said.silence_days):
            found.append(Alarm("silence", ALL, what, last + timedelta(1), now.date(), f"no {what} after {last}"))
    return found
