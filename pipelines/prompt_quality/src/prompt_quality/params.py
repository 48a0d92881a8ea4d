"""The parameters of every stage, as `params.yaml` must hold them. The stage `code` checks the file."""

from typing import Annotated

from pydantic import Field, NonNegativeFloat, NonNegativeInt, PositiveFloat, PositiveInt

from onebutton_contracts.parameters import Parameters


class SentenceParams(Parameters):
    """What a human rating is called; see the comments in `params.yaml`."""

    from_rating: PositiveFloat
    strong_rating: PositiveFloat


class AnswerParams(Parameters):
    """How the model is asked; see the comments in `params.yaml`."""

    model: str
    temperature: NonNegativeFloat
    max_tokens: PositiveInt
    repetitions: PositiveInt
    connections: Annotated[int, Field(ge=1, le=64)]
    timeout_seconds: PositiveFloat
    retries: NonNegativeInt


class EvaluateParams(Parameters):
    """Which prompt is judged; see the comments in `params.yaml`."""

    prompt: str
    dollars_per_million_tokens: NonNegativeFloat


class Params(Parameters):
    """The whole file: one section each."""

    sentences: SentenceParams
    answer: AnswerParams
    evaluate: EvaluateParams
