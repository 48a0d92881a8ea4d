"""Read the written part of a model card, `card.toml`: no number stands in it, those come from the results."""

from __future__ import annotations

from onebutton_contracts.parameters import Parameters

PLACEHOLDERS = ("todo", "tbd", "fixme", "...", "…")


class CardText(Parameters):
    """The written part of a model card (Mitchell et al. 2019, "Model Cards for Model Reporting"), by `QUESTIONS`.

    Attributes:
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
    chosen_because: str = ""
    also_tried: str = ""
    model: str = "model/model.onnx"
    packages: tuple[str, ...] = ()

    def written(self, name: str) -> bool:
        """Say whether a field is written: not left empty, and no placeholder."""
        value = getattr(self, name, "")
        text = value.strip().lower() if isinstance(value, str) else ""
        return bool(text) and not text.startswith(PLACEHOLDERS)


QUESTIONS = {  # of a card, by field, in the order of its page
    "predicts": "What it predicts",
    "owner": "Owner",
    "data": "Data and period",
    "intended": "Made for",
    "forbidden": "Not to be used for",
    "chosen_because": "Chosen because",
    "also_tried": "Also tried",
    "limits": "Limits",
    "people": "Who is affected by its errors",
}
