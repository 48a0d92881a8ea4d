"""Read what a pipeline declares in `monitor.toml`: which labels come late, what a wrong call costs, and when that is harm.

docs/monitoring.md says what each key means.
"""

from dataclasses import field
from typing import Annotated

from pydantic import Field, NonNegativeFloat, NonNegativeInt, PositiveFloat, PositiveInt
from pydantic.dataclasses import dataclass

from onebutton_contracts.parameters import STRICT
from onebutton_evaluation.declarations import SliceRule, Text

FILE = "monitor.toml"


@dataclass(frozen=True, config=STRICT)
class Harm:
    """What wrong calls cost, and from which mean cost of a row on a week is harmful."""

    limit: PositiveFloat
    false_alarm: NonNegativeFloat = 1.0
    miss: NonNegativeFloat = 1.0
    wrong: NonNegativeFloat = 1.0
    why: str = ""


@dataclass(frozen=True, config=STRICT, kw_only=True)
class Monitor:
    """The whole of `monitor.toml`, key by key."""

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
    size_factor: Annotated[float, Field(gt=1)] = 1.25
    watched_rows: Annotated[int, Field(ge=1000)] = 10_000
