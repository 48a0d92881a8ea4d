import re
from pathlib import Path
from typing import Any

import pytest

from onebutton_contracts.dvc_files import read_yaml
from onebutton_contracts.errors import InputError
from onebutton_workbench.checks.lint import CHECKS
from onebutton_workbench.checks.selftest import (
    CLEAN,
    Violation,
    batches,
    is_clear,
    plant,
    press,
    press_all,
    read_violations,
)
from onebutton_workbench.findings import PAGES
from onebutton_workbench.workspace import ROOT, read_toml

PROVEN = {gate for violation in read_violations() for gate in violation.gates}
BY_ID = {"what rules of this repository refuse"}  # their ids are proven one by one


def test_every_check_of_lint_has_a_violation() -> None:
    assert {check.finds for check in CHECKS} - BY_ID - PROVEN == set()


def test_every_check_of_ours_has_a_violation() -> None:
    sample = (
        ROOT / "pipelines/flight_delays/violations.toml"
    )  # what is about data or results can be planted only where they are
    without = set() if sample.is_file() else {"OB304", "OB411", "OB412"}
    assert {page.stem for page in (ROOT / PAGES).glob("*.md")} - PROVEN == without


def test_every_hook_and_every_job_has_a_violation() -> None:
    hooks = {f"hook {hook['id']}" for hook in read_yaml(ROOT / ".pre-commit-config.yaml")["repos"][0]["hooks"]}
    jobs = {f"job {name}" for name in read_yaml(ROOT / ".github/workflows/ci.yml")["jobs"]}
    assert (hooks | jobs) - PROVEN == set()


def test_every_kind_of_gate_on_a_model_has_a_violation() -> None:
    sample = ROOT / "pipelines/flight_delays/gates.toml"
    gates = read_toml(sample)["gates"] if sample.is_file() else []
    proven = {gate["check"] for gate in gates if gate["id"] in PROVEN}
    assert {gate["check"] for gate in gates} - proven == set()


@pytest.mark.parametrize("violation", read_violations(), ids=lambda one: re.sub(r"\W+", "_", one.what))
def test_a_violation_can_be_planted_into_the_files_as_they_are(violation: Violation, tmp_path: Path) -> None:
    for edit in violation.edits:
        source = ROOT / edit["file"]
        if source.is_file():
            (tmp_path / edit["file"]).parent.mkdir(parents=True, exist_ok=True)
            (tmp_path / edit["file"]).write_bytes(source.read_bytes())
    before = {path: path.read_bytes() for path in tmp_path.rglob("*") if path.is_file()}
    plant(violation.edits, tmp_path)
    assert {path: path.read_bytes() for path in tmp_path.rglob("*") if path.is_file()} != before


def test_a_violation_that_finds_nothing_to_change_is_an_error(tmp_path: Path) -> None:
    violation = Violation("x", ["y"], "make lint", ["z"], [{"file": "a", "find": "b", "replace": "c"}])
    with pytest.raises(InputError, match="nothing would be planted"):
        plant(violation.edits, tmp_path)


def test_no_two_violations_of_a_gate_are_told_by_the_same_words() -> None:
    told = [(one.press, gate, *one.reasons) for one in read_violations() for gate in one.gates]
    assert [one for one in told if told.count(one) > 1] == []


@pytest.fixture
def clone(tmp_path: Path, shell: Any) -> Path:
    """A small repository whose only gate is `make gate`: red when the file `fault` is there."""
    (tmp_path / "Makefile").write_text("gate:\n\t! cat fault\n\nweak:\n\ttrue\n", encoding="utf-8")
    shell("git", "init", "--quiet", "--initial-branch", "main", folder=tmp_path)
    shell("git", "add", "--all", folder=tmp_path)
    shell("git", "commit", "--quiet", "--message", "first", folder=tmp_path)
    shell("git", "tag", "selftest-start", folder=tmp_path)
    return tmp_path


def judged(clone: Path, button: str, reason: str) -> str:
    violation = Violation("a fault", ["gate"], button, [reason], [{"file": "fault", "write": "the fault"}])
    problem = press([violation], clone).problem(violation)
    assert not (clone / "fault").exists()
    return problem.partition("\n")[0]


def test_a_gate_that_turns_red_for_the_right_reason_is_proven(clone: Path) -> None:
    assert judged(clone, "make gate", "the fault") == ""


def test_a_gate_that_stays_green_is_reported(clone: Path) -> None:
    assert judged(clone, "make weak", "the fault") == "stayed green"


def test_a_gate_that_is_red_for_another_reason_is_reported(clone: Path) -> None:
    assert judged(clone, "make gate", "something else") == "red, but without 'something else'"


def test_a_button_that_is_red_on_a_clean_tree_is_reported(clone: Path) -> None:
    for button, problem in (("make gate", ""), ("make missing", "red without any violation")):
        clean = Violation("nothing", CLEAN, button)
        assert press([clean], clone).problem(clean).partition("\n")[0] == problem


def fault(name: str, gate: str, reason: str) -> Violation:
    return Violation(name, [gate], "make gates", [reason], [{"file": name, "write": f"{name} is there\n"}])


def replacing(find: str, gate: str) -> Violation:
    return Violation(find, [gate], "make gates", [gate], [{"file": "same", "find": find, "replace": "x"}])


def test_violations_are_planted_together_where_they_can_be_told_apart() -> None:
    a, b, c = fault("a", "one", "a"), fault("b", "one", "vague"), fault("c", "two", "vague")
    assert batches([a, b, c]) == [[a, c], [b]]
    of_another = Violation("e", ["three"], "make lint", ["e"], [{"file": "e", "write": "x"}])
    last = Violation("f", ["four"], "make gates", ["f"], [{"file": "f", "write": "x"}], alone=True)
    assert batches([a, of_another, last]) == [[a], [of_another], [last]]


def test_violations_that_change_the_same_file_are_planted_apart_but_for_an_edit_that_they_share() -> None:
    line, other, beside = replacing("a: 1", "one"), replacing("b", "two"), fault("c", "three", "c")
    assert batches([line, other, beside]) == [[line, beside], [other]]
    shared = Violation("d", ["four"], "make gates", ["d"], [*line.edits, {"file": "d", "write": "x"}])
    assert batches([line, shared]) == [[line, shared]]


def test_what_does_not_show_in_a_batch_or_shows_elsewhere_is_not_clear(clone: Path, shell: Any) -> None:
    (clone / "Makefile").write_text("gates:\n\tcat a b c 2> /dev/null; echo red; exit 1\n", encoding="utf-8")
    for words in ("add --all", "commit --quiet --message second", "tag --force selftest-start"):
        shell("git", *words.split(), folder=clone)
    shows, silent, vague = fault("a", "one", "a is there"), fault("b", "two", "nothing"), fault("c", "one", "red")
    found = press_all([[shows, silent], [vague]], [clone])
    assert [is_clear(one, batch, found) for batch in found for one in batch.violations] == [True, False, False]


def test_a_batch_whose_button_is_green_proves_nothing(clone: Path) -> None:
    (one,) = press_all([[Violation("x", ["y"], "make weak", ["true"])]], [clone])
    assert not is_clear(one.violations[0], one, [one])
