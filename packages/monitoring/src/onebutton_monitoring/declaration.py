"""Read what a pipeline declares in `monitor.toml`: which labels come late, what a wrong call costs, and when that is harm.

docs/monitoring.md explains every key.
"""

from __future__ import annotations

from dataclasses import field
from pathlib import Path
from typing import Annotated

from pydantic import Field, NonNegativeFloat, NonNegativeInt, PositiveFloat, PositiveInt
from pydantic.dataclasses import dataclass

from onebutton_contracts.errors import InputError
from onebutton_contracts.parameters import STRICT, load_parameters
from onebutton_evaluation.declarations import SliceRule, Text

FILE = "monitor.toml"


@dataclass(frozen=True, config=STRICT)
class Harm:
    """What wrong calls cost, and from when on a week is harmful.

    Attributes:
        limit: the mean cost of a row above which a week is harmful.
        false_alarm: what calling the answer 1 costs where it was 0.
        miss: what calling it 0 costs where it was 1.
        wrong: for several classes what a wrong one costs, for a number what one unit of error does.
        why: for who is called at night.
    """

    limit: PositiveFloat
    false_alarm: NonNegativeFloat = 1.0
    miss: NonNegativeFloat = 1.0
    wrong: NonNegativeFloat = 1.0
    why: str = ""


@dataclass(frozen=True, config=STRICT, kw_only=True)
class Monitor:
    """The whole of `monitor.toml`.

    Attributes:
        key: columns that name a row in the log and in the labels; `request` and `row` are what a server logs.
        time: the column of `data/*.parquet` that says when a row would have been predicted; the log has its own.
        label_delay_days: after so many days a label must be there.
        harm: what is watched.
        labels: a file of labels, or a pattern; relative to the pipeline. LABELS= says another.
        known_at: the column of labels that says when each became known; left out, a later row counts more.
        log: folders of the log by environment, or patterns; relative to the repository. Left out, where `make serve` keeps it.
        slices: parts that are watched beside all rows, as in gates.toml; by values or by a condition.
        tuning: which rows of `data/train.parquet` say what is usual, in SQL. Never rows of the holdout.
        false_alarms_per_half_year: how many false alarms are bearable.
        silence_days: without a prediction or a due label for so long is an alarm.
        watched_rows: of each week that are looked at one by one: inputs and the metric with its interval. Sums are of all rows.
    """

    key: Annotated[tuple[Text, ...], Field(min_length=1)]
    time: Text
    label_delay_days: NonNegativeInt
    harm: Harm
    labels: str = ""
    known_at: str = ""
    log: dict[str, Text] = field(default_factory=dict)
    slices: tuple[SliceRule, ...] = ()
    tuning: Text = "split = 'tune'"
    false_alarms_per_half_year: PositiveFloat = 1.0
    silence_days: PositiveInt = 2
    watched_rows: Annotated[int, Field(ge=1000)] = 10_000


def load_monitor(folder: Path) -> Monitor:
    """Read a pipeline's `monitor.toml`.

    Raises:
        InputError: it is not there, which is told with a beginning, or it says something unknown.
    """
    if not (folder / FILE).is_file():
        message = (
            f"{folder.name} has no {FILE}, so nobody knows what to watch. docs/monitoring.md begins with five lines"
        )
        raise InputError(message)
    said = load_parameters(Monitor, folder / FILE)
    if any(rule.quantiles for rule in said.slices):
        message = f"{FILE}: slices are by values or by a condition: quantiles would be others each week"
        raise InputError(message)
    return said
