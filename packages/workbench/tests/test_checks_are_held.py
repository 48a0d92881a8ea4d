"""What pages promise of checks, hooks and CI is what workflows, hooks and the Makefile do: nobody takes one out by the way."""

import re
import sys
from pathlib import Path
from typing import Any

import pytest

from onebutton_contracts.dvc_files import read_yaml
from onebutton_workbench.checks.lint import CHECKS
from onebutton_workbench.checks.rules import COMPARING, RULES
from onebutton_workbench.checks.selftest import read_violations
from onebutton_workbench.findings import PAGES
from onebutton_workbench.workspace import ROOT

SOURCES = ROOT / "packages/workbench/src/onebutton_workbench"
CI = read_yaml(ROOT / ".github/workflows/ci.yml")["jobs"]
HOOKS = read_yaml(ROOT / ".pre-commit-config.yaml")["repos"][0]["hooks"]
MAKEFILE = (ROOT / "Makefile").read_text(encoding="utf-8")
# What finds the checks that `make lint` does not: they look at results.
BY_STATUS = {"data/storage.py", "lineage/stale.py", "runs/status.py"}
# What a change must pass in CI, each as it is pressed.
IN_CI = {
    *(
        "lint",
        "types",
        "status",
        "test AFFECTED=1 COVERAGE=1",
        "test SLOW=1",
        "run",
        "run ALONE=1",
        "gates MEASURE=1 STRICT=1",
    ),
    *("ruler", "metrics", "audit", "all-green"),
}


def pressed(jobs: dict[str, Any]) -> set[str]:
    """The buttons of some jobs, each with the values that it is pressed with."""
    found = set()
    for job in jobs.values():
        for words in (step["run"].split()[1:] for step in job["steps"] if "run" in step):
            values = [word for word in words if "=" in word]
            found |= {" ".join([word, *values]) for word in words if "=" not in word}
    return found


def promised(page: str, when: str) -> set[str]:
    """The buttons that a sentence of a page names after `git commit` or `git push`."""
    text = (ROOT / page).read_text(encoding="utf-8")
    (sentence,) = re.findall(rf"`git {when}` presses ([^;.]+)[;.]", text)
    tests = {"test AFFECTED=1"} if "the tests that your change reaches" in " ".join(sentence.split()) else set()
    return {*re.findall(r"`make ([^`]+)`", sentence), *tests}


def recipe(button: str) -> tuple[set[str], list[str]]:
    """What a button needs, and what it runs."""
    (found,) = re.findall(rf"^{button}:([^#\n]*)[^\n]*\n((?:\t[^\n]*\n)*)", MAKEFILE, re.MULTILINE)
    return set(found[0].split()), [line.strip().lstrip("@") for line in found[1].splitlines()]


@pytest.mark.parametrize("page", sorted((ROOT / PAGES).glob("OB*.md")), ids=lambda page: page.stem)
def test_every_check_that_has_a_page_is_pressed_by_lint_or_status(page: Path) -> None:
    finds = rf'(Finding\(\s*|SetupError\(f)"{page.stem}\b'
    files = {file for file in SOURCES.rglob("*.py") if re.search(finds, file.read_text(encoding="utf-8"))}
    by_lint = {Path(str(sys.modules[rule.__module__].__file__)) for rule in (*RULES, *COMPARING)}
    assert files
    assert files <= by_lint | {
        SOURCES / name for name in BY_STATUS | {"bootstrap.py"}
    }  # which every button calls first


def test_lint_holds_the_repository_to_rules_of_its_own() -> None:
    assert {check.command for check in CHECKS} >= {"python -m onebutton_workbench.checks.rules"}


def test_every_check_of_lint_that_selftest_proves_is_there() -> None:
    proven = {gate for one in read_violations() if one.press.startswith("make lint") for gate in one.gates}
    by_other_means = {"a lock that lags behind"}  # every button says so before it begins
    named = {gate for gate in proven - by_other_means if not re.fullmatch(r"OB\d{3}", gate)}
    assert named - {check.finds for check in CHECKS} == set()


