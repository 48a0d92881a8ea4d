from __future__ import annotations

import json

import pytest

from onebutton_workbench.checks.pickle_rules import check_all, doors, doors_of_notebook
from onebutton_workbench.workspace import ROOT


@pytest.mark.parametrize(
    ("source", "line"),
    [
        ("import numpy as n\n\nn.load('x', allow_pickle=True)", 3),
        ("def read(flag):\n    return load('x', allow_pickle=flag)", 2),
        ("from pandas import DataFrame as D\nD().to_pickle('x')", 2),
        ("frame = pd.read_pickle('x')", 1),
        ("__import__('joblib')", 1),
        ("import importlib\nimportlib.import_module('pickle')", 2),
    ],
)
def test_a_door_to_a_pickle_is_found_with_its_line(source: str, line: int) -> None:
    ((where, _),) = doors(source)
    assert where == line


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
    assert list(doors(source)) == []


def test_a_notebook_is_read_line_by_line_whatever_else_stands_in_a_cell_or_in_the_file() -> None:
    source = ["%matplotlib inline\n", "df.head()?\n", "for _ in range(2):\n", "    df.to_pickle('x')\n"]
    one_text = "import_module('pickle'); numpy.load('x', allow_pickle=False); numpy.load('x', allow_pickle = True)"
    page = json.dumps({"cells": [{"cell_type": "code", "source": one} for one in (source, one_text)]}, indent=1)
    found = [door for _, door in doors_of_notebook(f"<<<<<<< ours\n{page}\n>>>>>>> theirs\n")]
    assert found == [".to_pickle", "import_module('pickle"]
    assert list(doors_of_notebook("\"numpy.load('x', allow_pickle=True)\"")) == [(1, "allow_pickle=")]


def test_no_file_of_this_repository_opens_one() -> None:
    assert list(check_all(ROOT)) == []
