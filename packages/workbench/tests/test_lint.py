import shlex
import sys
from pathlib import Path

import pytest

from onebutton_workbench.checks.lint import Check, report, run


def said(program: str, root: Path, capsys: pytest.CaptureFixture[str]) -> tuple[str, str]:
    verdict = run(Check("planted", shlex.join((sys.executable, "-c", program)), "nothing"), root)
    report(verdict)
    return verdict.result, capsys.readouterr().out


def test_a_check_that_passes_without_one_of_its_rules_is_told(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    program = "print('NOT RUN OB301: why'); print('all well')"
    assert said(program, tmp_path, capsys) == ("passed", "lint: NOT RUN OB301: why\n")
    assert said("print('all well')", tmp_path, capsys) == ("passed", "")


@pytest.mark.parametrize(("program", "result"), [("raise SystemExit(1)", "failed"), ("pass", "passed")])
def test_a_check_is_judged_by_its_status(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], program: str, result: str
) -> None:
    assert said(program, tmp_path, capsys)[0] == result


def test_a_check_whose_program_is_missing_is_not_run(tmp_path: Path) -> None:
    assert run(Check("planted", "no-such-program", "nothing"), tmp_path).result == "NOT RUN"
