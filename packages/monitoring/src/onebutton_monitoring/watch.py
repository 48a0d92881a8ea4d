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
from onebutton_monitoring.alarms import Alarm, Usual, of_labels
from onebutton_monitoring.declaration import FILE, Monitor
from onebutton_monitoring.drift import of_inputs
from onebutton_monitoring.joining import DAY, OF_WEEK, SLICE, WEEK, Joined, by_slice, join, measure
from onebutton_release.declared import Declared, declared

LEAST = 14  # days of tuning


@dataclass(frozen=True)
class Watch:
    """What a pipeline declares, and the ONNX file of which something is expected."""

    said: Monitor
    declared: Declared
    model: OnnxModel

    @property
    def judging(self) -> Judging:
        """How rows are judged."""
        return self.declared.said.judging

    def history(self, table: str) -> pl.DataFrame:
        """Read a table of `data/`, with the time at which each row would have been predicted.

        Raises:
            InputError: it is not here.
        """
        rows, time = read_parquet(self.declared.folder / f"data/{table}.parquet"), self.said.time
        lacking = f"{FILE}: time: data/{table}.parquet has no column {time!r}; there are {', '.join(rows.columns)}"
        require(time in rows.columns, lacking)
        return rows.with_columns(pl.col(time).cast(pl.Datetime("us")).alias("time"))

    def as_logged(self, rows: pl.DataFrame) -> Joined:
        """Score rows of history, and join them with their own answers by the contract's key."""
        scored = rows.with_columns(**ask(self.model, rows, "the model", self.judging.predicted()))
        said = replace(self.said, key=tuple(self.declared.outputs.primary_key), known_at="")
        return join(scored.lazy(), rows.lazy(), said, self.judging)

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
        measured = {row[SLICE]: row for row in measure(self.tuning.days).iter_rows(named=True)}
        days = measured[ALL]["days"] if measured else 0
        require(days >= LEAST, f"{FILE}: tuning: {self.said.tuning!r} holds {days} days; it needs {LEAST}")
        mean, limit, rows = measured[ALL]["cost"]["estimate"], self.said.harm.limit, self.tuning.watched
        require(mean < limit, f"{FILE}: harm.limit is {limit:g}, and a row of tuning costs {mean:.3f} already")
        found = {}
        for name, row in measured.items():
            if row["days"] >= LEAST:
                costs = rows.filter(pl.col(SLICE) == name)["_cost"].drop_nulls().to_numpy()
                found[name] = Usual(row["cost"]["estimate"], row["cost"]["estimate"] + limit - mean, costs)
        return found

    def inputs(self, logged: pl.DataFrame) -> dict[str, list[Rule]]:
        """Name the inputs that are logged, which personal ones are not, each with the rules of its contract."""
        rules, names = row_rules(self.declared.inputs), (name for name in self.model.inputs if name in logged.columns)
        return {name: [rule for rule in rules if rule.column == name] for name in names}

    def look(self, joined: Joined, today: date) -> tuple[pl.DataFrame, list[Alarm]]:
        """Measure the weeks whose labels are due, by slice, and find what alarms in them, and in inputs at once."""
        due, watched = today - timedelta(weeks=1, days=self.said.label_delay_days), joined.watched
        weeks = measure(joined.days.filter(pl.col(WEEK) <= due), WEEK)
        strange = of_inputs(watched, self.training, self.inputs(watched), self.said.size_factor, today - timedelta(1))
        found = [*of_labels(weeks, self.usual, self.said.false_alarms_per_half_year), *strange]
        return weeks, sorted(found, key=lambda alarm: (alarm.week, alarm.name))


def watch(folder: Path, model: Path) -> Watch:
    """Read all that a pipeline declares.

    Raises:
        InputError: something is missing or wrong; without `monitor.toml` the message says how to begin.
    """
    none = f"{folder.name} has no {FILE}, so nobody knows what to watch. docs/monitoring.md begins with five lines"
    require((folder / FILE).is_file(), none)
    said = load_parameters(Monitor, folder / FILE)
    by_quantile = f"{FILE}: slices are by values or by a condition: quantiles would be others each week"
    require(not any(rule.quantiles for rule in said.slices), by_quantile)
    return Watch(said, declared(folder), OnnxModel(model))


class Replay(NamedTuple):
    """What came of alarms about cost; weeks are harmful by the cost on all labels, of all rows or of a slice."""

    weeks: int
    harmful: int
    caught: int  # harmful weeks in which an alarm stood
    false: int  # quiet weeks in which somebody would have been called
    delays: list[int | None]  # days from the end of the first of harmful weeks in a row to the call, if one came


def replay(one: Watch) -> tuple[list[Alarm], Replay]:
    """Look at the holdout as it stood when its last labels were due."""
    joined, delay = one.as_logged(one.history("holdout")), one.said.label_delay_days
    end: date = joined.days[DAY].max()  # type: ignore[assignment]
    weeks, alarms = one.look(joined, end + timedelta(weeks=1, days=delay))
    return alarms, score(alarms, weeks, one.usual, delay)


def score(found: Sequence[Alarm], weeks: pl.DataFrame, usual: Mapping[str, Usual], delay: int) -> Replay:
    """Hold alarms against harm: which weeks, with all labels that came after a delay of days, cost too much."""
    limits = pl.col(SLICE).replace_strict({name: one.limit for name, one in usual.items()}, default=None)
    harmful = (pl.col("cost").struct.field("estimate") > limits).any()
    harm: dict[date, bool] = dict(weeks.group_by(WEEK).agg(harmful).sort(WEEK).iter_rows())
    spans = [(one.week, one.until or date.max) for one in found if one.kind == "cost"]
    called = {week for week, _ in spans if not any(begun < week < end for begun, end in spans)}
    stood = {week for week in harm if any(begun <= week < end for begun, end in spans)}
    delays = []
    for bad, spell in groupby(harm, key=harm.__getitem__):
        if bad:
            first, *others = spell
            call = next((week for week in (first, *others) if week in stood), None)
            delays.append((call - first).days + delay if call else None)
    caught, false = (sum(harm[week] for week in stood), sum(not harm[week] for week in called))
    return Replay(len(harm), sum(harm.values()), caught, false, delays)
