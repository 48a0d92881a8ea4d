"""Refuse pickles that come in by a door that no import shows: reading one runs the code in it. Ruff refuses the imports.

| id | rule |
|---|---|
| OB422 | no library is told to read or write a pickle, in code or in a notebook |
"""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from pathlib import Path

from onebutton_workbench.checks.rules import hold
from onebutton_workbench.files import read_texts
from onebutton_workbench.findings import Finding
from onebutton_workbench.git import listed
from onebutton_workbench.lineage.imports import name_of
from onebutton_workbench.workspace import ROOT

METHODS = {"read_pickle", "to_pickle"}  # of pandas, whatever the frame is called
BY_NAME = {"__import__", "import_module"}
MODULES = {"pickle", "_pickle", "joblib", "dill", "cloudpickle", "shelve", "jsonpickle"}
IN_CELL = re.compile(
    rf"allow_pickle *=(?! *False)|\.({'|'.join(METHODS)})\b|({'|'.join(BY_NAME)})\(.{{1,2}}({'|'.join(MODULES)})\b"
)
MEND = "write parquet, or `numpy.save` without objects; a model becomes ONNX"


def doors(source: str) -> Iterator[tuple[int, str]]:
    """Find, with its line, what opens a pickle in a module; of one that is no Python ruff says so."""
    try:
        tree = ast.parse(source)
    except (SyntaxError, ValueError):
        return
    for node in ast.walk(tree):
        match node:
            case ast.keyword(arg="allow_pickle", value=value) if getattr(value, "value", True) is not False:
                yield value.lineno, "allow_pickle"
            case ast.Attribute(attr=name) if name in METHODS:
                yield node.lineno, name
            case ast.Call(args=[ast.Constant(value=str(name)), *_]) if (
                name in MODULES and name_of(node.func) in BY_NAME
            ):
                yield node.lineno, ast.unparse(node)


def doors_of_notebook(text: str) -> Iterator[tuple[int, str]]:
    """Find the same in a notebook, line by line: its cells may hold more than Python, and the file a conflict."""
    for number, line in enumerate(text.splitlines(), 1):
        if found := IN_CELL.search(line):
            yield number, found[0]


def check_all(root: Path = ROOT) -> Iterator[Finding]:
    """Look into all code and every notebook."""
    for file, text in read_texts(root, listed(root, "*.py", "*.ipynb")).items():
        for line, door in doors_of_notebook(text) if file.endswith(".ipynb") else doors(text):
            words = f"`{door}` opens a pickle, and reading one runs the code in it"
            yield Finding("OB422", f"{file}:{line}", words, MEND)


if __name__ == "__main__":
    hold(check_all, "no library is told to read or write a pickle")
