"""Alarms with a budget of false ones: a sequential test on what wrong calls cost each week, and what alarms at once.

The test is Page's CUSUM (1954) of how far the cost of each week lies beyond the limit of harm, in standard errors. A week may
cost anything up to the limit and is quiet, so the threshold is the lowest with which half-years of weeks that cost anything
between the usual and the limit, and whose labels are rows of the tuning months, alarm no more often than the budget says. Weather
that makes a week dear is real and no chance; which of its rows were dear is.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import date, datetime, timedelta
from typing import TYPE_CHECKING

import numpy as np
import polars as pl

from onebutton_contracts.errors import InputError
from onebutton_evaluation.declarations import Judging
from onebutton_evaluation.slices import ALL, find_slices
from onebutton_monitoring.declaration import FILE, Monitor
from onebutton_monitoring.joining import DAY, Joined, outcome
from onebutton_monitoring.weeks import DAYS, Week, figures

if TYPE_CHECKING:
    from numpy.typing import NDArray

    Floats = NDArray[np.float64]
    Flags = NDArray[np.bool_]

HALF_YEAR = 26  # weeks
DRAWN = 2000  # half-years
ENOUGH = 50  # labels whose mean is as good as normal
SLACK = (
    0.5  # standard errors beyond the limit that count for nothing: the test is quickest on harm twice as far beyond it
)
LEAST_OF_TUNING, LEAST_OF_WEEK = 14, 5  # days
REST = 4  # a week with less than one in so many of the usual labels is a rest of one
LOST, CERTAIN = 0.25, 4.0  # a slope is lost when it is so many standard errors below a quarter of the usual one
TINY = 1e-12
THRESHOLDS = np.geomspace(0.25, 20, 100)


@dataclass(frozen=True)
class Alarm:
    """Something that is wrong in a slice, or in a column of it.

    Attributes:
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
    """Fold weeks in a row that say the same into one alarm; each is its Monday, what is wrong if anything, and since when."""
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
        costs: of rows, as far as they were looked at one by one.
        slope: of answers on predictions.
    """

    cost: float
    limit: float
    costs: Floats
    slope: float

    def beyond(self, cost: Floats, labelled: float) -> Floats:
        """Return by how many standard errors a week's cost lies beyond the limit, less the slack.

        The variance is that of tuning, grown as that of a count grows with its mean.
        """
        variance = float(np.var(self.costs)) * self.limit / (self.cost + TINY)
        error = np.sqrt(variance / max(labelled, 1)) + TINY
        beyond: Floats = (cost - self.limit) / error - SLACK
        return beyond


def usual(tuning: Joined, said: Monitor, judging: Judging) -> dict[str, Usual]:
    """Learn from the tuning months; a slice with too little of them is not watched.

    Raises:
        InputError: there are too few days, or they are harmful themselves.
    """
    weeks = {str(name): figures(part) for (name,), part in tuning.days.partition_by("slice", as_dict=True).items()}
    whole = weeks[ALL].cost
    if whole is None or whole.days < LEAST_OF_TUNING:
        raise InputError(
            f"{FILE}: tuning: {said.tuning!r} holds {whole.days if whole else 0} days; it needs {LEAST_OF_TUNING}"
        )
    rise = said.harm.limit - whole.estimate
    if rise <= 0:
        raise InputError(
            f"{FILE}: harm.limit is {said.harm.limit:g}, and a row of tuning costs {whole.estimate:.3f} already"
        )
    known = tuning.watched.filter(pl.col(judging.answer).is_not_null())
    costs = outcome(known, judging, said.harm)["cost"].to_numpy()
    found = {}
    for part in find_slices(known, said.slices, FILE):
        week = weeks[part.name]
        if week.cost and week.cost.days >= LEAST_OF_TUNING:
            mean = week.cost.estimate
            slope = week.slope.estimate if week.slope else float("nan")
            found[part.name] = Usual(mean, mean + rise, costs[part.mask], slope)
    return found


def climb(evidence: Floats, threshold: float) -> tuple[Floats, Flags]:
    """Add evidence up week by week, as CUSUM does; an alarm begins at the threshold and stands until half of it is gone.

    Returns:
        The sum, which never exceeds the threshold, and whether an alarm stands; both of the shape of evidence, weeks first.
    """
    level, stands = np.zeros(evidence.shape[1:]), np.zeros(evidence.shape[1:], dtype=np.bool_)
    both = []
    for one in evidence:
        level = np.clip(level + one, 0, threshold)
        stands = (level >= threshold) | (stands & (level > threshold / 2))
        both.append((level, stands))
    return np.array([level for level, _ in both]), np.array([stands for _, stands in both])


def drawn(known: Mapping[str, Usual], labelled: Mapping[str, float], seed: int = 0) -> Floats:
    """Draw evidence of quiet half-years, each week as dear in every slice; shape (weeks, half-years, slices)."""
    rng, found = np.random.default_rng(seed), []
    height = rng.random((HALF_YEAR, DRAWN))
    for name, one in known.items():
        means = rng.choice(one.costs, size=(*height.shape, int(np.clip(labelled[name], 1, ENOUGH)))).mean(axis=-1)
        quiet = one.beyond(one.cost + height * (one.limit - one.cost), labelled[name])
        found.append(quiet + (means - means.mean()) / (means.std() + TINY))
    return np.stack(found, axis=-1)


def threshold_of(known: Mapping[str, Usual], labelled: Mapping[str, float], budget: float) -> float:
    """Choose the lowest threshold that keeps the budget of false alarms in a half-year with so many labels a week."""
    evidence = drawn(known, labelled)
    for threshold in THRESHOLDS:
        if begins(climb(evidence, threshold)[1]).sum(axis=0).mean() <= budget:
            break
    return float(threshold)


def begins(standing: Flags) -> Flags:
    """Say in which weeks somebody is called, because an alarm of any slice begins; the last axis of what stands is slices."""
    before = np.concatenate([np.zeros_like(standing[:1]), standing[:-1]])
    begun: Flags = (standing & ~before).any(axis=-1)
    return begun


def of_cost(name: str, weeks: Sequence[Week], known: Usual, threshold: float) -> list[Alarm]:
    """Find alarms about the cost of one slice, from its weeks with labels; the rest of a week says too little."""
    enough = np.median([week.labelled for week in weeks]) / REST
    judged = [(week.start, week.cost, week.labelled) for week in weeks if week.cost and week.labelled >= enough]
    evidence = [known.beyond(np.array(cost.estimate), labelled) for _, cost, labelled in judged]
    levels, standing = climb(np.array(evidence), threshold)
    said, since = [], date.min
    for at, (start, cost, _) in enumerate(judged):
        since = start if not at or levels[at - 1] == 0 else since
        words = f"a row costs {cost} instead of {known.cost:.3f}; harm begins at {known.limit:.3f}"
        said.append((start, words if standing[at] else "", since))
    return spells("cost", name, "", said)


def of_relation(weeks: Sequence[Week], known: Usual) -> list[Alarm]:
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
    return spells("relation", ALL, "labels", said)


def of_silence(days: pl.DataFrame, said: Monitor, now: datetime) -> list[Alarm]:
    """Say when predictions, or labels that are due, have stopped."""
    found = []
    for what, column, late in (("predictions", "rows", 0), ("labels", "labelled", said.label_delay_days)):
        newest = days.filter(pl.col(column) > 0)[DAY].max()
        last = newest if isinstance(newest, date) else date.min
        if last < now.date() - timedelta(late + said.silence_days):
            found.append(Alarm("silence", ALL, what, last + timedelta(1), now.date(), f"no {what} after {last}"))
    return found
