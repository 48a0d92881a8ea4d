"""Read the written part of a model card, `card.toml`: no number stands in it, those come from the results."""

from __future__ import annotations

from dataclasses import fields
from pathlib import Path

from pydantic.dataclasses import dataclass

from onebutton_contracts.parameters import STRICT, load_parameters

PLACEHOLDERS = ("todo", "tbd", "fixme", "...", "…")


@dataclass(frozen=True, config=STRICT)
class CardText:
    """The written part of a model card (Mitchell et al. 2019, "Model Cards for Model Reporting").

    Attributes:
        title: what the model is called.
        predicts: what it predicts, for whom, when.
        owner: who answers for it, and how they are reached.
        data: where the data comes from, its period and licence.
        intended: uses it is made for.
        forbidden: uses it must not be put to.
        limits: where it is weak or was never tried.
        people: who is affected by its errors, and how.
        model: file that ships.
        packages: distributions whose versions the card lists.
    """

    title: str
    predicts: str
    owner: str
    data: str
    intended: str
    forbidden: str
    limits: str
    people: str
    model: str = "model/model.onnx"
    packages: tuple[str, ...] = ()

    def written(self, name: str) -> bool:
        """Say whether a field is written: not left empty, and no placeholder."""
        value = getattr(self, name, "")
        text = value.strip().lower() if isinstance(value, str) else ""
        return bool(text) and not text.startswith(PLACEHOLDERS)


FIELDS = tuple(field.name for field in fields(CardText))


def read_card_text(file: Path = Path("card.toml")) -> CardText:
    """Read the written part of the card.

    Raises:
        InputError: it is missing, or a key is unknown or lacking.
    """
    return load_parameters(CardText, file)
