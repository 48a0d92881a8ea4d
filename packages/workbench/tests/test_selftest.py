from __future__ import annotations

import re
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from queue import SimpleQueue
from typing import Any

import pytest

from onebutton_contracts.dvc_files import read_yaml
from onebutton_contracts.errors import InputError
from onebutton_workbench.checks.lint import CHECKS
from onebutton_workbench.checks.selftest import (
    CLEAN,
    Violation,
    batches,
    plant,
    prove,
    read_violations,
    try_together,
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
    plant(violation, tmp_path)
    assert {path: path.read_bytes() for path in tmp_path.rglob("*") if path.is_file()} != before


def test_a_violation_that_finds_nothing_to_change_is_an_error(tmp_path: Path) -> None:
    violation = Violation("x", ("y",), "make lint", ("z",), ({"file": "a", "find": "b", "replace": "c"},))
    with pytest.raises(InputError, match="nothing would be planted"):
        plant(violation, tmp_path)


@pytest.fixture
def clone(tmp_path: Path, shell: Any) -> Path:
    """A small repository whose only gate is `make gate`: red when the file `fault` is there."""
    (tmp_path / "Makefile").write_text("gate:\n\t! cat fault\n\nweak:\n\ttrue\n", encoding="utf-8")
    shell("git", "init", "--quiet", "--initial-branch", "main", folder=tmp_path)
    shell("git", "add", "--all", folder=tmp_path)
    shell("git", "commit", "--quiet", "--message", "first", folder=tmp_path)
    shell("git", "tag", "selftest-start", folder=tmp_path)
    return tmp_path


def judged(clone: Path, press: str, reason: str) -> str:
    violation = Violation("a fault", ("gate",), press, (reason,), ({"file": "fault", "write": "the fault"},))
    problem = prove(violation, clone)
    assert not (clone / "fault").exists()
    return problem.partition("\n")[0]


def test_a_gate_that_turns_red_for_the_right_reason_is_proven(clone: Path) -> None:
    assert judged(clone, "make gate", "the fault") == ""


def test_a_gate_that_stays_green_is_reported(clone: Path) -> None:
    assert judged(clone, "make weak", "the fault") == "stayed green"


def test_a_gate_that_is_red_for_another_reason_is_reported(clone: Path) -> None:
    assert judged(clone, "make gate", "something else") == "red, but without 'something else'"


def test_a_button_that_is_red_on_a_clean_tree_is_reported(clone: Path) -> None:
    assert prove(Violation("nothing", (CLEAN,), "make gate"), clone) == ""
    assert prove(Violation("nothing", (CLEAN,), "make missing"), clone).startswith("red without any violation")


def fault(name: str, gate: str, reason: str) -> Violation:
    return Violation(name, (gate,), "make gates", (reason,), ({"file": name, "write": f"{name} is there\n"},))


def test_only_violations_of_other_gates_and_other_files_are_planted_together() -> None:
    a, b, other_gate = fault("a", "one", "a"), fault("a", "two", "b"), fault("b", "two", "c")
    assert batches([a, b, other_gate]) == [[a, other_gate], [b]]


def test_what_does_not_show_in_a_batch_or_shows_elsewhere_is_planted_alone(
    clone: Path, shell: Any, capsys: pytest.CaptureFixture[str]
) -> None:
    (clone / "Makefile").write_text("gates:\n\tcat a b c 2> /dev/null; echo red; exit 1\n", encoding="utf-8")
    for words in ("add --all", "commit --quiet --message second", "tag --force selftest-start"):
        shell("git", *words.split(), folder=clone)
    shows, silent, vague = fault("a", "one", "a is there"), fault("b", "two", "nothing"), fault("c", "one", "red")
    free: SimpleQueue[Path] = SimpleQueue()
    free.put(clone)
    with ThreadPoolExecutor(1) as pool:
        assert try_together(pool, free, [shows, silent, vague]) == [silent, vague]
    assert capsys.readouterr().out.startswith("caught  one ")
