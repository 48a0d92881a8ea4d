"""Plant twenty everyday mistakes in three templates that pip can fetch, and count which of their own checks turn red.

`python benchmarks/templates.py`, or with a template's name. Each is made as its documentation says; its checks are those that it
brings, with the versions that it names where they can be had, and one that is red before anything is planted counts for nothing.
What a mistake is called here is a gate of `violations.toml`, which `make selftest` proves. The templates promise less than this
repository does; the table says what a team that starts from them has yet to add.
"""

import os
import shutil
import subprocess
import sys
import tempfile
from dataclasses import dataclass
from pathlib import Path

from onebutton_workbench.checks.selftest import read_violations

TOKEN = "ghp_" + "16C7e42F292c6912E7710c838347Ae178B4a"
NOTEBOOK = (
    '{"cells": [{"cell_type": "code", "execution_count": 1, "id": "a", "metadata": {}, "source": ["1"], "outputs": [{"data": '
    '{"text/plain": ["1"]}, "execution_count": 1, "metadata": {}, "output_type": "execute_result"}]}], "metadata": {}, '
    '"nbformat": 4, "nbformat_minor": 5}\n'
)
WORKFLOW = """on: push
permissions: {permissions}
jobs:
  test:
    runs-on: ubuntu-latest
    steps:
      - uses: actions/checkout@{version}
      - run: {run}
"""
PINNED = {"permissions": "{}", "version": "3d3c42e5aac5ba805825da76410c181273ba90b1", "run": "make test"}
DOC = '"""Planted."""\n\n'


@dataclass(frozen=True)
class Mistake:
    """One mistake: in words, the gate here that refuses it, and the files that it writes, or adds to."""

    what: str
    gate: str
    files: dict[str, str]


def workflow(**changed: str) -> dict[str, str]:
    """Write a workflow in which one thing is wrong."""
    return {".github/workflows/planted.yml": WORKFLOW.format(**PINNED | changed)}


MISTAKES = [
    Mistake("badly laid out code", "layout of code", {"src/churn/planted.py": DOC + "x  =  1\n"}),
    Mistake(
        "a pickle is read",
        "mistakes in code",
        {"src/churn/planted.py": DOC + 'import pickle\n\nMODEL = pickle.load(open("m", "rb"))\n'},
    ),
    Mistake(
        "a model is written with joblib",
        "mistakes in code",
        {"src/churn/planted.py": DOC + 'from joblib import dump\n\ndump({}, "model")\n'},
    ),
    Mistake(
        "an import that is not declared",
        "OB406",
        {"src/churn/planted.py": DOC + "import requests\n\nGET = requests.get\n"},
    ),
    Mistake(
        "two modules import each other",
        "OB404",
        {
            "src/churn/one.py": DOC + "from churn import two\n\nTWO = two\n",
            "src/churn/two.py": DOC + "from churn import one\n\nONE = one\n",
        },
    ),
    Mistake(
        "a text where a number belongs",
        "types",
        {"src/churn/planted.py": DOC + '\ndef double(x: int) -> int:\n    return 2 * x\n\n\ndouble("1")\n'},
    ),
    Mistake(
        "a function that does not do what its test says",
        "unit tests",
        {
            "src/churn/planted.py": DOC + "\ndef double(x):\n    return 3 * x\n",
            "tests/test_planted.py": "from churn.planted import double\n\n\ndef test_double():\n    assert double(2) == 4\n",
        },
    ),
    Mistake(
        "code that no test reaches",
        "coverage floor",
        {"src/churn/planted.py": DOC + "\ndef double(x):\n    if x:\n        return 2 * x\n    return 0\n"},
    ),
    Mistake("a test that asserts nothing", "OB421", {"tests/test_planted.py": "def test_nothing():\n    sum([1])\n"}),
    Mistake(
        "a test that is skipped without a reason",
        "OB422",
        {"tests/test_planted.py": "import pytest\n\n\n@pytest.mark.skip\ndef test_nothing():\n    assert True\n"},
    ),
    Mistake("a token", "keys and tokens", {"src/churn/planted.py": DOC + f'TOKEN = "{TOKEN}"\n'}),
    Mistake(
        "a password in the address of a database",
        "keys and tokens",
        {"src/churn/planted.py": DOC + 'URL = "postgresql://me:' + 'hunter2@db/churn"\n'},
    ),
    Mistake("outputs left in a notebook", "outputs left in notebooks", {"notebooks/planted.ipynb": NOTEBOOK}),
    Mistake("data in git", "files too large for git", {"data/planted.csv": "1,2\n" * 500_000}),
    Mistake(
        "a merge that was left half done",
        "conflict markers",
        {"README.md": "\n<<<<<<< HEAD\na\n=======\nb\n>>>>>>> b\n"},
    ),
    Mistake("a dead link", "Markdown and dead links", {"README.md": "\n[more](docs/nowhere.md)\n"}),
    Mistake("a misspelt word", "spelling", {"README.md": "\nThe " + "recie" + "ved model.\n"}),
    Mistake("an action that is not pinned", "workflows that an attacker could use", workflow(version="v4")),
    Mistake(
        "a job that may write everything", "workflows that an attacker could use", workflow(permissions="write-all")
    ),
    Mistake(
        "the name of a branch runs as a command",
        "workflows that an attacker could use",
        workflow(run='echo "${{ github.head_ref }}"'),
    ),
]
KEDRO = "uvx kedro@1.7.0 new --name churn --tools lint,test,docs --example n --telemetry no"
PYSCAFFOLD = "uvx --with pyscaffoldext-dsproject==0.7.2 --from pyscaffold==4.6 putup --dsproject churn"
DAGSTER = "uvx create-dagster@1.13.26 project churn --no-uv-sync"
PYTEST = "uv run --no-project --with pytest==8.4 --with pytest-cov --with pytest-mock"  # 5: there is no test
TEMPLATES = {  # what makes each, and its checks; a hook of pre-commit is called as its configuration calls it
    "kedro": (
        KEDRO,
        ["uvx ruff@0.12 check src tests", "uvx ruff@0.12 format --check .", f"{PYTEST} --with kedro==1.7.0 pytest"],
    ),
    "PyScaffold dsproject": (
        PYSCAFFOLD,
        [
            "uvx black@25.1.0 --check .",
            "uvx isort@5.13.2 --check .",
            "uvx flake8@7.1.1",
            f"{PYTEST} --with setuptools pytest || test $? = 5",
            *(
                f"uvx --from pre-commit-hooks@4.6.0 {hook} {{files}}"
                for hook in (
                    "trailing-whitespace-fixer",
                    "check-added-large-files",
                    "check-ast",
                    "check-json",
                    "check-merge-conflict --assume-in-merge",
                    "check-yaml",
                    "debug-statement-hook",
                    "end-of-file-fixer",
                    "mixed-line-ending",
                )
            ),
        ],
    ),
    "create-dagster": (DAGSTER, ["uv sync -q && uv run -q dg check defs"]),
}
TIDY = [  # what a template leaves for its own tools to mend
    "grep -q tool.ruff pyproject.toml && uvx ruff@0.12 format . && uvx ruff@0.12 check --fix .",
    "test -f .isort.cfg && uvx black@25.1.0 . && uvx isort@5.13.2 .",
    "test -f .isort.cfg && git add --all && git ls-files -z | xargs -0 uvx --from pre-commit-hooks@4.6.0 end-of-file-fixer",
]
ONLY = {
    "check-ast": (".py",),
    "debug-statement-hook": (".py",),
    "check-json": (".json",),
    "check-yaml": (".yml", ".yaml"),
}


