"""Read the written part of a model card, `card.toml`: no number stands in it, those come from the results."""

from pydantic import Field

from onebutton_contracts.parameters import Parameters

PLACEHOLDERS = ("todo", "tbd", "fixme", "...", "…")


class CardText(Parameters):
    """The written part of a model card (Mitchell et al. 2019, "Model Cards for Model Reporting"), in the order of its page.

    Attributes:
        model: file that ships.
        packages: distributions whose versions the card lists.
    """

    title: str
    predicts: str = Field(title="What it predicts")
    owner: str = Field(title="Owner")
    data: str = Field(title="Data and period")
    intended: str = Field(title="Made for")
    forbidden: str = Field(title="Not to be used for")
    chosen_because: str = Field(default="", title="Chosen because")
    also_tried: str = Field(default="", title="Also tried")
    limits: str = Field(title="Limits")
    people: str = Field(title="Who is affected by its errors")
    model: str = "model/model.onnx"
    packages: tuple[str, ...] = ()

    def written(self, name: str) -> bool:
        """Say whether a field is written: not left empty, and no placeholder."""
        text = getattr(self, name).strip().lower()
        return bool(text) and not text.startswith(PLACEHOLDERS)


QUESTIONS = {name: field.title for name, field in CardText.model_fields.items() if field.title}
