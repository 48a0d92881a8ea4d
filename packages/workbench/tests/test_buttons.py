from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from onebutton_workbench.buttons import EVERY_DAY, page, read_buttons
from onebutton_workbench.workspace import ROOT, pipelines

MAKEFILE = (ROOT / "Makefile").read_text(encoding="utf-8")


def test_make_alone_lists_the_buttons_of_every_day_and_says_how_many_more_there_are(shell: Any) -> None:
    shown = shell("make", folder=ROOT)
    daily = [button for button in read_buttons(MAKEFILE) if button.group == EVERY_DAY]
    assert all(f"make {button.name} " in shown for button in daily)
    assert f"lists {len(read_buttons(MAKEFILE)) - len(daily)} more" in shown
    assert "make doctor" not in shown


def test_help_all_lists_every_button_in_its_group(shell: Any) -> None:
    shown = shell("make", "help", "ALL=1", folder=ROOT)
    assert all(f"make {button.name} " in shown for button in read_buttons(MAKEFILE))
    assert shown.index("Every day:") < shown.index("Checks:") < shown.index("Make it yours:")


def test_the_page_is_never_wider_than_a_terminal() -> None:
    assert max(map(len, page(read_buttons(MAKEFILE), everything=True).splitlines())) <= 120


@pytest.fixture
def probe(tmp_path: Path) -> Path:
    """The Makefile's treatment of values, with one target that prints what a program gets."""
    start = MAKEFILE.index("VALUES :=")
    rules = MAKEFILE[start : MAKEFILE.index("STDLIB :=")]
    makefile = tmp_path / "Makefile"
    makefile.write_text(rules + "\nshow:\n\t@env\n", encoding="utf-8")
    return tmp_path


def test_a_typed_value_reaches_the_program_unexpanded(probe: Path, shell: Any) -> None:
    trap = "$(shell touch trapped)`touch trapped`\"'$HOME"
    shown = shell("make", "show", f"PIPELINE={trap}", folder=probe)
    assert f"BUTTON_PIPELINE={trap}\n" in shown
    assert not (probe / "trapped").exists()


def test_a_variable_of_the_shell_is_not_a_typed_value(probe: Path, shell: Any) -> None:
    shown = shell("make", "show", folder=probe, PIPELINE="from_the_shell", BUTTON_SLOW="from_the_shell")
    assert "BUTTON_PIPELINE=\n" in shown
    assert "BUTTON_SLOW=\n" in shown


def test_every_line_of_a_recipe_goes_through_a_shell(tmp_path: Path, shell: Any) -> None:
    """Where make starts a program itself, that of macOS looks for it in a PATH without `.venv`, and finds no `python`."""
    makefile = tmp_path / "Makefile"
    makefile.write_text(f"include {ROOT}/Makefile\nprobe:\n\t@no-such-program\n", encoding="utf-8")
    shown = shell("make", "--file", str(makefile), "probe", folder=ROOT, status=2)
    assert "no-such-program" in shown
    assert "make: no-such-program" not in shown  # make itself would say so


def test_an_unknown_pipeline_is_refused_with_those_that_exist(shell: Any) -> None:
    for button in ("run", "test"):
        shown = shell("make", button, "PIPELINE=no_such", folder=ROOT, status=2)
        assert f"there is no pipeline 'no_such'. PIPELINE can be: {', '.join(pipelines()) or '(none yet)'}" in shown
        assert "Traceback" not in shown


def test_an_unknown_base_is_refused(shell: Any) -> None:
    shown = shell("make", "metrics", "BASE=nowhere", folder=ROOT, status=2)
    assert "'nowhere' is no commit here" in shown
    assert "Traceback" not in shown
