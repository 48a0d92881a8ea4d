"""What opens a pickle without an import is found; `<cut>` keeps this very file from being such."""

import json
from pathlib import Path
from typing import Any

import pytest

from onebutton_workbench.checks.text_rules import check_pickles
from onebutton_workbench.workspace import ROOT


@pytest.fixture
def found(tmp_path: Path, shell: Any) -> Any:
    shell("git", "init", "--quiet", folder=tmp_path)

    def find(name: str, text: str) -> list[tuple[str, str]]:
        (tmp_path / name).write_text(text.replace("<cut>", ""), encoding="utf-8")
        return [(one.place, one.words.split("`")[1]) for one in check_pickles(tmp_path)]

    return find


@pytest.mark.parametrize(
    ("source", "line"),
    [
        ("import numpy as n\n\nn.load('x', allow_pickle<cut>=True)", 3),
        ("def read(flag):\n    return load('x', allow_pickle<cut> = flag)", 2),
        ("from pandas import DataFrame as D\nD().<cut>to_pickle('x')", 2),
        ("frame = pd.<cut>read_pickle('x')", 1),
        ("__import__(<cut>'joblib')", 1),
        ("import importlib\nimportlib.import_module(<cut>'pickle')", 2),
    ],
)
def test_a_door_to_a_pickle_is_found_with_its_line(found: Any, source: str, line: int) -> None:
    assert [place for place, _ in found("code.py", source)] == [f"code.py:{line}"]


@pytest.mark.parametrize(
    "source",
    [
        "numpy.load('x', allow_pickle=False)",
        "pd.read_parquet('x')",
        "importlib.import_module('json')",
        "text = 'a jar of pickle'",
        "this is no Python",
    ],
)
def test_what_opens_none_is_let_go(found: Any, source: str) -> None:
    assert found("code.py", source) == []


def test_a_notebook_is_read_line_by_line_whatever_else_stands_in_a_cell_or_in_the_file(found: Any) -> None:
    source = ["%matplotlib inline\n", "df.head()?\n", "for _ in range(2):\n", "    df.<cut>to_pickle('x')\n"]
    safe = "numpy.load('x', allow_pickle=False)"
    cells = [[*source], [f'import_module(<cut>"pickle"); {safe}'], [f"{safe}; numpy.load('x', allow_pickle<cut>=True)"]]
    page = json.dumps({"cells": [{"cell_type": "code", "source": one} for one in cells]}, indent=1)
    doors = [door for _, door in found("a.ipynb", f"<<<<<<< ours\n{page}\n>>>>>>> theirs\n")]
    assert doors == ["to_pickle", 'import_module(\\"pickle', "allow_pickle"]


def test_no_file_of_this_repository_opens_one() -> None:
    assert list(check_pickles(ROOT)) == []
