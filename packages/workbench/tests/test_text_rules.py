"""A pipeline as the template wrote it, once somebody says that it is no draft."""

import re
from pathlib import Path

import pytest

from onebutton_workbench.checks.text_rules import CARD, TEMPLATES, check_cards
from onebutton_workbench.workspace import ROOT

EXAMPLE = next(iter(sorted((ROOT / TEMPLATES).glob("*/card.toml.jinja"))))


def made_its_own(card: str) -> str:
    """Write a card as a team does that has replaced every field."""
    return re.sub(r'^(\w+ = "+)(todo: )?', r"\1Ours. ", card, flags=re.MULTILINE)


@pytest.fixture
def root(tmp_path: Path) -> Path:
    """A repository with a pipeline as new, and its template."""
    member = tmp_path / "pipelines/churn"
    for file in (tmp_path / TEMPLATES / "first" / EXAMPLE.name, member / CARD):
        file.parent.mkdir(parents=True)
        file.write_text(EXAMPLE.read_text(encoding="utf-8"), encoding="utf-8")
    (tmp_path / "pyproject.toml").write_text("[tool.uv.workspace]\nmembers = ['pipelines/*']\n", encoding="utf-8")
    (member / "pyproject.toml").write_text("[project]\nname = 'churn'\n", encoding="utf-8")
    return tmp_path


def told(root: Path) -> list[str]:
    found = list(check_cards(root))
    assert {(one.check, one.place) for one in found} <= {("OB107", f"pipelines/churn/{CARD}")}
    return [one.words for one in found]


def test_what_nobody_wrote_and_what_the_template_wrote_for_its_example_is_named(root: Path) -> None:
    empty, left = told(root)
    assert empty.startswith("nobody has written chosen_because, also_tried")
    assert left.startswith("title, predicts, data, ")
    assert "owner" not in left


def test_a_draft_may_say_what_it_likes(root: Path) -> None:
    file = root / "pipelines/churn/pyproject.toml"
    file.write_text(f"{file.read_text(encoding='utf-8')}[tool.onebutton]\ndraft = true\n", encoding="utf-8")
    assert told(root) == []


def test_a_pipeline_that_speaks_of_itself_is_green(root: Path) -> None:
    file = root / "pipelines/churn" / CARD
    file.write_text(made_its_own(file.read_text(encoding="utf-8")), encoding="utf-8")
    assert told(root) == []
