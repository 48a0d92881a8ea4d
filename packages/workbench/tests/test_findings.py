"""With JSON=1 a button's words come as one document, for programs."""

import json
import os
import subprocess
from typing import Any

import pytest

from onebutton_workbench.findings import Finding, document
from onebutton_workbench.workspace import ROOT

OURS = str(Finding("OB103", "dvc.yaml:3", "stage 'card' goes stale", "`make format`"))
LINT = f"""lint: failed: mistakes in code (ruff)
    E402 Module level import not at top of file
      --> packages/a/b.py:66:1
       |

    F401 [*] `os` imported but unused
      --> packages/a/b.py:67:8
    mend: make format, or the line

lint: failed: what rules of this repository refuse (python)
    {OURS.replace(chr(10), chr(10) + "    ")}
    mend: as it says

lint: failed: layout of the Makefile (mbake)
    Makefile would be laid out otherwise
    mend: make format

lint: NOT RUN: spelling (typos)
    typos is not installed; `make setup` brings it
    mend: the word

lint: 4 of 23 checks are not passed (1.0 s)
"""


def told(button: str, status: int, said: str) -> list[tuple[Any, ...]]:
    found = json.loads(document(button, status, said))
    assert (found["button"], found["passed"]) == (f"make {button}", status == 0)
    return [tuple(one[key] for key in ("id", "file", "line", "words", "mend", "result")) for one in found["findings"]]


def test_what_lint_says_is_one_finding_a_line_with_its_place_and_mend() -> None:
    code = "make format, or the line"
    assert told("lint", 1, LINT) == [
        ("E402", "packages/a/b.py", 66, "Module level import not at top of file", code, "failed"),
        ("F401", "packages/a/b.py", 67, "`os` imported but unused", code, "failed"),
        ("OB103", "dvc.yaml", 3, "stage 'card' goes stale.", "`make format`", "failed"),
        ("layout of the Makefile (mbake)", "", 0, "Makefile would be laid out otherwise", "make format", "failed"),
        ("spelling (typos)", "", 0, "typos is not installed; `make setup` brings it", "the word", "NOT RUN"),
    ]


@pytest.mark.parametrize(
    ("button", "said", "found"),
    [
        ("types", "a/b.py:6: error: Wrong type  [assignment]\n", ("assignment", "a/b.py", 6, "Wrong type")),
        (
            "test",
            "FAILED a/test_b.py::test_c - assert 1 == 2\n",
            ("FAILED", "a/test_b.py", 0, "test_c - assert 1 == 2"),
        ),
        ("status", OURS, ("OB103", "dvc.yaml", 3, "stage 'card' goes stale.")),
        (
            "gates",
            "churn. Ask: us\n  passed   calibration   fine\n  failed   auc-overall   AUC 0.5, must be\n"
            + 25 * " "
            + "0.9\n",
            ("auc-overall", "pipelines/churn/gates.toml", 0, "AUC 0.5, must be 0.9"),
        ),
        ("ruler", "  weaker    Makefile:8    recipe: a -> b\n", ("weaker", "Makefile", 8, "recipe: a -> b")),
    ],
)
def test_every_button_has_findings_of_one_form(button: str, said: str, found: tuple[Any, ...]) -> None:
    assert [one[:4] for one in told(button, 1, said)] == [found]


def test_what_stops_nobody_is_told_and_what_did_not_run_says_so() -> None:
    said = "churn, a draft.\n  failed   auc   too low\n  NOT RUN  latency   no server\n"
    assert [one[0::5] for one in told("gates", 0, said)] == [("auc", "told"), ("latency", "NOT RUN")]


def test_the_next_button_is_named() -> None:
    assert json.loads(document("lint", 0, "lint: 3 checks found nothing. Next: make types\n"))["next"] == "make types"
    assert json.loads(document("lint", 1, "lint: 1 of 3\n"))["next"] == "mend them, then make lint"


def test_the_document_stands_alone_on_stdout_and_the_status_is_the_buttons() -> None:
    environment = {**os.environ, "BUTTON_JSON": "1", "BUTTON_MEMBER": "nobody"}
    command = ["onebutton", "test"]
    done = subprocess.run(command, cwd=ROOT, env=environment, capture_output=True, text=True, check=False)
    assert done.returncode == 1
    assert json.loads(done.stdout)["said"].startswith("test: there is no member 'nobody'")