def test_lint_looks_at_every_kind_of_file_that_its_page_names() -> None:
    page = (ROOT / "docs/buttons.md").read_text(encoding="utf-8")
    (kinds,) = re.findall(r"\| `make lint` \| find mistakes in ([^;]+);", page)
    tools = {
        "code": "ruff", "workflows": "zizmor", "Makefile": "mbake", "shell": "shellcheck", "YAML": "yamllint",
        "spelling": "typos", "links": "rumdl", "secrets": "betterleaks",
    }  # fmt: skip
    assert set(kinds.split(", ")) == set(tools)
    assert set(tools.values()) <= {check.command.split()[0] for check in CHECKS}


def test_the_buttons_that_hold_checks_do_what_their_names_say() -> None:
    for button in ("lint", "types", "test", "status", "gates", "ruler", "audit"):
        assert recipe(button) == ({".venv/.synced"}, [f"onebutton {button}"])
    assert recipe("check") == ({"lint", "types", "test"}, [])
    assert recipe("all-green")[1] == ["$(STDLIB)/all_green.py"]


@pytest.mark.parametrize(("when", "stage"), [("commit", "pre-commit"), ("push", "pre-push")])
def test_hooks_press_what_the_page_of_buttons_promises(when: str, stage: str) -> None:
    entries = {hook["entry"].removeprefix("make ") for hook in HOOKS if hook["stages"] == [stage]}
    assert entries == promised("docs/buttons.md", when)
    assert all(hook["always_run"] and not {"files", "exclude", "types"} & hook.keys() for hook in HOOKS)


def test_ci_presses_everything_that_a_change_must_pass() -> None:
    assert pressed(CI) >= IN_CI


def test_what_hooks_and_make_check_press_is_pressed_in_ci_again() -> None:
    in_ci = {
        one.removesuffix(" COVERAGE=1") for one in pressed(CI)
    }  # in CI the same tests also hold the floors of coverage
    assert {hook["entry"].removeprefix("make ") for hook in HOOKS if "pre-push" in hook["stages"]} <= in_ci
    assert recipe("check")[0] <= {button.split()[0] for button in pressed(CI)}
    assert "`make check`" in (ROOT / "CONTRIBUTING.md").read_text(encoding="utf-8")


def test_all_green_waits_for_every_job() -> None:
    last = CI["all-green"]
    assert set(last["needs"]) == CI.keys() - {"all-green"}
    assert last["if"].startswith("always() && ")
    assert last["steps"][-1] == {"run": "make all-green", "env": {"NEEDS": "${{ toJSON(needs) }}"}}


def test_every_job_runs_for_every_change_and_none_may_fail_unseen() -> None:
    ours = "github.event_name != 'pull_request' || github.event.pull_request.head.repo.full_name != github.repository"
    assert {name: job["if"] for name, job in CI.items() if name != "all-green"} == dict.fromkeys(
        CI.keys() - {"all-green"}, ours
    )
    conditions = {step["run"]: step["if"] for job in CI.values() for step in job["steps"] if "if" in step}
    assert conditions == {"make pull": "github.event_name != 'pull_request'"}  # keys are not for forks


def test_gates_in_any_workflow_are_strict_so_that_not_run_does_not_pass() -> None:
    for file in (ROOT / ".github/workflows").glob("*.yml"):
        gates = [one for one in pressed(read_yaml(file)["jobs"]) if one.split()[0] == "gates"]
        assert all("STRICT=1" in one.split() for one in gates), file.name


def test_what_compares_with_the_branch_has_its_history() -> None:
    for name in ("check", "test", "pipeline", "audit"):
        checkout = next(step for step in CI[name]["steps"] if step.get("uses", "").startswith("actions/checkout@"))
        assert checkout["with"]["fetch-depth"] == 0, name


def test_selftest_and_reproduction_are_pressed_every_week() -> None:
    for file, button in (("selftest.yml", "selftest"), ("reproduce.yml", "reproduce")):
        content: dict[Any, Any] = read_yaml(ROOT / ".github/workflows" / file)
        assert content["on"]["schedule"]
        assert button in {one.split()[0] for one in pressed(content["jobs"])}
