"""The parameters of every stage, as `params.yaml` must hold them. The stage `code` checks the file."""

from typing import Annotated, Self

from pydantic import Field, NonNegativeInt, PositiveInt, model_validator

from onebutton_contracts.parameters import Parameters

Months = Annotated[list[Annotated[int, Field(ge=1, le=12)]], Field(min_length=1)]


class FeatureParams(Parameters):
    """How a flight becomes a row of features; see the comments in `params.yaml`."""

    late_from_minutes: int
    weather_age_hours: NonNegativeInt  # weather younger than the flight is not known yet
    weather_too_old_hours: PositiveInt
    strongest_wind_mph: float

    @model_validator(mode="after")
    def some_weather_is_left(self) -> Self:
        """Refuse limits between which no weather is young enough.

        Raises:
            ValueError: they cross.
        """
        if self.weather_too_old_hours < self.weather_age_hours:
            raise ValueError("weather_too_old_hours is less than weather_age_hours, so no weather would be left")
        return self


class TrainParams(Parameters):
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


class EvaluateParams(Parameters):
    """Which months judge the model, and how; see the comments in `params.yaml`."""

    test_months: Months
    calibration_bins: PositiveInt


class Params(Parameters):
    """The whole file: one section per stage."""

    features: FeatureParams
    train: TrainParams
    evaluate: EvaluateParams
