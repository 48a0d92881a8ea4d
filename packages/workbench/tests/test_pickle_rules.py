"""What opens a pickle without an import is found; `<cut>` keeps this very file from being such."""

import json

import pytest

from onebutton_workbench.checks.rules import RULES
from onebutton_workbench.checks.text_rules import check_pickles
from onebutton_workbench.files import read_texts
from onebutton_workbench.git import listed
from onebutton_workbench.workspace import ROOT


def found(path: str, text: str) -> list[tuple[str, str]]:
    return [(one.place, one.words.split("`")[1]) for one in check_pickles(path, text.replace("<cut>", ""))]


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
def test_a_door_to_a_pickle_is_found_with_its_line(source: str, line: int) -> None:
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
def test_what_opens_none_is_let_go(source: str) -> None:
    assert found("code.py", source) == []


def test_a_notebook_is_read_line_by_line_whatever_else_stands_in_a_cell_or_in_the_file() -> None:
    source = ["%matplotlib inline\n", "df.head()?\n", "for _ in range(2):\n", "    df.<cut>to_pickle('x')\n"]
    safe = "numpy.load('x', allow_pickle=False)"
    cells = [[*source], [f'import_module(<cut>"pickle"); {safe}'], [f"{safe}; numpy.load('x', allow_pickle<cut>=True)"]]
    page = json.dumps({"cells": [{"cell_type": "code", "source": one} for one in cells]}, indent=1)
    doors = [door for _, door in found("a.ipynb", f"<<<<<<< ours\n{page}\n>>>>>>> theirs\n")]
    assert doors == ["to_pickle", 'import_module(\\"pickle', "allow_pickle"]


def test_no_file_of_this_repository_opens_one() -> None:
    texts = read_texts(ROOT, listed(ROOT, *RULES[check_pickles]))
    assert len(texts) > 100
    assert [str(one) for path, text in texts.items() for one in check_pickles(path, text)] == []
