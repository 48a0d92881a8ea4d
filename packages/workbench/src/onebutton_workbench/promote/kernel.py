"""Run a notebook in a process of its own, and note which number it shows, what each name holds, and what draws."""

import ast
import os
import signal
import sys
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from multiprocessing import get_context
from multiprocessing.connection import Connection
from numbers import Integral, Real
from pathlib import Path
from types import ModuleType
from typing import Any, cast

import numpy as np
import polars as pl

from onebutton_workbench.promote.notebook import Statement, calls

NOTE = "_onebutton_note"  # what a noted expression is handed to


@dataclass
class Seen:
    """What a run showed; from `rows` on what `Plan.keep` keeps."""

    now: int = 0  # the statement that runs, or failed
    failed: str = ""  # why
    numbers: dict[tuple[int, str], float] = field(default_factory=dict)  # by statement and expression
    held: dict[int, Mapping[str, Any]] = field(default_factory=dict)  # by statement, what each name held before it
    draws: set[int] = field(default_factory=set)  # statements that drew from the generator that all share
    rows: pl.DataFrame = field(default_factory=pl.DataFrame)  # what goes from ingest to features
    features: pl.DataFrame = field(default_factory=pl.DataFrame)  # key, inputs, answer and `split`
    types: Mapping[str, str] = field(default_factory=dict)  # of rows, where pandas has others than a contract
    input_types: Mapping[str, str] = field(default_factory=dict)  # the same of features
    answer: str = ""
    key: str = ""
    classes: Sequence[Any] = ()  # that the model tells apart

    def note(self, text: str, value: Any) -> Any:
        """Note a number that the notebook shows, and hand it back."""
        if isinstance(value, Real) and not isinstance(value, Integral):
            self.numbers[self.now, text] = float(value)
        return value


def run(path: Path, statements: Sequence[Statement], keep: Callable[..., None] | None = None) -> Seen:
    """Run a notebook from the top in its own folder, where it is not written to, or refuse the cell that fails.

    `keep` is called before each statement, with what was seen and what each name holds.
    """
    context = get_context("spawn")
    notes, told = context.Pipe(duplex=False)
    process = context.Process(target=_run, args=(path.parent, statements, keep, told))
    process.start()
    told.close()
    seen = Seen(len(statements) - 1, "its process ended")
    try:
        with suppress(EOFError):
            seen = notes.recv()
    finally:
        with suppress(ProcessLookupError):  # with what it started: joblib's workers would stay for minutes
            os.killpg(process.pid, signal.SIGTERM)  # type: ignore[arg-type]  # which it has since it was started
        process.join()
    statements[seen.now].cell.require(not seen.failed, "fails", why=seen.failed)
    return seen


def _run(folder: Path, statements: Sequence[Statement], keep: Callable[..., None] | None, told: Connection) -> None:
    """Run it in this process, which has nothing else to do, as a module of its own."""
    os.setpgrp()
    os.chdir(folder)
    os.environ["MPLBACKEND"] = "Agg"  # plots open no window
    for stream in (1, 2):
        os.dup2(os.open(os.devnull, os.O_WRONLY), stream)
    seen, module = Seen(), ModuleType("__main__")
    sys.modules["__main__"] = module
    names = module.__dict__
    names.update({NOTE: seen.note, "display": print})
    try:
        for one in statements:
            seen.now = one.index
            seen.held[one.index] = {name: kind(value) for name, value in names.items()}
            if keep:
                keep(seen, names)
            generator = str(np.random.get_state())  # noqa: NPY002  of all that is given no seed
            exec(compile(_noted(one), str(one.cell), "exec"), names)  # noqa: S102  what a notebook is
            if generator != str(np.random.get_state()):  # noqa: NPY002
                seen.draws.add(one.index)
    except (Exception, SystemExit) as error:  # noqa: BLE001  whatever a notebook raises
        seen.failed = f"{type(error).__name__}: {error}".splitlines()[0][:200]
    told.send(seen)


class _Noted(ast.NodeTransformer):
    """Hands each part of an expression, with its text, to `NOTE`, which returns it; but nothing that was rounded."""

    def visit(self, node: ast.AST) -> Any:
        is_value = isinstance(node, ast.Call | ast.Name | ast.Attribute | ast.Subscript | ast.BinOp | ast.IfExp)
        is_set = isinstance(getattr(node, "ctx", None), ast.Store)
        if not is_value or is_set or (isinstance(node, ast.Call) and calls(node)[node] == "round"):
            return self.generic_visit(node)
        text, value = ast.Constant(ast.unparse(node)), cast("ast.expr", self.generic_visit(node))
        return ast.Call(ast.Name(NOTE, ast.Load()), [text, value], [])


def _noted(one: Statement) -> ast.Module:
    """Return a statement such that the numbers which it shows, or gives one name, are noted where it runs."""
    module = ast.parse(ast.unparse(one.node))
    match module.body[0]:
        case ast.Assign([ast.Name()]) | ast.Expr() as node if one.shows or isinstance(node, ast.Assign):
            node.value = _Noted().visit(node.value)
    return ast.fix_missing_locations(module)


def kind(value: Any) -> Any:
    """Say what a value is, in the few words that a plan needs, else by its class; a list of names is what they are."""
    name = type(value).__name__
    if name in {"Index", "list", "tuple"} and all(isinstance(one, str) for one in value):
        return [*value]
    if name == "DataFrame":
        return "table" if type(value).__module__.startswith("pandas") else "polars"
    if name == "Series" or (name == "ndarray" and value.ndim == 1):
        return "column"
    return "array" if name == "ndarray" else name
