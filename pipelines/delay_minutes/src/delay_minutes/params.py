"""The parameters of every stage, as `params.yaml` must hold them. The stage `code` runs this module, which checks the file."""

from __future__ import annotations

from typing import Annotated

from pydantic import Field, NonNegativeInt, PositiveFloat, PositiveInt
from pydantic.dataclasses import dataclass

from onebutton_contracts.errors import run_stage
from onebutton_contracts.parameters import STRICT, load_parameters


@dataclass(frozen=True, config=STRICT)
class FeatureParams:
    """Which flights are taken, and what is known of them; see the comments in `params.yaml`."""

    every: PositiveInt
    holdout_from_month: Annotated[int, Field(ge=2, le=12)]
    weather_age_hours: NonNegativeInt
    weather_too_old_hours: PositiveInt


@dataclass(frozen=True, config=STRICT)
class TrainParams:
    """How the models are trained; see the comments in `params.yaml`."""

    trees: PositiveInt
    num_leaves: Annotated[int, Field(ge=2)]
    learning_rate: PositiveFloat
    blind_every: PositiveInt
    seed: int
    threads: PositiveInt
    proof_tolerance: PositiveFloat


@dataclass(frozen=True, config=STRICT)
class EvaluateParams:
    """How the model is judged; see the comments in `params.yaml`."""

    calibration_bins: PositiveInt


@dataclass(frozen=True, config=STRICT)
class Params:
    """The whole file: one section each."""

    features: FeatureParams
    train: TrainParams
    evaluate: EvaluateParams


def load() -> Params:
    """Read `params.yaml`.

    Raises:
        InputError: a key is unknown or missing, or a value is not of its type.
    """
    return load_parameters(Params)


if __name__ == "__main__":
    run_stage(load)
