"""Refuse pickles that come in by a door that no import shows: reading one runs the code in it. Ruff refuses the imports.

| id | rule |
|---|---|
| OB422 | no library is told to read or write a pickle, in code or in a notebook |
"""

from __future__ import annotations

import ast
import json
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
MEND = "write parquet, or `numpy.save` without objects; a model becomes ONNX"


def doors(source: str) -> Iterator[tuple[int, str]]:
    """Find, with its line, what opens a pickle in a source; one that is no Python, as with `%time` in a cell, line by line."""
    try:
        tree = ast.parse(source)
    except (SyntaxError, ValueError):
        lines = source.splitlines()
        for number, line in enumerate(lines, 1) if len(lines) > 1 else ():
            yield from ((number, door) for _, door in doors(line.strip()))
        return
    for node in ast.walk(tree):
        if isinstance(node, ast.keyword) and node.arg == "allow_pickle" and not _is(node.value, {False}):
            yield node.value.lineno, "`allow_pickle`"
        elif isinstance(node, ast.Attribute) and node.attr in METHODS:
            yield node.lineno, f"`{node.attr}`"
        elif isinstance(node, ast.Call) and node.args and _is(node.args[0], MODULES) and name_of(node.func) in BY_NAME:
            yield node.lineno, f"`{ast.unparse(node)}`"


def _is(node: ast.expr, values: set[str] | set[bool]) -> bool:
    return isinstance(node, ast.Constant) and node.value in values


def cells(notebook: str) -> list[str]:
    """Read the code cells of a notebook; what is none, as after a conflict, is read as one source."""
    try:
        return ["".join(cell["source"]) for cell in json.loads(notebook)["cells"] if cell["cell_type"] == "code"]
    except (ValueError, LookupError, TypeError):
        return [notebook]


def check_all(root: Path = ROOT) -> Iterator[Finding]:
    """Look into all code and every notebook."""
    for file, text in read_texts(root, listed(root, "*.py", "*.ipynb")).items():
        parts = enumerate(cells(text), 1) if file.endswith(".ipynb") else [(0, text)]
        for cell, source in parts:
            for line, door in doors(source):
                place = f"{file}:{line}" if not cell else f"{file}: cell {cell}, line {line}"
                yield Finding("OB422", place, f"{door} opens a pickle, and reading one runs the code in it", MEND)


if __name__ == "__main__":
    hold(check_all, "no library is told to read or write a pickle")
