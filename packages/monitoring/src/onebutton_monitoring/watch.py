"""A pipeline that is watched: what it declares, what its history leads to expect, and every alarm of a log or of history.

Rules look back only, so one pass over all weeks of history finds what a press in each of them would have.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import date, timedelta
from functools import cached_property
from itertools import groupby
from pathlib import Path
from typing import NamedTuple

import polars as pl

from onebutton_contracts.errors import require
from onebutton_contracts.parameters import load_parameters
from onebutton_contracts.tables import read_parquet
from onebutton_contracts.validation import Rule, row_rules
from onebutton_evaluation.declarations import Judging
from onebutton_evaluation.evaluate import ask
from onebutton_evaluation.slices import ALL
from onebutton_models.scoring import OnnxModel
from onebutton_monitoring.alarms import HALF_YEAR, Alarm, Usual, of_labels, of_silence
from onebutton_monitoring.declaration import FILE, Monitor
from onebutton_monitoring.drift import of_inputs
from onebutton_monitoring.joining import DAY, OF_WEEK, SLICE, WEEK, Joined, by_slice, by_week, join, measure
from onebutton_release.declared import Declared, declared

LEAST = 14  # days of tuning


class Seen(NamedTuple):
    """What was seen until now."""

    joined: Joined
    weeks: dict[str, pl.DataFrame]  # whose labels are due, by slice
    alarms: list[Alarm]  # in the order in which they were found

    @property
    def standing(self) -> list[Alarm]:
        """Alarms that are not over."""
        return [alarm for alarm in self.alarms if alarm.until is None]


@dataclass(frozen=True)
class Watch:
    """A pipeline, what it declares, and the ONNX file of which something is expected."""

    folder: Path
    said: Monitor
    declared: Declared
    judging: Judging
    model: OnnxModel

    def history(self, table: str) -> pl.DataFrame:
        """Read a table of `data/`, with the time at which each row would have been predicted.

        Raises:
            InputError: it is not here.
        """
        rows = read_parquet(self.folder / f"data/{table}.parquet")
        return rows.with_columns(pl.col(self.said.time).cast(pl.Datetime("us")).alias("time"))

    def as_logged(self, rows: pl.DataFrame, labels: pl.DataFrame | None = None) -> Joined:
        """Score rows of history and join them with labels by the contract's key; with their own answers where none are given."""
        scored = rows.with_columns(**ask(self.model, rows, "the model", self.judging.predicted()))
        key = tuple(self.declared.outputs.primary_key)
        known = rows.select(*key, self.judging.answer) if labels is None else labels
        return join(scored.lazy(), known.lazy(), replace(self.said, key=key, known_at=""), self.judging)

    @cached_property
    def training(self) -> pl.DataFrame:
        """What the model was trained on, with slice and week."""
        return by_slice(self.history("train").with_columns(OF_WEEK), self.said.slices).collect()

    @cached_property
    def tuning(self) -> Joined:
        """The rows that say what is usual."""
        return self.as_logged(self.history("train").filter(pl.sql_expr(self.said.tuning)))

    @cached_property
    def usual(self) -> dict[str, Usual]:
        """What the tuning months lead to expect, by slice; one with too little of them is not watched.

        Raises:
            InputError: there are too few days, or they are harmful themselves.
        """
        numbers = {row[SLICE]: row for row in measure(self.tuning.days).iter_rows(named=True)}
        days, limit = numbers[ALL]["days"] if numbers else 0, self.said.harm.limit
        require(days >= LEAST, f"{FILE}: tuning: {self.said.tuning!r} holds {days} days; it needs {LEAST}")
        mean, found = numbers[ALL]["cost"]["estimate"], {}
        require(mean < limit, f"{FILE}: harm.limit is {limit:g}, and a row of tuning costs {mean:.3f} already")
        for name, row in numbers.items():
            if row["days"] >= LEAST:
                costs = self.tuning.watched.filter(pl.col(SLICE) == name)["_cost"].drop_nulls().to_numpy()
                cost, slope = row["cost"]["estimate"], row["slope"]["estimate"]
                found[name] = Usual(cost, cost + limit - mean, costs, float("-inf") if slope is None else slope)
        return found

    def inputs(self, logged: pl.DataFrame) -> dict[str, list[Rule]]:
        """Name the inputs that are logged, which personal ones are not, each with the rules of its contract."""
        rules, names = row_rules(self.declared.inputs), (name for name in self.model.inputs if name in logged.columns)
        return {name: [rule for rule in rules if rule.column == name] for name in names}

    def look(self, joined: Joined, today: date) -> Seen:
        """Find alarms in weeks whose labels are due; silence and inputs at once."""
        due, watched = today - timedelta(weeks=1, days=self.said.label_delay_days), joined.watched
        weeks, inputs = by_week(joined.days.filter(pl.col(WEEK) <= due)), self.inputs(watched)
        strange = of_inputs(watched, self.training, inputs, self.said.size_factor, today - timedelta(1))
        costs = of_labels(weeks, self.usual, self.said.false_alarms_per_half_year)
        found = [*of_silence(joined.days, self.said, today), *costs, *strange]
        return Seen(joined, weeks, sorted(found, key=lambda alarm: (alarm.week, alarm.name)))