def call(command: str, folder: Path) -> int:
    """Call a command in a project, quietly; hooks are handed the files in git that they are about."""
    if "{files}" in command:
        listed = subprocess.run(
            ["git", "ls-files"], cwd=folder, capture_output=True, text=True, check=True
        ).stdout.split("\n")
        hook = command.split()[3]
        files = [name for name in listed if name and name.endswith(ONLY.get(hook, ("",)))]
        if not files:
            return 0
        command = command.replace("{files}", " ".join(f"'{name}'" for name in files))
    quiet = {"PYTHONPATH": "src", "DO_NOT_TRACK": "1", "DAGSTER_DISABLE_TELEMETRY": "1"}
    environment = {name: text for name, text in os.environ.items() if name != "VIRTUAL_ENV"} | quiet
    return subprocess.run(
        ["bash", "-c", command], cwd=folder, env=environment, capture_output=True, check=False
    ).returncode


def make(command: str, folder: Path) -> Path:
    """Make a project of a template, laid out as its own tools want it, in git."""
    call(command, folder)
    project = folder / "churn"
    if not project.is_dir():
        sys.exit(f"{command} made nothing")
    for step in [
        *TIDY,
        "git init --quiet",
        "git add --all",
        "git -c user.name=x -c user.email=x@x commit -qm made --no-verify",
    ]:
        call(step, project)
    return project


def caught_by(mistake: Mistake, checks: list[str], project: Path) -> str:
    """Plant a mistake, and name the first check that turns red; empty where none does."""
    for name, text in mistake.files.items():
        file = project / name
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text((file.read_text() if file.is_file() else "") + text)
    call("git add --all --force", project)
    found = next((check for check in checks if call(check, project)), "")
    call("git reset --quiet --hard && git clean -qfdx --exclude .venv", project)
    return found


def main() -> None:
    """Print the table, and the counts."""
    proven = {gate for violation in read_violations() for gate in violation.gates}
    if lost := [one.gate for one in MISTAKES if one.gate not in proven]:
        sys.exit(f"no violation proves {', '.join(lost)}")
    found: dict[str, list[str]] = {}
    with tempfile.TemporaryDirectory(prefix="onebutton-templates-") as place:
        for name, (command, checks) in TEMPLATES.items():
            if sys.argv[1:] and name not in sys.argv[1:]:
                continue
            folder = Path(place, name.split()[0])
            folder.mkdir()
            project = make(command, folder)
            green = [check for check in checks if not call(check, project)]
            call("git reset --quiet --hard && git clean -qfdx --exclude .venv", project)
            print(f"{name}: {len(green)} of {len(checks)} checks are green before anything is planted", flush=True)
            print(*(f"  red: {check}" for check in checks if check not in green), sep="\n", flush=True)
            found[name] = [caught_by(one, green, project) for one in MISTAKES]
            shutil.rmtree(folder)
    print(f"| mistake | {' | '.join(found)} | here |\n|---|{'---|' * (len(found) + 1)}")
    for at, one in enumerate(MISTAKES):
        print(
            f"| {one.what} | {' | '.join('caught' if column[at] else '-' for column in found.values())} | {one.gate} |"
        )
    print(
        f"| of {len(MISTAKES)} | {' | '.join(str(sum(map(bool, column))) for column in found.values())} | {len(MISTAKES)} |"
    )


if __name__ == "__main__":
    main()
