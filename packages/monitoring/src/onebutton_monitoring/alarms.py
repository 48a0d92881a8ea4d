"""Alarms with a budget of false ones: a sequential test on what wrong calls cost each week, and what alarms at once.

The test is Page's CUSUM (1954) of how far the cost of each week lies beyond the limit of harm, in standard errors. A week may
cost anything up to the limit and is quiet, so the threshold is the lowest with which half-years of weeks that cost anything
between the usual and the limit, and whose labels are rows of the tuning months, alarm no more often than the budget says. Weather
that makes a week dear is real and no chance; which of its rows were dear is.
"""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from datetime import date, timedelta
from typing import NamedTuple

import numpy as np
import polars as pl

from onebutton_evaluation.influence import Floats, Mask
from onebutton_evaluation.slices import ALL
from onebutton_monitoring.declaration import Monitor
from onebutton_monitoring.joining import DAY, SLICE, WEEK, words

HALF_YEAR = 26  # weeks
DRAWN = 2000  # half-years
ENOUGH = 50  # labels whose mean is as good as normal
SLACK = 0.5  # standard errors beyond the limit that count for nothing: quickest on harm twice as far beyond it
REST = 4  # a week with less than one in so many of the usual labels is a rest of one
TINY = 1e-12
THRESHOLDS = np.geomspace(0.25, 20, 100)


class Alarm(NamedTuple):
    """Something that is wrong in a slice, or in a column of it."""

    kind: str
    where: str
    what: str
    week: date  # in which it was found
    words: str  # what was found, and how sure that is
    since: date  # the first day of it, as far as can be told
    until: date | None = None  # the week in which it was over; None while it stands
    why: tuple[str, ...] = ()  # lines that explain it

    @property
    def name(self) -> str:
        """What tells it from others: repeats of it are folded."""
        return " / ".join(filter(None, (self.kind, self.where, self.what)))

    def __str__(self) -> str:
        """Write it on a line, and below what explains it."""
        over = f" until {self.until}" if self.until else ""
        return "\n  ".join([f"{self.name}, since {self.since}{over}: {self.words}", *self.why])


def fold(found: Sequence[Alarm], weeks: Iterable[date]) -> Iterator[Alarm]:
    """Fold alarms of weeks in a row into the first of them, which is over in the first week without it."""
    standing = dict[str, Alarm]()
    for week in weeks:
        now = {alarm.name: alarm for alarm in found if alarm.week == week}
        yield from (standing.pop(name)._replace(until=week) for name in standing.keys() - now.keys())
        standing = now | standing
    yield from standing.values()


class Usual(NamedTuple):
    """What the tuning months lead to expect of a slice."""

    cost: float  # of a row
    limit: float  # of harm
    costs: Floats  # of rows, as far as they were looked at one by one

    def beyond(self, cost: Floats, labelled: Floats | float) -> Floats:
        """Return by how many standard errors a week's cost lies beyond the limit, less the slack.

        The variance is that of tuning, grown as that of a count grows with its mean.
        """
        variance = float(np.var(self.costs)) * self.limit / (self.cost + TINY)
        error = np.sqrt(variance / np.maximum(labelled, 1)) + TINY
        beyond: Floats = (cost - self.limit) / error - SLACK
        return beyond


def climb(evidence: Floats, threshold: float) -> tuple[Floats, Mask]:
    """Add evidence up week by week, as CUSUM does; an alarm begins at the threshold and stands until half of it is gone.

    Returns:
        The sum, which never exceeds the threshold, and whether an alarm stands; both of the shape of evidence, weeks first.
    """
    levels, standing = np.zeros_like(evidence), np.zeros(evidence.shape, dtype=np.bool_)
    level, stands = np.zeros(evidence.shape[1:]), np.zeros(evidence.shape[1:], dtype=np.bool_)
    for week, one in enumerate(evidence):
        levels[week] = level = np.clip(level + one, 0, threshold)
        standing[week] = stands = (level >= threshold) | (stands & (level > threshold / 2))
    return levels, standing


def calls(standing: Mask) -> Mask:
    """Say in which weeks somebody is called, because an alarm of any slice begins; the last axis of what stands is slices."""
    begins: Mask = np.diff(standing.astype(np.int8), axis=0, prepend=0) > 0
    return np.asarray(begins.any(axis=-1))


def threshold_of(known: Mapping[str, Usual], labelled: Mapping[str, float], budget: float) -> float:
    """Choose the lowest threshold that keeps the budget of false alarms in a half-year with so many labels a week.

    Half-years are drawn whose weeks are quiet, each as dear in every slice.
    """
    rng, drawn = np.random.default_rng(0), []
    height = rng.random((HALF_YEAR, DRAWN))
    for name, one in known.items():
        means = rng.choice(one.costs, size=(*height.shape, int(np.clip(labelled[name], 1, ENOUGH)))).mean(axis=-1)
        quiet = one.beyond(one.cost + height * (one.limit - one.cost), labelled[name])
        drawn.append(quiet + (means - means.mean()) / (means.std() + TINY))
    evidence = np.stack(drawn, axis=-1)
    kept = (one for one in THRESHOLDS if calls(climb(evidence, one)[1]).sum(axis=0).mean() <= budget)
    return float(next(kept, THRESHOLDS[-1]))


def of_labels(weeks: pl.DataFrame, known: Mapping[str, Usual], budget: float) -> Iterator[Alarm]:
    """Find alarms about the cost of each slice, from its weeks with labels; the rest of a week says too little."""
    tables = {str(name): table for (name,), table in weeks.group_by(SLICE, maintain_order=True) if name in known}
    labelled = {name: float(np.median(tables[name]["labelled"])) if name in tables else 0.0 for name in known}
    threshold = threshold_of(known, labelled, budget)
    for name, table in tables.items():
        usual, counts = known[name], table["labelled"].to_numpy()
        beyond = usual.beyond(table["cost"].struct.field("estimate").to_numpy(), counts)
        evidence = np.where(counts >= max(labelled[name] / REST, 1), beyond, 0.0)
        found, since, before = list[Alarm](), date.min, 0.0
        for week, level, stands in zip(table.iter_rows(named=True), *climb(evidence, threshold), strict=True):
            since, before = week[WEEK] if before == 0 else since, level
            if stands:
                told = f"a row costs {words(week['cost'])} instead of {usual.cost:.3f}"
                found.append(Alarm("cost", name, "", week[WEEK], f"{told}; harm begins at {usual.limit:.3f}", since))
        yield from fold(found, table[WEEK])


def of_silence(days: pl.DataFrame, said: Monitor, today: date) -> Iterator[Alarm]:
    """Say when predictions, or labels that are due, have stopped."""
    begun: date | None = days[DAY].min()  # type: ignore[assignment]
    for what, column, late in (("predictions", "rows", 0), ("labels", "labelled", said.label_delay_days)):
        last: date | None = days.filter(pl.col(column) > 0)[DAY].max()  # type: ignore[assignment]
        if (last or begun or date.min) < today - timedelta(late + said.silence_days):
            week, since = today - timedelta(today.weekday()), last + timedelta(1) if last else begun or today
            yield Alarm("silence", ALL, what, week, f"no {what} after {last}" if last else f"no {what} at all", since)
