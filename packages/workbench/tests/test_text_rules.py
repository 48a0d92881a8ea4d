"""A pipeline as the template wrote it, once somebody says that it is no draft."""

from __future__ import annotations

import re
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest

from onebutton_workbench.checks.text_rules import FILES, TEMPLATES, TO_FILL, check
from onebutton_workbench.workspace import ROOT

CARD, GATES, ROWS = "card.toml", "gates.toml", "contracts/rows.odcs.yaml"
EXAMPLE = next(file.parent for file in sorted((ROOT / TEMPLATES).glob("*/card.toml.jinja")))
OWN: dict[str, Callable[[str], str]] = {  # how a team makes each file its own
    CARD: lambda text: re.sub(r'^(\w+ = "+)(todo: )?', r"\1Ours. ", text, flags=re.MULTILINE),
    GATES: lambda text: text.replace('why = "', 'why = "Ours. '),
    ROWS: lambda text: re.sub(r"(description: |purpose: >-\n +)(?=\w)", r"\1ours, ", text),
}
OWN["contracts/predictions.odcs.yaml"] = OWN[ROWS]


@pytest.fixture
def root(tmp_path: Path) -> Path:
    """A repository with a pipeline as new, and templates of two kinds, of which the second is about whales."""
    for kind in ("first", "second"):
        for file in (file for pattern in FILES for file in EXAMPLE.glob(pattern)):
            text = file.read_text(encoding="utf-8")
            place = file.relative_to(EXAMPLE)
            (tmp_path / TEMPLATES / kind / place).parent.mkdir(parents=True, exist_ok=True)
            whales = re.sub(r"tumours?|malignant|texture|median|radius|base rate", "whales", text)
            (tmp_path / TEMPLATES / kind / place).write_text(text if kind == "first" else whales, encoding="utf-8")
    member = tmp_path / "pipelines/churn"
    shutil.copytree(tmp_path / TEMPLATES / "first", member)
    for file in member.rglob("*.jinja"):
        file.with_suffix("").write_text(TO_FILL.sub("churn", file.read_text(encoding="utf-8")), encoding="utf-8")
        file.unlink()
    (tmp_path / "pyproject.toml").write_text("[tool.uv.workspace]\nmembers = ['pipelines/*']\n", encoding="utf-8")
    (member / "pyproject.toml").write_text("[project]\nname = 'churn'\n", encoding="utf-8")
    return tmp_path


def told(root: Path) -> dict[str, str]:
    """Join what is found in each file of the pipeline."""
    found: dict[str, str] = {}
    for one in check(root):
        assert one.check == "OB107"
        place = one.place.removeprefix("pipelines/churn/")
        found[place] = f"{found.get(place, '')} {one.words}"
    return found


def test_what_the_template_wrote_for_its_example_is_named_file_by_file(root: Path) -> None:
    found = told(root)
    assert set(found) == set(OWN)
    assert "nobody has written chosen_because, also_tried" in found[CARD]
    assert "predicts" in found[CARD]
    assert "owner" not in found[CARD]
    assert "the why of " in found[GATES]
    assert "the purpose" in found[ROWS]


def test_what_every_kind_of_pipeline_says_may_stand(root: Path) -> None:
    assert "holdout-unchanged" not in told(root)[GATES]


def test_a_draft_may_say_what_it_likes(root: Path) -> None:
    file = root / "pipelines/churn/pyproject.toml"
    file.write_text(f"{file.read_text(encoding='utf-8')}[tool.onebutton]\ndraft = true\n", encoding="utf-8")
    assert told(root) == {}


def test_a_pipeline_that_speaks_of_itself_is_green(root: Path) -> None:
    for name, own in OWN.items():
        file = root / "pipelines/churn" / name
        file.write_text(own(file.read_text(encoding="utf-8")), encoding="utf-8")
    assert told(root) == {}
