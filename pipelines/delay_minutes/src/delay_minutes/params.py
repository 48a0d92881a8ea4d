"""The parameters of every stage, as `params.yaml` must hold them. The stage `code` checks the file."""

from typing import Annotated

from pydantic import Field, NonNegativeInt, PositiveFloat, PositiveInt

from onebutton_contracts.parameters import Parameters


class FeatureParams(Parameters):
    """Which flights are taken, and what is known of them; see the comments in `params.yaml`."""

    every: PositiveInt
    holdout_from_month: Annotated[int, Field(ge=2, le=12)]
    weather_age_hours: NonNegativeInt
    weather_too_old_hours: PositiveInt


class TrainParams(Parameters):
    """How the models are trained; see the comments in `params.yaml`."""

    trees: PositiveInt
    num_leaves: Annotated[int, Field(ge=2)]
    learning_rate: PositiveFloat
    blind_every: PositiveInt
    seed: int
    threads: PositiveInt
    proof_tolerance: PositiveFloat


class EvaluateParams(Parameters):
    """How the model is judged; see the comments in `params.yaml`."""

    calibration_bins: PositiveInt


class Params(Parameters):
    """The whole file: one section each."""

    features: FeatureParams
    train: TrainParams
    evaluate: EvaluateParams
