from __future__ import annotations

import shlex
import sys
from pathlib import Path

import pytest

from onebutton_workbench.checks.lint import Check, run, untold


def said(program: str, root: Path) -> tuple[str, list[str]]:
    verdict = run(Check("planted", shlex.join((sys.executable, "-c", program)), "nothing"), root)
    return verdict.result, untold(verdict)


def test_a_check_that_passes_without_one_of_its_rules_is_told(tmp_path: Path) -> None:
    assert said("print('NOT RUN OB301: why'); print('all well')", tmp_path) == ("passed", ["NOT RUN OB301: why"])
    assert said("print('all well')", tmp_path) == ("passed", [])


@pytest.mark.parametrize(("program", "result"), [("raise SystemExit(1)", "failed"), ("pass", "passed")])
def test_a_check_is_judged_by_its_status(tmp_path: Path, program: str, result: str) -> None:
    assert said(program, tmp_path) == (result, [])


def test_a_check_whose_program_is_missing_is_not_run(tmp_path: Path) -> None:
    assert run(Check("planted", "no-such-program", "nothing"), tmp_path).result == "NOT RUN"
