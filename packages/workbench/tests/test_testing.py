"""Which tests `make test` runs, and which members it examines alone."""

import shutil
import subprocess
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import pytest

from onebutton_contracts.errors import InputError
from onebutton_workbench.lineage.affected import Affected
from onebutton_workbench.runs import testing
from onebutton_workbench.runs.testing import examine, run_alone
from onebutton_workbench.workspace import ROOT, members, the_member


@pytest.fixture
def called(monkeypatch: pytest.MonkeyPatch) -> list[list[str]]:
    """Record the calls of pytest instead of making them, as where no pipeline is a draft: a fork may have some."""
    calls: list[list[str]] = []

    def run(command: list[str], **_: Any) -> subprocess.CompletedProcess[str]:
        calls.append(command)
        return subprocess.CompletedProcess(command, 0)

    monkeypatch.setattr(subprocess, "run", run)
    monkeypatch.setattr(testing, "drafts", lambda _: [])
    return calls


def reaching(
    monkeypatch: pytest.MonkeyPatch, *paths: str, everything: bool = False, repo_tests: tuple[str, ...] = ()
) -> None:
    reasons = {Path(path): "changed: a.py" for path in paths}
    found = Affected(reasons, words="the words", everything=everything, repo_tests=repo_tests)
    monkeypatch.setattr("onebutton_workbench.lineage.affected.affected", lambda *_: found)


def paths_of(call: list[str]) -> list[str]:
    return [word for word in call if "/tests" in word]


def everybody() -> list[str]:
    return [f"{member.path.as_posix()}/tests" for member in members()]


def test_without_a_choice_all_tests_run(called: list[list[str]]) -> None:
    testing.run_tests()
    assert [paths_of(call) for call in called] == [everybody()]


