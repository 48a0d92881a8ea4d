"""Run a notebook in a fresh kernel while a recorder watches."""

from __future__ import annotations

import ast
import copy
import json
import os
import tempfile
from collections.abc import Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from onebutton_workbench.promote.cells import Cell
from onebutton_workbench.promote.flow import Statement
from onebutton_workbench.promote.refusals import refuse

SECONDS = 1800  # that one cell may take
WATCH = "_onebutton"


@dataclass(frozen=True)
class Seen:
    """What a run showed.

    Attributes:
        numbers: by the candidate for the headline.
        kinds: by statement, what each name held before it.
        values: the same, of short texts, whole numbers and lists of them.
        tables: what is known of each table that was kept.
        files: of data, that were read, with the statement that first did.
        model: whether it calls classes, which, and whose class it is.
    """

    numbers: Mapping[int, float]
    kinds: Mapping[int, Mapping[str, str]]
    values: Mapping[int, Mapping[str, Any]] = field(default_factory=dict)
    tables: Mapping[str, Any] = field(default_factory=dict)
    files: Mapping[str, int] = field(default_factory=dict)
    model: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True)
class Read:
    """A notebook that was read; and what its last run showed.

    Attributes:
        shown: its path in the repository.
        tables: the folder with the tables that were kept.
    """

    path: Path
    shown: str
    cells: Sequence[Cell]
    statements: Sequence[Statement]
    seen: Seen = field(default_factory=lambda: Seen({}, {}))
    tables: Path = Path()


def run(read: Read, stack: ExitStack, kept: Mapping[int, Sequence[str]] | None = None, model: str = "") -> Read:
    """Run a notebook from the top, in the locked environment, in its own folder; it is not written to.

    Args:
        read: the notebook.
        stack: closes behind the caller, and takes what the run wrote away.
        kept: before which statement which tables are written down.
        model: a name, of which is noted what it is.

    Raises:
        InputError: a cell fails.
    """
    import nbformat
    from nbclient import NotebookClient
    from nbclient.exceptions import CellExecutionError, CellTimeoutError, DeadKernelError

    folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="onebutton-promote-")))
    recorder = "from onebutton_workbench.promote.recorder import Recorder"
    start = f"{recorder}\n{WATCH} = Recorder({str(folder)!r}, {dict(kept or {})!r})"
    end = f"{WATCH}.at({len(read.statements)}, globals())\n{WATCH}.close(globals(), {model!r})"
    watched = [_watched([one for one in read.statements if one.cell is cell]) for cell in read.cells]
    v4: Any = nbformat.v4
    page = v4.new_notebook(cells=[v4.new_code_cell(text) for text in (start, *watched, end)])
    where = {"metadata": {"path": str(read.path.parent)}}
    client = NotebookClient(page, timeout=SECONDS, kernel_name="python3", resources=where)
    client.extra_arguments = ["--log-level=ERROR"]  # else it speaks of how it is run
    try:
        client.execute(env=os.environ | {"MPLBACKEND": "Agg"})  # plots open no window
    except (CellExecutionError, CellTimeoutError, DeadKernelError) as error:
        at = min(max(client.code_cells_executed - 2, 0), len(read.cells) - 1)  # the first is ours
        why = f"{getattr(error, 'ename', type(error).__name__)}: {getattr(error, 'evalue', error)}"
        refuse(read.cells[at], "fails", why=why.splitlines()[0][:200])
    notes = json.loads((folder / "notes.json").read_text(encoding="utf-8"))
    for name in ("numbers", "kinds", "values"):
        notes[name] = {int(at): found for at, found in notes[name].items()}
    return replace(read, seen=Seen(**notes), tables=folder)


def _watched(statements: Sequence[Statement]) -> str:
    """Write a cell anew with a look at all names before each statement, and at each number that may be the headline."""
    body: list[ast.stmt] = []
    for one in statements:
        body += ast.parse(f"{WATCH}.at({one.index}, globals())").body
        body.append(_Numbers().visit(copy.deepcopy(one.node)))
    return ast.unparse(ast.fix_missing_locations(ast.Module(body, [])))


class _Numbers(ast.NodeTransformer):
    """Wraps what `flow.candidates` marked."""

    def visit(self, node: ast.AST) -> Any:
        """Wrap an expression that is marked."""
        found: Any = self.generic_visit(node)
        if (which := getattr(node, "number", None)) is None:
            return found
        watch = ast.Attribute(ast.Name(WATCH, ast.Load()), "number", ast.Load())
        return ast.Call(watch, [ast.Constant(which), found], [])
