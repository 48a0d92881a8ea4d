"""Read the written part of a model card, `card.toml`: no number stands in it, those come from the results."""

from __future__ import annotations

from onebutton_contracts.parameters import Parameters

PLACEHOLDERS = ("todo", "tbd", "fixme", "...", "…")


class CardText(Parameters):
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
        chosen_because: why this model ships, and not a simpler or a better one.
        also_tried: what else was tried, and what it reached.
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
