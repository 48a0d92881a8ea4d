import json
import re
import subprocess
from pathlib import Path
from typing import Any

import pytest

from onebutton_contracts.dvc_files import read_yaml
from onebutton_tracking.commit import git_environment
from onebutton_workbench import cli
from onebutton_workbench.checks.workflow_rules import check_makefile, check_workflow
from onebutton_workbench.workspace import ROOT

GITHUB = ROOT / ".github"
WORKFLOWS = sorted(GITHUB.glob("workflows/*.yml"))
ACTIONS = sorted(GITHUB.glob("actions/*/action.yml"))
GOOD = """\
name: small
on:
  push:
permissions: {}
jobs:
  test:
    runs-on: ubuntu-latest
    timeout-minutes: 5
    permissions: {contents: read}
    steps:
      - uses: actions/setup-python@0000000000000000000000000000000000000000 # v1
        with: {python-version: "3.10"}
      - run: make test SLOW=1
"""


def found(text: str) -> list[str]:
    return [finding.check for finding in check_workflow("ci.yml", text)]


def steps(path: Path) -> list[dict[str, Any]]:
    content = read_yaml(path)
    return [step for job in content.get("jobs", {"": content.get("runs")}).values() for step in job["steps"]]


def test_the_workflows_and_the_makefile_of_this_repo_keep_the_rules() -> None:
    for path in [*WORKFLOWS, *ACTIONS]:
        assert [str(finding) for finding in check_workflow(path.name, path.read_text(encoding="utf-8"))] == []
    assert [
        str(finding) for finding in check_makefile("Makefile", (ROOT / "Makefile").read_text(encoding="utf-8"))
    ] == []


def test_logic_in_a_local_action_is_found() -> None:
    assert found("runs:\n  using: composite\n  steps:\n    - run: pytest\n") == ["OB201"]


def test_a_workflow_that_presses_buttons_keeps_the_rules() -> None:
    assert found(GOOD) == []


@pytest.mark.parametrize(
    "logic",
    [
        "make test || true",
        "make lint; make test",
        "pytest",
        "|\n          make test\n          make lint",
        "make test X=${{ github.ref }}",
        "make",
        "make test X=$X",
        'make test X="$Y"',
        'make test X="$(id)"',
        'make test X="$X$(id)"',
        'make "$X"',
    ],
)
def test_logic_in_a_step_is_found(logic: str) -> None:
    assert found(GOOD.replace("make test SLOW=1", logic)) == ["OB201"]


def test_a_step_may_hand_over_what_its_own_env_sets() -> None:
    handed = GOOD.replace("SLOW=1", 'X="$X" SLOW=1 Y="$Y"')
    assert found(f"{handed}        env: {{X: one, Y: two}}\n") == []
    assert found(f"{handed}        env: {{X: one}}\n") == ["OB201"]
    assert found(handed) == ["OB201"]


@pytest.mark.parametrize(
    "typed",
    [
        "$(shell touch run)",
        "`touch run`",
        '"; touch run; "',
        "$$(touch run)",
        "two\nlines",
        "it's $HOME",
        "#",
        "a := b",
        "",
    ],
)
def test_what_is_handed_over_is_text_to_make(tmp_path: Path, typed: str) -> None:
    (tmp_path / "show.mk").write_text(
        'show: ## Show\n\t@python3 -c \'import os; print(repr(os.environ.get("BUTTON_NAME", "")))\'\n', encoding="utf-8"
    )
    step = f'make --no-print-directory -C "{tmp_path}" -f "{ROOT}/Makefile" -f show.mk show NAME="$NAME"'
    done = subprocess.run(
        ["sh", "-ec", step], env=git_environment() | {"NAME": typed}, capture_output=True, text=True, check=True
    )
    assert done.stdout.strip() == repr(typed)
    assert not (tmp_path / "run").exists()


@pytest.mark.parametrize(
    ("old", "new", "check"),
    [
        ("  push:\n", '  push:\n    paths: ["src/**"]\n', "OB202"),
        ("  push:\n", '  push:\n    paths-ignore: ["docs/**"]\n', "OB202"),
        ("SLOW=1", "SLOW=1\n        continue-on-error: true", "OB204"),
        ("    timeout-minutes: 5\n", "    timeout-minutes: 5\n    continue-on-error: true\n", "OB204"),
    ],
)
def test_what_would_hide_a_failure_is_found(old: str, new: str, check: str) -> None:
    assert old in GOOD
    assert found(GOOD.replace(old, new)) == [check]


