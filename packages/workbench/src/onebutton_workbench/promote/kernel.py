"""Run a notebook in a process of its own, and note which number it reaches, what each name holds, which files it reads."""

from __future__ import annotations

import ast
import os
import signal
import sys
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from multiprocessing import get_context
from multiprocessing.connection import Connection
from pathlib import Path
from types import ModuleType
from typing import Any

import polars as pl

from onebutton_contracts.frames import changed_types, from_pandas
from onebutton_evaluation.splits import as_split
from onebutton_workbench.promote.notebook import Statement, refuse

SUFFIXES = (".csv", ".csv.gz", ".tsv", ".txt", ".parquet", ".json", ".jsonl", ".feather", ".xlsx", ".arff", ".arff.gz")
MOST = 300  # texts of a list that is written down
WATCH = "_onebutton"


@dataclass(frozen=True)
class Notebook:
    """A notebook that was read; `shown` is its path in the repository."""

    path: Path
    shown: str
    statements: Sequence[Statement]


@dataclass
class Seen:
    """What a run showed, noted while it ran; the last three where tables were kept."""

    now: int = -1  # the statement that runs, or failed
    failed: str = ""  # why
    numbers: dict[int, float] = field(default_factory=dict)  # by the candidate for the headline
    kinds: dict[int, Mapping[str, str]] = field(default_factory=dict)  # by statement, what each name held before it
    # the same, of texts, whole numbers, lists of them
    values: dict[int, Mapping[str, Any]] = field(default_factory=dict)
    files: dict[str, int] = field(default_factory=dict)  # of data, that were read, with the statement that first did
    facts: dict[str, Any] = field(default_factory=dict)  # of the tables and the model
    rows: pl.DataFrame = field(default_factory=pl.DataFrame)  # what goes from ingest to features
    features: pl.DataFrame = field(default_factory=pl.DataFrame)  # key, inputs, answer and `split`

    def opened(self, event: str, arguments: tuple[Any, ...]) -> None:
        """Note a file of data that is read; Python calls it on all that it audits."""
        if event == "open" and isinstance(arguments[0], str | os.PathLike):
            name, mode = str(os.fspath(arguments[0])), arguments[1]
            if name.endswith(SUFFIXES) and (mode is None or "r" in mode) and Path(name).is_file():
                self.files.setdefault(name, self.now)

    def number(self, which: int, value: Any) -> Any:
        """Note a number that the notebook shows, and hand it back."""
        if kind(value) == "number" and not isinstance(value, int):
            self.numbers[which] = float(value)
        return value

    def before(self, statement: int, namespace: Mapping[str, Any], kept: Sequence[str]) -> None:
        """Note what each name holds before a statement runs, and keep the rows, or inputs and answers by the split."""
        self.now = statement
        named = {name: value for name, value in namespace.items() if not name.startswith("_")}
        self.kinds[statement] = {name: kind(value) for name, value in named.items()}
        known = {name: plain(value) for name, value in named.items()}
        self.values[statement] = {name: value for name, value in known.items() if value is not None}
        if len(kept) == 1:
            rows = named[kept[0]]
            self.rows = from_pandas(rows)
            self.facts["types"] = changed_types(rows, self.rows)
            rows.reset_index(drop=True, inplace=True)  # as it comes to the next stage
        elif kept:
            self._keep_sides(*(named[name] for name in kept))

    def _keep_sides(self, inputs: Any, answers: Any, *held_out: Any) -> None:
        name = str(getattr(answers, "name", None) or "")
        answer = name if name and name not in inputs.columns else "answer"
        key = next(one for one in ("row", "row_number", "row_of_table") if one not in {*inputs.columns, answer})
        self.features = as_split(inputs, answers, *held_out, answer=answer, key=key)
        frame = inputs.assign(**{answer: getattr(answers, "array", answers)})
        types = changed_types(frame, from_pandas(frame))
        if types.get(answer) in {"object", "bool"}:
            del types[answer]
        self.facts |= {"answer": answer, "key": key, "input_types": types}


def run(notebook: Notebook, tables: Mapping[int, Sequence[str]] | None = None, model: str = "") -> Seen:
    """Run a notebook from the top, in the locked environment, in its own folder; it is not written to.

    Args:
        notebook: what is run.
        tables: before which statement which are kept: the name of the rows; those of inputs and answers, by the split.
        model: the name of what is noted which classes it calls.

    Raises:
        InputError: a cell fails.
    """
    context = get_context("spawn")
    notes, told = context.Pipe(duplex=False)
    process = context.Process(target=_run, args=(notebook, tables or {}, model, told))
    process.start()
    told.close()
    try:
        seen: Seen = notes.recv()
    except EOFError:
        refuse(notebook.statements[-1].cell, "fails", why="its process ended")
    finally:
        if process.pid:
            with suppress(ProcessLookupError):
                os.killpg(process.pid, signal.SIGTERM)  # with what it started: joblib's workers would stay for minutes
        process.join()
    if seen.failed:
        refuse(notebook.statements[seen.now].cell, "fails", why=seen.failed)
    return seen


def _run(notebook: Notebook, tables: Mapping[int, Sequence[str]], model: str, told: Connection) -> None:
    """Run it in this process, which has nothing else to do, as a module of its own."""
    os.setpgrp()
    os.chdir(notebook.path.parent)
    os.environ["MPLBACKEND"] = "Agg"  # plots open no window
    for stream in (1, 2):
        os.dup2(os.open(os.devnull, os.O_WRONLY), stream)
    seen, module = Seen(), ModuleType("__main__")
    sys.modules["__main__"] = module
    sys.addaudithook(seen.opened)
    names = module.__dict__
    names.update({WATCH: seen, "display": print})
    try:
        for one in notebook.statements:
            seen.before(one.index, names, tables.get(one.index, ()))
            tree = ast.fix_missing_locations(ast.Module([_Numbers().visit(one.node)], []))
            exec(compile(tree, str(one.cell), "exec"), names)  # noqa: S102  what a notebook is
        if model:
            classes = getattr(names[model], "classes_", ())
            seen.facts["classes"] = [one.item() if hasattr(one, "item") else one for one in classes]
    except (Exception, SystemExit) as error:  # noqa: BLE001  whatever a notebook raises
        seen.failed = f"{type(error).__name__}: {error}".splitlines()[0][:200]
    told.send(seen)


class _Numbers(ast.NodeTransformer):
    """Wraps the expressions that `headline.candidates` marked, so that their numbers are noted."""

    def visit(self, node: ast.AST) -> Any:
        found: Any = self.generic_visit(node)
        if (which := getattr(node, "number", None)) is None:
            return found
        watch = ast.Attribute(ast.Name(WATCH, ast.Load()), "number", ast.Load())
        return ast.Call(watch, [ast.Constant(which), found], [])


def kind(value: Any) -> str:
    """Name what a value is, in the few words that a plan needs, else by its class."""
    name = type(value).__name__
    if name == "DataFrame":
        return "table" if type(value).__module__.startswith("pandas") else "polars"
    if name == "Series" or (name == "ndarray" and value.ndim == 1):
        return "column"
    if isinstance(value, int | float) or (hasattr(value, "dtype") and getattr(value, "ndim", 1) == 0):
        return "number"
    return "array" if name == "ndarray" else name


def plain(value: Any) -> Any:
    """Return texts, whole numbers and lists of them, which can be written into a stage; nothing of all else."""
    if isinstance(value, str | int):
        return value
    if type(value).__name__ in {"Index", "list", "tuple"} and len(value) <= MOST:
        return [*value] if all(isinstance(one, str | int) for one in value) else None
    return None
