"""Refuse a pipeline that is no draft any more while nobody has written what its readers need.

| id | rule |
|---|---|
| OB107 | the card answers every question, and nothing stands in it, in gates and contracts as the template wrote it |
"""

from __future__ import annotations

import re
import tomllib
from collections.abc import Iterator
from itertools import groupby
from operator import itemgetter
from pathlib import Path
from typing import Any

import yaml

from onebutton_contracts.errors import InputError
from onebutton_evaluation.card_text import QUESTIONS, CardText
from onebutton_workbench.checks.rules import hold
from onebutton_workbench.findings import Finding
from onebutton_workbench.workspace import ROOT, members

TEMPLATES = Path("templates/pipeline")
CARD = "card.toml"
FILES = (f"{CARD}*", "gates.toml*", "contracts/*.odcs.yaml*")  # of the template some end in `.jinja`
OWN = "table"  # the template that speaks of a person's own table, and of no example
TO_FILL = re.compile(r"\{\{.*?\}\}|\{%.*?%\}")
MEND = "write what is true of your model, or take the line out"


def said(folder: Path) -> dict[tuple[str, str], str]:
    """Collect what people write in the folder of a pipeline, or of a template, by the file and the place in it.

    Raises:
        InputError: a file cannot be read.
    """
    found: dict[tuple[str, str], str] = {}
    for file in sorted(file for pattern in FILES for file in folder.glob(pattern)):
        name = file.relative_to(folder).as_posix().removesuffix(".jinja")
        try:
            text = TO_FILL.sub("x", file.read_text(encoding="utf-8"))
            content = yaml.safe_load(text) if name.endswith(".yaml") else tomllib.loads(text)
            found |= {(name, place): " ".join(words.split()) for place, words in _texts(content)}
        except (OSError, ValueError, yaml.YAMLError, AttributeError, KeyError, TypeError) as error:
            message = f"{file} cannot be read: {error}"
            raise InputError(message) from None
    return found


def _texts(content: dict[str, Any]) -> Iterator[tuple[str, str]]:
    # of a card, but for the owner: CODEOWNERS names the owner of any pipeline
    yield from ((key, content[key]) for key in ("title", *QUESTIONS.keys() - {"owner"}) if key in content)
    yield from ((f"the why of {gate['id']}", gate["why"]) for gate in content.get("gates", ()))
    if "schema" in content:
        yield "the purpose", content.get("description", {}).get("purpose", "")
        columns = (column for table in content["schema"] for column in table["properties"])
        yield from ((f"the description of {one['name']}", one.get("description", "")) for one in columns)


def of_examples(folder: Path) -> set[str]:
    """Collect what a template says of its examples alone; what it says of every kind of pipeline may stand."""
    kinds = [kind for one in sorted(folder.glob("*/")) if one.name != OWN and (kind := said(one))]
    texts = [set(kind.values()) for kind in kinds]
    of_all = set.intersection(*texts) if len(texts) > 1 else set()
    cards = {words for kind in kinds for (file, _), words in kind.items() if file == CARD}
    return (set().union(*texts) - of_all | cards) - {""}


def check(root: Path = ROOT) -> Iterator[Finding]:
    """Look at every pipeline that is no draft."""
    examples = of_examples(root / TEMPLATES)
    for member in members(root):
        folder = root / member.path
        if not member.is_pipeline or member.draft or not (folder / CARD).is_file():
            continue
        card = CardText.load(folder / CARD)
        if empty := [name for name in ("title", *QUESTIONS) if not card.written(name)]:
            words = f"nobody has written {', '.join(empty)}, and the next person can only guess"
            yield Finding("OB107", (member.path / CARD).as_posix(), words, "write a sentence on each")
        left = [place for place, text in said(folder).items() if text in examples]
        for file, places in groupby(left, key=itemgetter(0)):
            named = ", ".join(place for _, place in places)
            words = f"{named}: as the template wrote it for its example, so readers are told of another model"
            yield Finding("OB107", (member.path / file).as_posix(), words, MEND)


if __name__ == "__main__":
    hold(check, "every pipeline that is no draft speaks of itself")
