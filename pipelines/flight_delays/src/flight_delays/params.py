"""The parameters of every stage, as `params.yaml` must hold them. The stage `code` runs this module, which checks the file."""

from __future__ import annotations

from typing import Annotated

from pydantic import Field, NonNegativeInt, PositiveInt
from pydantic.dataclasses import dataclass

from onebutton_contracts.errors import InputError, run_stage
from onebutton_contracts.parameters import STRICT, load_parameters

Months = Annotated[list[Annotated[int, Field(ge=1, le=12)]], Field(min_length=1)]


@dataclass(frozen=True, config=STRICT)
class FeatureParams:
    """How a flight becomes a row of features; see the comments in `params.yaml`."""

    late_from_minutes: int
    weather_age_hours: NonNegativeInt  # weather younger than the flight is not known yet
    weather_too_old_hours: PositiveInt
    strongest_wind_mph: float


@dataclass(frozen=True, config=STRICT)
class TrainParams:
    """How the model is trained; see the comments in `params.yaml`."""

    fit_months: Months
    tune_months: Months
    num_leaves: Annotated[list[int], Field(min_length=1)]
    learning_rate: float
    max_trees: PositiveInt
    stop_after: PositiveInt
    min_child_samples: int
    feature_share: float
    row_share: float
    l2: float
    seed: int
    threads: PositiveInt
    proof_rows: PositiveInt
    proof_tolerance: float


@dataclass(frozen=True, config=STRICT)
class EvaluateParams:
    """Which months judge the model, and how; see the comments in `params.yaml`."""

    test_months: Months
    calibration_bins: PositiveInt


@dataclass(frozen=True, config=STRICT)
class Params:
    """The whole file: one section per stage."""

    features: FeatureParams
    train: TrainParams
    evaluate: EvaluateParams


def load() -> Params:
    """Read `params.yaml`.

    Raises:
        InputError: a key is unknown or missing, a type is wrong, or no weather is young enough.
    """
    params = load_parameters(Params)
    if params.features.weather_too_old_hours < params.features.weather_age_hours:
        message = (
            "params.yaml: features.weather_too_old_hours is less than features.weather_age_hours, so no weather would be left. "
            "Mend the file, then press `make run`"
        )
        raise InputError(message)
    return params


if __name__ == "__main__":
    run_stage(load)
