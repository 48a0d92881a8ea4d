"""Run a notebook in a process of its own, and note which number it shows, what each name holds, and what draws."""

from __future__ import annotations

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

from onebutton_workbench.promote.notebook import Statement, called, refuse

NOTE = "_onebutton_note"  # what a noted expression is handed to


@dataclass
class Seen:
    """What a run showed; from `rows` on what `Plan.keep` keeps."""

    now: int = 0  # the statement that runs, or failed
    failed: str = ""  # why
    numbers: dict[tuple[int, str], float] = field(default_factory=dict)  # by statement and expression
    kinds: dict[int, Mapping[str, str]] = field(default_factory=dict)  # by statement, what each name held before it
    lists: dict[int, Mapping[str, list[str]]] = field(default_factory=dict)  # the same, of lists of names
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


Keep = Callable[[Seen, Mapping[str, Any]], None]


def run(path: Path, statements: Sequence[Statement], keep: Keep | None = None) -> Seen:
    """Run a notebook from the top, in the locked environment, in its own folder; it is not written to.

    `keep` is called before each statement, with what was seen and what each name holds.

    Raises:
        InputError: a cell fails.
    """
    context = get_context("spawn")
    notes, told = context.Pipe(duplex=False)
    process = context.Process(target=_run, args=(path.parent, statements, keep, told))
    process.start()
    told.close()
    try:
        seen: Seen = notes.recv()
    except EOFError:
        refuse(statements[-1].cell, "fails", why="its process ended")
    finally:
        if process.pid:
            with suppress(ProcessLookupError):
                os.killpg(process.pid, signal.SIGTERM)  # with what it started: joblib's workers would stay for minutes
        process.join()
    if seen.failed:
        refuse(statements[seen.now].cell, "fails", why=seen.failed)
    return seen


def _run(folder: Path, statements: Sequence[Statement], keep: Keep | None, told: Connection) -> None:
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
            seen.kinds[one.index] = {name: kind(value) for name, value in names.items()}
            seen.lists[one.index] = {name: found for name, value in names.items() if (found := names_of(value))}
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
        if not is_value or is_set or (isinstance(node, ast.Call) and called(node) == "round"):
            return self.generic_visit(node)
        text, value = ast.Constant(ast.unparse(node)), cast("ast.expr", self.generic_visit(node))
        return ast.Call(ast.Name(NOTE, ast.Load()), [text, value], [])


def _noted(one: Statement) -> ast.Module:
    """Return a statement such that the numbers which it shows, or gives one name, are noted where it runs."""
    node = ast.parse(ast.unparse(one.node)).body[0]
    if one.shows or (isinstance(node, ast.Assign) and isinstance(node.targets[0], ast.Name)):
        node.value = _Noted().visit(node.value)  # type: ignore[attr-defined]
    return ast.fix_missing_locations(ast.Module([node], []))


def kind(value: Any) -> str:
    """Name what a value is, in the few words that a plan needs, else by its class."""
    name = type(value).__name__
    if name == "DataFrame":
        return "table" if type(value).__module__.startswith("pandas") else "polars"
    if name == "Series" or (name == "ndarray" and value.ndim == 1):
        return "column"
    return "array" if name == "ndarray" else name


def names_of(value: Any) -> list[str]:
    """Return the texts of a list or of a table's columns, such as those that hold numbers; none of any other value."""
    is_list = type(value).__name__ in {"Index", "list", "tuple"}
    return [*value] if is_list and all(isinstance(one, str) for one in value) else []
