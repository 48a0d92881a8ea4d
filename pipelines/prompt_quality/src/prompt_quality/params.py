"""The parameters of every stage, as `params.yaml` must hold them. The stage `code` runs this module, which checks the file."""

from __future__ import annotations

from typing import Annotated

from pydantic import Field, NonNegativeFloat, NonNegativeInt, PositiveFloat, PositiveInt
from pydantic.dataclasses import dataclass

from onebutton_contracts.errors import run_stage
from onebutton_contracts.parameters import STRICT, load_parameters


@dataclass(frozen=True, config=STRICT)
class SentenceParams:
    """What a human rating is called; see the comments in `params.yaml`."""

    from_rating: PositiveFloat
    strong_rating: PositiveFloat


@dataclass(frozen=True, config=STRICT)
class AnswerParams:
    """How the model is asked; see the comments in `params.yaml`."""

    model: str
    temperature: NonNegativeFloat
    max_tokens: PositiveInt
    repetitions: PositiveInt
    connections: Annotated[int, Field(ge=1, le=64)]
    timeout_seconds: PositiveFloat
    retries: NonNegativeInt


@dataclass(frozen=True, config=STRICT)
class EvaluateParams:
    """Which prompt is judged; see the comments in `params.yaml`."""

    prompt: str
    dollars_per_million_tokens: NonNegativeFloat


@dataclass(frozen=True, config=STRICT)
class Params:
    """The whole file: one section each."""

    sentences: SentenceParams
    answer: AnswerParams
    evaluate: EvaluateParams


def load() -> Params:
    """Read `params.yaml`.

    Raises:
        InputError: a key is unknown or missing, or a value is not of its type.
    """
    return load_parameters(Params)


if __name__ == "__main__":
    run_stage(load)
