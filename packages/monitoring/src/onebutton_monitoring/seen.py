"""Look at a log with its labels, or at history as if it had been logged: every alarm until then, and how good they were.

Rules look back only, so one pass over all weeks of history finds what a press in each of them would have.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import date, datetime, time, timedelta

import numpy as np
import polars as pl

from onebutton_evaluation.slices import ALL
from onebutton_monitoring import alarms
from onebutton_monitoring.alarms import HALF_YEAR, Alarm, Usual
from onebutton_monitoring.drift import of_inputs
from onebutton_monitoring.joining import DAY, Joined
from onebutton_monitoring.watch import Watch
from onebutton_monitoring.weeks import DAYS, Week, by_week


@dataclass(frozen=True)
class Seen:
    """What was seen until now: alarms in the order in which they were found; weeks whose labels are due, by slice."""

    joined: Joined
    weeks: dict[str, list[Week]]
    alarms: list[Alarm]

    @property
    def standing(self) -> list[Alarm]:
        """Alarms that are not over."""
        return [alarm for alarm in self.alarms if alarm.until is None]

    @property
    def standing_in_words(self) -> str:
        """Say how many they are."""
        count = len(self.standing)
        return "no alarm stands" if not count else "1 alarm stands" if count == 1 else f"{count} alarms stand"


def look(one: Watch, joined: Joined, now: datetime) -> Seen:
    """Find alarms in weeks whose labels are due; silence and inputs at once."""
    due = now.date() - timedelta(one.said.label_delay_days)
    judged = joined.days.filter(pl.col(DAY).dt.truncate("1w").dt.offset_by(f"{DAYS}d") <= due)
    weeks, usual = by_week(judged), one.usual
    labelled = {name: float(np.median([week.labelled for week in weeks.get(name, [])] or [0])) for name in usual}
    threshold = alarms.threshold_of(usual, labelled, one.said.false_alarms_per_half_year)
    found = alarms.of_silence(joined.days, one.said, now)
    for name in usual.keys() & weeks.keys():
        found += alarms.of_cost(name, weeks[name], usual[name], threshold)
    if ALL in weeks:
        found += alarms.of_relation(weeks[ALL], usual[ALL])
    found += of_inputs(one, joined, now.date() - timedelta(1))
    return Seen(joined, weeks, sorted(found, key=lambda alarm: (alarm.seen, alarm.name)))


@dataclass(frozen=True)
class Replay:
    """What came of it; weeks are harmful by the cost on all labels, of all rows or of a slice.

    Attributes:
        caught: harmful weeks in which an alarm about cost or labels stood.
        false: quiet weeks in which somebody would have been called about them.
        stood: quiet weeks in which an alarm stood, called in them or before.
        delays: for each run of harmful weeks, the days from its end of the first week to the call; None where none came.
    """

    weeks: int
    harmful: int
    caught: int
    false: int
    stood: int
    delays: tuple[int | None, ...]

    @property
    def words(self) -> list[str]:
        """Say it in lines."""
        quiet = self.weeks - self.harmful
        half_year = self.false / quiet * HALF_YEAR if quiet else float("nan")
        came = [str(days) if days is not None else "never" for days in self.delays]
        return [
            f"{self.weeks} weeks, {self.harmful} harmful; {self.caught} of these caught",
            f"{self.false} calls in a quiet week: {half_year:.1f} false alarms in 26 quiet weeks",
            f"an alarm stood in {self.stood} of {quiet} quiet weeks",
            f"days from the end of the first harmful week to the call: {', '.join(came) or 'no harm'}",
        ]


def replay(one: Watch, joined: Joined) -> Seen:
    """Look at history as it stood when its last labels were due."""
    end = joined.days[DAY].max()
    later = timedelta(DAYS + one.said.label_delay_days)
    seen = look(one, joined, datetime.combine(end, time()) + later)  # type: ignore[arg-type]
    kept = [alarm for alarm in seen.alarms if alarm.kind != "silence"]  # history ends, and that is no fault
    return replace(seen, alarms=kept)


def score(found: Sequence[Alarm], truth: dict[str, list[Week]], usual: dict[str, Usual], delay: int) -> Replay:
    """Hold alarms against harm, which is told by the cost on all labels and not by what alarms.

    Args:
        found: what alarmed.
        truth: weeks with all labels, by slice.
        usual: with the limit of each slice.
        delay: of labels, in days.
    """
    starts = [week.start for week in truth[ALL]]
    harm = {
        week.start
        for name, known in usual.items()
        for week in truth.get(name, [])
        if week.cost and week.cost.estimate > known.limit
    }
    paging = [alarm for alarm in found if alarm.kind in {"cost", "relation"}]
    over = [(alarm.seen - timedelta(alarm.seen.weekday()), alarm.until or date.max) for alarm in paging]
    called = {seen for seen, _ in over if not any(begun < seen < end for begun, end in over)}
    stood = {week for week in starts if any(seen <= week < end for seen, end in over)}
    delays: list[int | None] = []
    begun: date | None = None
    for week in starts:
        if week not in harm:
            begun = None
            continue
        if begun is None:
            begun = week
            delays.append(None)
        if delays[-1] is None and week in stood:
            delays[-1] = (week - begun).days + delay
    caught, false, quiet = len(harm & stood), len(called - harm), len(stood - harm)
    return Replay(len(starts), len(harm), caught, false, quiet, tuple(delays))