def watch(folder: Path, model: Path) -> Watch:
    """Read all that a pipeline declares.

    Raises:
        InputError: something is missing or wrong; without `monitor.toml` the message says how to begin.
    """
    none = f"{folder.name} has no {FILE}, so nobody knows what to watch. docs/monitoring.md begins with five lines"
    require((folder / FILE).is_file(), none)
    said, one = load_parameters(Monitor, folder / FILE), declared(folder)
    by_quantile = f"{FILE}: slices are by values or by a condition: quantiles would be others each week"
    require(not any(rule.quantiles for rule in said.slices), by_quantile)
    return Watch(folder, said, one, one.said.judging, OnnxModel(model))


def replay(one: Watch, rows: pl.DataFrame) -> Seen:
    """Look at history as it stood when its last labels were due, without the silence after its end."""
    joined = one.as_logged(rows)
    end: date = joined.days[DAY].max()  # type: ignore[assignment]
    seen = one.look(joined, end + timedelta(weeks=1, days=one.said.label_delay_days))
    return seen._replace(alarms=[alarm for alarm in seen.alarms if alarm.kind != "silence"])


class Replay(NamedTuple):
    """What came of it; weeks are harmful by the cost on all labels, of all rows or of a slice."""

    weeks: int
    harmful: int
    caught: int  # harmful weeks in which an alarm about cost or labels stood
    false: int  # quiet weeks in which somebody would have been called about them
    stood: int  # quiet weeks in which an alarm stood, called in them or before
    delays: list[int | None]  # days from the end of the first of harmful weeks in a row to the call, if one came

    @property
    def words(self) -> list[str]:
        """Say it in lines."""
        quiet = self.weeks - self.harmful
        half_year = self.false / quiet * HALF_YEAR if quiet else float("nan")
        came = ", ".join("never" if days is None else str(days) for days in self.delays)
        return [
            f"{self.weeks} weeks, {self.harmful} harmful; {self.caught} of these caught",
            f"{self.false} calls in a quiet week: {half_year:.1f} false alarms in 26 quiet weeks",
            f"an alarm stood in {self.stood} of {quiet} quiet weeks",
            f"days from the end of the first harmful week to the call: {came or 'no harm'}",
        ]


def score(found: Sequence[Alarm], truth: Mapping[str, pl.DataFrame], usual: Mapping[str, Usual], delay: int) -> Replay:
    """Hold alarms against harm: which weeks of the truth, with all labels that came after a delay of days, cost too much."""
    weeks, harm = truth[ALL][WEEK].to_list(), set[date]()
    for name in usual.keys() & truth.keys():
        harm |= {*truth[name].filter(pl.col("cost").struct.field("estimate") > usual[name].limit)[WEEK]}
    spans = [(one.week, one.until or date.max) for one in found if one.kind in {"cost", "relation"}]
    called = {week for week, _ in spans if not any(begun < week < end for begun, end in spans)}
    stood = {week for week in weeks if any(begun <= week < end for begun, end in spans)}
    delays = []
    for harmful, spell in groupby(weeks, key=harm.__contains__):
        if harmful:
            first, *others = spell
            call = next((week for week in (first, *others) if week in stood), None)
            delays.append((call - first).days + delay if call else None)
    return Replay(len(weeks), len(harm), len(harm & stood), len(called - harm), len(stood - harm), delays)
