"""Refuse a pipeline that is no draft any more while nobody has written what its readers need.

| id | rule |
|---|---|
| OB107 | the card answers every question, and none as the template does for its example |
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from onebutton_evaluation.card_text import QUESTIONS, CardText
from onebutton_workbench.checks.rules import hold
from onebutton_workbench.findings import Finding
from onebutton_workbench.workspace import ROOT, members, read_toml

TEMPLATES, CARD = Path("templates/pipeline"), "card.toml"
OWN = "table"  # the template that speaks of a person's own table, and of no example
ASKED = ("title", *(name for name in QUESTIONS if name != "owner"))  # CODEOWNERS names the owner of any pipeline


def answers_of_examples(folder: Path) -> set[str]:
    """Collect what the templates say of their examples."""
    files = [file for file in folder.glob("*/card.toml.jinja") if file.parent.name != OWN]
    cards = [read_toml(file) for file in files]
    return {card[name].strip() for card in cards for name in ASKED}


def check(root: Path = ROOT) -> Iterator[Finding]:
    """Look at every pipeline that is no draft."""
    examples = answers_of_examples(root / TEMPLATES)
    for member in members(root):
        place = member.path / CARD
        if not member.is_pipeline or member.draft or not (root / place).is_file():
            continue
        card = CardText.load(root / place)
        if empty := [name for name in ("title", *QUESTIONS) if not card.written(name)]:
            words = f"nobody has written {', '.join(empty)}, and the next person can only guess"
            yield Finding("OB107", place.as_posix(), words, "write a sentence on each")
        left = [name for name in ASKED if card.written(name) and getattr(card, name).strip() in examples]
        if left:
            words = f"{', '.join(left)}: as the template wrote it for its example, so readers are told of another model"
            yield Finding("OB107", place.as_posix(), words, "write what is true of your model")


if __name__ == "__main__":
    hold(check, "every pipeline that is no draft speaks of itself")
