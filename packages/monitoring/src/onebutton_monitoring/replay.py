"""Replay history: what the rules would have done on the holdout, week by week, with labels as late as declared.

Rules look back only, so one pass over all weeks finds what a press in each of them would have.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import date, datetime, time, timedelta

from onebutton_monitoring.alarms import HALF_YEAR, Alarm, Usual
from onebutton_monitoring.joining import DAY, Joined
from onebutton_monitoring.seen import Seen, look
from onebutton_monitoring.watch import Watch
from onebutton_monitoring.weeks import DAYS, Week


@dataclass(frozen=True)
class Replay:
    """What came of it.

    Attributes:
        weeks: how many there were.
        harmful: of them, by the cost on all labels: of all rows, or of a slice.
        caught: harmful ones in which an alarm about cost or labels stood.
        calls: weeks in which somebody would have been called about cost or labels.
        false: of these calls, those in a quiet week.
        stood: quiet weeks in which an alarm stood, called in them or before.
        delays: for each run of harmful weeks, the days from its end of the first week to the call; None where none came.
        others: alarms about inputs.
    """

    weeks: int
    harmful: int
    caught: int
    calls: int
    false: int
    stood: int
    delays: tuple[int | None, ...]
    others: int

    @property
    def words(self) -> list[str]:
        """Say it in lines."""
        quiet = self.weeks - self.harmful
        half_year = self.false / quiet * HALF_YEAR if quiet else float("nan")
        came = [str(days) if days is not None else "never" for days in self.delays]
        return [
            f"{self.weeks} weeks, {self.harmful} harmful; {self.caught} of these caught",
            f"{self.calls} calls, {self.false} of them in a quiet week: {half_year:.1f} false alarms in 26 quiet weeks",
            f"an alarm stood in {self.stood} of {quiet} quiet weeks",
            f"days from the end of the first harmful week to the call: {', '.join(came) or 'no harm'}",
            f"{self.others} alarms about inputs",
        ]


def replay(one: Watch, joined: Joined) -> Seen:
    """Look at history as it stood when its last labels were due."""
    end = joined.days[DAY].max()
    later = timedelta(DAYS + one.said.label_delay_days)
    seen = look(one, joined, datetime.combine(end, time()) + later)  # type: ignore[arg-type]
    return replace(
        seen, alarms=[alarm for alarm in seen.alarms if alarm.kind != "silence"]
    )  # history ends, and that is no fault


def score(alarms: Sequence[Alarm], truth: dict[str, list[Week]], usual: dict[str, Usual], delay: int) -> Replay:
    """Hold alarms against harm, which is told by the cost on all labels and not by what alarms.

    Args:
        alarms: that were found.
        truth: weeks with all labels, by slice.
        usual: with the limit of each slice.
        delay: of labels, in days.
    """
    limits = {name: known.limit for name, known in usual.items()}
    starts = [week.start for week in truth["all"]]
    harm = {
        week.start
        for name, weeks in truth.items()
        for week in weeks
        if name in limits and week.cost and week.cost.estimate > limits[name]
    }
    paging = [alarm for alarm in alarms if alarm.kind in {"cost", "relation"}]
    over = [(_monday(alarm.seen), alarm.until or date.max) for alarm in paging]
    called = {seen for seen, _ in over if not any(begun < seen < end for begun, end in over)}
    stood = {week for week in starts if any(seen <= week < end for seen, end in over)}
    caught = harm & stood
    delays = []
    for at, week in enumerate(starts):
        if week in harm and not (at and starts[at - 1] in harm):
            run = next((place for place in range(at, len(starts)) if starts[place] not in harm), len(starts))
            first = next((other for other in starts[at:run] if other in caught), None)
            delays.append(None if first is None else (first - week).days + delay)
    false, quiet, others = len(called - harm), len(stood - harm), len(alarms) - len(paging)
    return Replay(len(starts), len(harm), len(caught), len(called), false, quiet, tuple(delays), others)


def _monday(day: date) -> date:
    return day - timedelta(day.weekday())
