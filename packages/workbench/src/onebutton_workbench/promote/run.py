"""Run a notebook in a fresh kernel while a recorder watches."""

from __future__ import annotations

import ast
import copy
import json
import os
import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import polars as pl

from onebutton_workbench.promote.cells import Cell
from onebutton_workbench.promote.flow import Statement
from onebutton_workbench.promote.refusals import refuse

SECONDS = 1800  # that one cell may take
WATCH = "_onebutton"


@dataclass(frozen=True)
class Notebook:
    """A notebook that was read; `shown` is its path in the repository."""

    path: Path
    shown: str
    cells: Sequence[Cell]
    statements: Sequence[Statement]


@dataclass(frozen=True)
class Seen:
    """What a run showed; the last four where tables were kept."""

    numbers: Mapping[int, float]  # by the candidate for the headline
    kinds: Mapping[int, Mapping[str, str]]  # by statement, what each name held before it
    values: Mapping[int, Mapping[str, Any]] = field(
        default_factory=dict
    )  # the same, of what `recorder.plain` lets through
    files: Mapping[str, int] = field(default_factory=dict)  # of data, that were read, with the statement that first did
    table: Mapping[str, Any] = field(default_factory=dict)  # names of key and answer, types that pandas alone has
    model: Mapping[str, Any] = field(default_factory=dict)  # whose class it is, and which classes it calls
    rows: pl.DataFrame = field(default_factory=pl.DataFrame)  # what goes from ingest to features
    features: pl.DataFrame = field(default_factory=pl.DataFrame)  # key, inputs, answer and `split`


def run(notebook: Notebook, tables: Mapping[int, str | Sequence[str]] | None = None, model: str = "") -> Seen:
    """Run a notebook from the top, in the locked environment, in its own folder; it is not written to.

    Args:
        notebook: what is run.
        tables: what is kept, as `Recorder` takes it.
        model: a name, of which is noted what it is.

    Raises:
        InputError: a cell fails.
    """
    import nbformat
    from nbclient import NotebookClient
    from nbclient.exceptions import CellExecutionError, CellTimeoutError, DeadKernelError

    with tempfile.TemporaryDirectory(prefix="onebutton-promote-") as folder:
        recorder = "from onebutton_workbench.promote.recorder import Recorder"
        start = f"{recorder}\n{WATCH} = Recorder({folder!r}, {dict(tables or {})!r})"
        end = f"{WATCH}.at({len(notebook.statements)}, globals())\n{WATCH}.close(globals(), {model!r})"
        watched = [_watched([one for one in notebook.statements if one.cell is cell]) for cell in notebook.cells]
        v4: Any = nbformat.v4
        page = v4.new_notebook(cells=[v4.new_code_cell(text) for text in (start, *watched, end)])
        where = {"metadata": {"path": str(notebook.path.parent)}}
        client = NotebookClient(page, timeout=SECONDS, kernel_name="python3", resources=where)
        client.extra_arguments = ["--log-level=ERROR"]  # else it speaks of how it is run
        try:
            client.execute(env=os.environ | {"MPLBACKEND": "Agg"})  # plots open no window
        except (CellExecutionError, CellTimeoutError, DeadKernelError) as error:
            at = min(max(client.code_cells_executed - 2, 0), len(notebook.cells) - 1)  # the first is ours
            why = f"{getattr(error, 'ename', type(error).__name__)}: {getattr(error, 'evalue', error)}"
            refuse(notebook.cells[at], "fails", why=why.splitlines()[0][:200])
        notes = json.loads(Path(folder, "notes.json").read_text(encoding="utf-8"))
        notes |= {file.stem: pl.read_parquet(file) for file in Path(folder).glob("*.parquet")}
    for name in ("numbers", "kinds", "values"):
        notes[name] = {int(at): found for at, found in notes[name].items()}
    return Seen(**notes)


def _watched(statements: Sequence[Statement]) -> str:
    """Write a cell anew with a look at all names before each statement, and at each number that may be the headline."""
    body: list[ast.stmt] = []
    for one in statements:
        body += ast.parse(f"{WATCH}.at({one.index}, globals())").body
        body.append(_Numbers().visit(copy.deepcopy(one.node)))
    return ast.unparse(ast.fix_missing_locations(ast.Module(body, [])))


class _Numbers(ast.NodeTransformer):
    """Wraps the expressions that `headline.candidates` marked."""

    def visit(self, node: ast.AST) -> Any:
        """Wrap an expression that is marked."""
        found: Any = self.generic_visit(node)
        if (which := getattr(node, "number", None)) is None:
            return found
        watch = ast.Attribute(ast.Name(WATCH, ast.Load()), "number", ast.Load())
        return ast.Call(watch, [ast.Constant(which), found], [])
