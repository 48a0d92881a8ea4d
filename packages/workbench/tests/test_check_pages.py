"""Every check of ours has an id, and a page that explains it in the same five steps."""

import re
from typing import Any

import pytest

from onebutton_workbench.findings import PAGES
from onebutton_workbench.workspace import ROOT

SECTIONS = ["Why it matters", "An example", "How to mend it", "How to turn it off, and what that costs"]
USED = {
    match
    for file in (ROOT / "packages/workbench/src").rglob("*.py")
    for match in re.findall(r'(?:Finding\(\s*|SetupError\(f)"(OB\d{3})\b', file.read_text(encoding="utf-8"))
}
WRITTEN = {file.stem for file in (ROOT / PAGES).glob("*.md")}


def test_every_id_in_the_code_has_a_page_and_every_page_an_id_in_the_code() -> None:
    assert USED == WRITTEN
    assert "OB103" in USED


@pytest.mark.parametrize("check", sorted(WRITTEN))
def test_a_page_has_a_title_that_names_its_check_and_the_same_sections(check: str) -> None:
    text = (ROOT / PAGES / f"{check}.md").read_text(encoding="utf-8")
    assert text.startswith(f"# {check}: ")
    assert re.findall(r"^## (.+)$", text, re.MULTILINE) == SECTIONS


def test_the_button_prints_the_page(shell: Any) -> None:
    assert shell("make", "help", "ID=ob103", folder=ROOT) == (ROOT / PAGES / "OB103.md").read_text(encoding="utf-8")


@pytest.mark.parametrize("wrong", ["OB999", "../../README", "nonsense"])
def test_an_unknown_id_is_refused_with_those_that_exist(shell: Any, wrong: str) -> None:
    printed = shell("make", "help", f"ID={wrong}", folder=ROOT, status=2)
    assert f"there is no check '{wrong}'. ID can be: OB101, " in printed