@pytest.mark.parametrize(
    "line",
    ["pytest || true", "pytest; ruff check", "pytest | tee log", "-pytest", "@-pytest", "cd x && y", "pytest \\"],
)
def test_a_recipe_line_that_could_lose_a_failure_is_found_with_its_line(line: str) -> None:
    (finding,) = check_makefile("Makefile", f"test: ## Run the tests\n\t{line}\n")
    assert (finding.check, finding.place) == ("OB211", "Makefile:2")


SETUP = {"uses": "./.github/actions/setup"}


@pytest.mark.parametrize(
    ("job", "found"),
    [
        ({"steps": [SETUP, {"run": "make pull", "env": {"KEY": "${{ secrets.KEY }}"}}]}, 1),
        ({"permissions": {"id-token": "write"}, "steps": [SETUP]}, 1),
        ({"env": {"KEY": "${{ secrets.KEY }}"}, "steps": [SETUP | {"with": {"cache": "true"}}]}, 1),
        ({"env": {"KEY": "${{ secrets.KEY }}"}, "steps": [{"uses": "actions/cache@27d5ce7f"}]}, 1),
        ({"env": {"KEY": "${{ secrets.KEY }}"}, "steps": [SETUP | {"with": {"cache": "false"}}]}, 0),
        ({"permissions": {"contents": "read"}, "steps": [SETUP, {"uses": "actions/cache@27d5ce7f"}]}, 0),
    ],
)
def test_a_job_that_holds_keys_takes_nothing_from_a_cache(job: dict[str, Any], found: int) -> None:
    text = json.dumps({"jobs": {"planted": job}})
    assert [finding.check for finding in check_workflow("ci.yml", text)] == ["OB423"] * found


def test_keys_of_a_run_that_any_branch_starts_are_not_those_of_a_deployment() -> None:
    jobs = {name: job for path in WORKFLOWS for name, job in read_yaml(path)["jobs"].items() if "secrets." in str(job)}
    assert {name: job["environment"] for name, job in jobs.items()} == {
        "pipeline": "ci",
        "staging": "staging",
        "production": "production",
        "by-hand": "${{ inputs.environment }}",
        "image": "staging",
        "retrain": "retrain",
    }


def test_a_button_without_a_help_line_is_found() -> None:
    assert [finding.check for finding in check_makefile("Makefile", "test: setup\n\tpytest\n")] == ["OB212"]


def test_every_button_that_a_workflow_presses_exists() -> None:
    makefile = (ROOT / "Makefile").read_text(encoding="utf-8")
    pressed = {
        word
        for path in WORKFLOWS
        for step in steps(path)
        for word in step.get("run", "").split()[1:]
        if "=" not in word
    }
    assert pressed
    assert {word for word in pressed if f"\n{word}:" not in makefile} == set()


def test_every_value_that_a_workflow_types_is_one_that_a_button_takes() -> None:
    values = {value for button in cli.buttons() for value in cli.values_of(button)}
    typed = {
        name for path in WORKFLOWS for step in steps(path) for name in re.findall(r"([A-Z]+)=", step.get("run", ""))
    }
    assert typed
    assert typed - values == set()


def test_a_fork_deploys_nothing_before_it_is_told_to() -> None:
    jobs = read_yaml(GITHUB / "workflows/deploy.yml")["jobs"]
    for name, job in jobs.items():
        assert re.search(r"vars\.\w+ != ''|github\.event_name == 'workflow_dispatch'", job["if"]), name
        assert job["environment"], name
        assert job["concurrency"]["cancel-in-progress"] is False, name
    assert jobs["production"]["needs"] == "staging"


def test_the_stand_ins_of_act_replace_the_very_commits_that_are_pinned() -> None:
    replaced = dict(re.findall(r"--local-repository (\S+)=(\S+)", (ROOT / ".actrc").read_text(encoding="utf-8")))
    of_github = {"deploy.yml", "dependency-review.yml"}  # nobody deploys from act, and GitHub alone knows of its graph
    run_by_act = [path for path in WORKFLOWS if path.name not in of_github]
    used = {step["uses"] for path in [*run_by_act, *ACTIONS] for step in steps(path) if "uses" in step}
    third_party = {name for name in used if not name.startswith(("./", "actions/checkout@"))}
    assert set(replaced) == third_party
    assert all((ROOT / folder / "action.yml").is_file() for folder in replaced.values())


def test_hooks_fetch_nothing() -> None:
    assert [repo["repo"] for repo in read_yaml(ROOT / ".pre-commit-config.yaml")["repos"]] == ["local"]
