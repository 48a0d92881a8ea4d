"""Look at a log with its labels, beside what is usual: every alarm until now."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta

import numpy as np
import polars as pl

from onebutton_monitoring import alarms
from onebutton_monitoring.alarms import Alarm
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
        found += alarms.of_relation(name, weeks[name], usual[name])
    found += of_inputs(one, joined, now.date() - timedelta(1))
    return Seen(joined, weeks, sorted(found, key=lambda alarm: (alarm.seen, alarm.name)))
