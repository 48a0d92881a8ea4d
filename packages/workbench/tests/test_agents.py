"""Each line of AGENTS.md is true: a line without a test here is an error, and so is a test whose line is gone."""

import re
from collections.abc import Callable
from typing import Any

import pytest

from onebutton_contracts.dvc_files import read_yaml
from onebutton_contracts.errors import InputError
from onebutton_workbench import cli
from onebutton_workbench.bootstrap import from_elsewhere
from onebutton_workbench.buttons import read_buttons
from onebutton_workbench.checks.lint import CHECKS
from onebutton_workbench.checks.selftest import read_violations
from onebutton_workbench.workspace import ROOT, members, read_toml

PAGE = (ROOT / "AGENTS.md").read_text(encoding="utf-8")
LINES = [line.removeprefix("- ") for line in PAGE.splitlines() if line.startswith("- ")]
MAKEFILE = (ROOT / "Makefile").read_text(encoding="utf-8")
BUTTONS = {button.name for button in read_buttons(MAKEFILE)}
SETTINGS = read_toml(ROOT / "pyproject.toml")
TOOL = SETTINGS["tool"]
CI = "\n".join(
    step.get("run", "")
    for job in read_yaml(ROOT / ".github/workflows/ci.yml")["jobs"].values()
    for step in job["steps"]
)
PROVEN = {gate for violation in read_violations() for gate in violation.gates}
LINT = {check.finds: check.command for check in CHECKS}


def takes(button: str, *values: str) -> bool:
    return set(values) <= cli.values_of(button)


def recipe(button: str) -> str:
    return "".join(re.findall(rf"^{button}:.*\n((?:\t.*\n)+)", MAKEFILE, re.MULTILINE))


def json_buttons(line: str) -> set[str]:
    return {"lint", *re.split(r",? ", line.partition("so do ")[2].rstrip("."))}


def members_are_as_said() -> bool:
    folders = {path.parent for path in ROOT.glob("p*/*/pyproject.toml")}
    said = {ROOT / member.path for member in members(ROOT)}
    return folders == said and all((one / "src").is_dir() and (one / "tests").is_dir() for one in said)


def lint_reads_history() -> bool:
    return "betterleaks" in LINT["keys and tokens"] and "audit" in CI


TRUE: dict[str, Callable[[str], bool]] = {
    "`make check` before": lambda _: bool(re.search(r"^check: lint types test ", MAKEFILE, re.MULTILINE)),
    "`make lint JSON=1`": lambda line: (
        json_buttons(line) == cli.AS_JSON and all(takes(one, "JSON") for one in cli.AS_JSON)
    ),
    "`make help ID=OB103`": lambda _: "ID=" in MAKEFILE and (ROOT / "docs/checks/OB103.md").is_file(),
    "`make format`": lambda _: all(word in recipe("format") for word in ("ruff format", "mbake", "onebutton format")),
    "`make test MEMBER=models`": lambda _: takes("test", "MEMBER", "AFFECTED", "SLOW"),
    "`make run PIPELINE=name`": lambda _: takes("run", "PIPELINE") and "status" in BUTTONS and "status" in CI,
    "`make add PACKAGE=xgboost": lambda _: takes("add", "PACKAGE", "MEMBER") and "lock" in BUTTONS,
    "`make ruler BASE=main`": lambda _: takes("ruler", "BASE"),
    "`make gates` computes": lambda _: takes("gates", "PIPELINE") and takes("why", "FILE"),
    "`make new-pipeline NAME=churn`": lambda _: takes("new-pipeline", "NAME") and takes("new-package", "NAME"),
    "`make` lists the buttons": lambda _: ".DEFAULT_GOAL := help" in MAKEFILE and "ALL=1" in MAKEFILE,
    "Members are the folders": lambda _: members_are_as_said(),
    "A member imports what it declares.": lambda _: {"OB401", "OB404", "OB406"} <= PROVEN,
    "Python from 3.11 on": lambda _: (
        SETTINGS["project"]["requires-python"] == ">=3.11"
        and TOOL["ruff"]["line-length"] == 120
        and TOOL["ruff"]["lint"]["select"] == ["ALL"]
        and TOOL["mypy"]["strict"] is True
        and TOOL["pytest"]["filterwarnings"][0] == "error"
    ),
    "A mistake of a person": lambda _: (
        InputError.__module__ == "onebutton_contracts.errors" and cli.mistake(InputError("one line")) == "one line"
    ),
    "A slow test is marked": lambda _: (
        TOOL["pytest"]["markers"][0].startswith("slow:") and "not slow" in TOOL["pytest"]["addopts"]
    ),
    "A training stage never": lambda _: {"OB106", "OB403"} <= PROVEN,
    "A workflow presses buttons": lambda _: {"OB201", "OB211"} <= PROVEN,
    "Every rule has a page": lambda _: (
        {file.stem for file in ROOT.glob("docs/checks/*.md")} - PROVEN <= {"OB304", "OB411", "OB412"}
    ),
    "Commits are in the form": lambda _: (
        "Conventional Commits" in (ROOT / "CONTRIBUTING.md").read_text(encoding="utf-8")
    ),
    "Never weaken a ruler": lambda _: {file.stem for file in ROOT.glob("docs/checks/OB41?.md")} >= {"OB411", "OB412"},
    "Never edit results by hand": lambda _: "make gates" in CI,
    "Never read or write a pickle": lambda _: (
        "OB422" in PROVEN and {"pickle", "joblib"} <= set(TOOL["ruff"]["lint"]["flake8-tidy-imports"]["banned-api"])
    ),
    "Never edit `uv.lock` by hand": lambda _: (
        from_elsewhere('x = "https://evil.example"', 'package-hosts = ["pypi.org"]') != [] and "make audit" in CI
    ),
    "Never write a key": lambda _: lint_reads_history(),
    "Never skip a hook": lambda _: "make lint types" in CI and "make test" in CI,
    "Never take a package younger": lambda _: TOOL["uv"]["exclude-newer"] == "7 days",
    "Never give a job with keys": lambda _: "OB423" in PROVEN and "--persona auditor" in " ".join(LINT.values()),
}


@pytest.mark.parametrize("line", LINES)
def test_a_line_is_true(line: str) -> None:
    (check,) = [check for begin, check in TRUE.items() if line.startswith(begin)]
    assert check(line)


def test_every_test_has_its_line_and_the_page_is_short() -> None:
    assert [begin for begin in TRUE if not any(line.startswith(begin) for line in LINES)] == []
    assert len(PAGE.splitlines()) <= 60


def test_every_name_that_the_page_gives_exists() -> None:
    assert set(re.findall(r"`make ([a-z][a-z-]*)", PAGE)) <= BUTTONS
    assert all((ROOT / f"docs/checks/{one}.md").is_file() for one in re.findall(r"OB\d{3}", PAGE))
    files = ("CONTRIBUTING.md", "packages/workbench/tests/test_agents.py", "docs/checks", "uv.lock")
    assert all(one in PAGE and (ROOT / one).exists() for one in files)


def test_the_mentor_sends_nobody_to_a_button_or_a_page_that_is_not_there() -> None:
    mentor = (ROOT / "docs/mentor.md").read_text(encoding="utf-8")
    assert set(re.findall(r"`make ([a-z][a-z-]*)", mentor)) <= BUTTONS
    named: list[Any] = re.findall(r"\b(?:docs/)?[\w-]+\.md\b", mentor)
    assert named
    assert all((ROOT / one).is_file() for one in named)