def test_affected_runs_the_tests_of_the_members_that_a_change_reaches_and_says_which(
    called: list[list[str]],
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    reaching(monkeypatch, "packages/tracking", "packages/workbench")
    testing.run_tests(affected=True)
    assert [paths_of(call) for call in called] == [["packages/tracking/tests", "packages/workbench/tests"]]
    shown = capsys.readouterr().out
    assert "packages/tracking   changed: a.py\npackages/workbench  changed: a.py\ntest: the words\n" in shown


def test_a_member_whose_tests_reach_less_than_its_floor_is_refused_with_both_numbers(
    tmp_path: Path, shell: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("COVERAGE_FILE", str(tmp_path / ".coverage"))
    folder = tmp_path / "packages/lib"
    (folder / "src").mkdir(parents=True)
    (folder / "src/lib.py").write_text(
        "def f(x):\n    if x:\n        return 1\n    return 2\n\n\nf(1)\n", encoding="utf-8"
    )
    shell("coverage", "run", "--include=packages/*", "packages/lib/src/lib.py", folder=tmp_path)  # reaches 4 of 5 lines
    project = folder / "pyproject.toml"
    for floor in ("", "[tool.coverage.report]\nfail_under = 80\n"):
        project.write_text(floor, encoding="utf-8")
        testing.hold_floors(["packages/lib"], tmp_path)
    project.write_text("[tool.coverage.report]\nfail_under = 81\n", encoding="utf-8")
    with pytest.raises(InputError, match=r"reach too little code: packages/lib 80 %, at least 81 %\. Write tests"):
        testing.hold_floors(["packages/lib"], tmp_path)
    (tmp_path / ".coverage").unlink()  # nothing was measured
    with pytest.raises(InputError, match=r"packages/lib .*%, at least 81 %"):
        testing.hold_floors(["packages/lib"], tmp_path)


def test_affected_runs_all_tests_where_everything_is_reached(
    called: list[list[str]], monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    reaching(monkeypatch, "packages/tracking", everything=True)
    testing.run_tests(affected=True)
    assert [paths_of(call) for call in called] == [everybody()]
    assert "test: everything: the words" in capsys.readouterr().out


@pytest.mark.parametrize(
    "press", [partial(testing.run_tests, affected=True), partial(testing.run_tests, affected=True, alone=True)]
)
def test_affected_passes_with_a_clear_line_when_nobody_is_reached(
    called: list[list[str]],
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    press: Callable[[], None],
) -> None:
    reaching(monkeypatch)
    press()
    assert called == []
    assert "test: no member is affected, so there is no test to run" in capsys.readouterr().out


def test_tests_that_read_the_whole_repo_run_after_any_change(
    called: list[list[str]], monkeypatch: pytest.MonkeyPatch
) -> None:
    readers = ("packages/workbench/tests/test_buttons.py", "packages/workbench/tests/test_selftest.py")
    reaching(monkeypatch, "packages/tracking", repo_tests=readers)
    testing.run_tests(affected=True)
    reaching(monkeypatch, repo_tests=readers)
    testing.run_tests(affected=True)
    assert [paths_of(call) for call in called] == [["packages/tracking/tests", *readers], [*readers]]


def test_the_tests_that_read_the_whole_repo_are_there() -> None:
    listed = [test for member in members() for test in member.repo_tests]
    assert listed
    assert [test for test in listed if not (ROOT / test).is_file()] == []


def test_reached_members_without_tests_are_named_and_do_not_pass(
    called: list[list[str]], monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    reaching(monkeypatch, "packages/ghost")
    with pytest.raises(InputError, match="no test was collected, so nothing was tested"):
        testing.run_tests(affected=True)
    assert called == []
    assert "test: NOT RUN: there is no packages/ghost/tests" in capsys.readouterr().out


@pytest.mark.parametrize("name", ["onebutton-tracking", "tracking", "packages/tracking"])
def test_a_member_is_named_as_people_name_it(called: list[list[str]], name: str) -> None:
    testing.run_tests(member=name)
    assert [paths_of(call) for call in called] == [["packages/tracking/tests"]]


def test_an_unknown_member_is_refused_with_the_list() -> None:
    with pytest.raises(
        InputError, match=r"there is no member 'trackin'\. MEMBER can be: .*packages/tracking, packages"
    ):
        testing.run_tests(member="trackin", alone=True)


def test_a_name_that_two_members_bear_is_refused_with_both(workspace: Path) -> None:
    twin = workspace / "pipelines/lib/pyproject.toml"
    twin.parent.mkdir()
    twin.write_text('[project]\nname = "another"\n', encoding="utf-8")
    with pytest.raises(InputError, match=r"several members 'lib'\. MEMBER can be: packages/lib, pipelines/lib"):
        the_member("lib", workspace)


@pytest.mark.parametrize(
    ("values", "words"),
    [
        ({"member": "tracking", "affected": True}, "AFFECTED and MEMBER each say which members to test"),
        ({"alone": True, "slow": True}, "leave SLOW out"),
        ({"alone": True, "coverage": True}, "leave COVERAGE out"),
    ],
)
def test_values_that_contradict_each_other_are_refused(values: dict[str, Any], words: str) -> None:
    with pytest.raises(InputError, match=words):
        testing.run_tests(**values)


def verdicts(monkeypatch: pytest.MonkeyPatch, **results: str) -> None:
    def examined(member: Any, _: Path) -> tuple[str, str]:
        result = results.get(member.path.name, "passed")
        return result, "3 passed in 1 s\n" if result == "passed" else "No module named 'yaml'\n"

    monkeypatch.setattr(testing, "examine", examined)


def test_every_member_gets_its_lines_and_one_that_fails_alone_fails_all(
    workspace: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    verdicts(monkeypatch)
    run_alone(members(workspace), workspace)
    assert capsys.readouterr().out.splitlines()[-1].startswith("test: 4 of 4 members passed alone")
    verdicts(monkeypatch, lib="failed", other="NOT RUN")
    with pytest.raises(InputError, match=r"2 of 4 members did not pass alone: packages/lib, packages/other\. "):
        run_alone(members(workspace), workspace)
    shown = capsys.readouterr().out
    assert "passed   packages/shared\n    3 passed in 1 s\n" in shown
    assert "failed   packages/lib\n    No module named 'yaml'\n" in shown
    assert "NOT RUN  packages/other\n" in shown


@pytest.mark.slow
def test_an_undeclared_sibling_passes_among_all_members_and_fails_alone(
    tmp_path: Path, shell: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    clone = tmp_path / "clone"
    shell("git", "clone", "--quiet", str(ROOT), str(clone), folder=tmp_path)
    monkeypatch.setenv("PATH", f"{ROOT / '.venv/bin'}:{ROOT / '.tools/bin'}", prepend=":")
    tests = clone / "packages/contracts/tests"
    shutil.rmtree(tests, ignore_errors=True)
    tests.mkdir()
    (tests / "test_planted.py").write_text(
        "def test_planted():\n    import onebutton_evaluation.metrics\n    import onebutton_contracts.contract\n",
        encoding="utf-8",
    )
    contracts = the_member("contracts", clone)
    shell("pytest", "--quiet", "packages/contracts/tests", folder=clone)
    result, said = examine(contracts, clone)
    assert result == "failed"
    assert "No module named 'onebutton_evaluation'" in said

    (tests / "test_planted.py").write_text("def test_planted():\n    import onebutton_contracts\n", encoding="utf-8")
    result, said = examine(contracts, clone)
    assert result == "passed"
    assert said.startswith("1 passed in ")
