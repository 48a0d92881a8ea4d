from __future__ import annotations

import json

import pytest

from onebutton_workbench.checks.pickle_rules import cells, check_all, doors
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


def test_a_cell_that_is_no_python_is_read_line_by_line() -> None:
    source = ["%matplotlib inline\n", "df.head()?\n", "for _ in range(2):\n", "    df.to_pickle('x')\n"]
    of_one_text = "df.to_pickle('x')"  # as other programs write it
    found = [{"cell_type": "markdown", "source": ["to_pickle"]}]
    found += [{"cell_type": "code", "source": one} for one in (source, of_one_text)]
    read = cells(json.dumps({"cells": found}))
    assert [list(doors(cell)) for cell in read] == [[(4, "`to_pickle`")], [(1, "`to_pickle`")]]


def test_a_notebook_with_a_conflict_in_it_is_read_all_the_same() -> None:
    assert [door for one in cells("<<<<<<< ours\n{\n>>>>>>> theirs\npd.read_pickle('x')\n") for door in doors(one)] == [
        (4, "`read_pickle`"),
    ]


def test_no_file_of_this_repository_opens_one() -> None:
    assert list(check_all(ROOT)) == []
