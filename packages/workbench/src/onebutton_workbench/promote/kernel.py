"""Run a notebook in a process of its own, and note which number it reaches, what each name holds, which files it reads."""

from __future__ import annotations

import ast
import copy
import json
import os
import sys
import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from types import ModuleType
from typing import Any

import polars as pl

from onebutton_workbench.environment import call
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


@dataclass(frozen=True)
class Seen:
    """What a run showed; the last three where tables were kept."""

    numbers: Mapping[int, float]  # by the candidate for the headline
    kinds: Mapping[int, Mapping[str, str]]  # by statement, what each name held before it
    values: Mapping[int, Mapping[str, Any]] = field(default_factory=dict)  # the same, of what `plain` lets through
    files: Mapping[str, int] = field(default_factory=dict)  # of data, that were read, with the statement that first did
    facts: Mapping[str, Any] = field(default_factory=dict)  # of the tables and the model
    rows: pl.DataFrame = field(default_factory=pl.DataFrame)  # what goes from ingest to features
    features: pl.DataFrame = field(default_factory=pl.DataFrame)  # key, inputs, answer and `split`


def run(notebook: Notebook, tables: Mapping[int, str | Sequence[str]] | None = None, model: str = "") -> Seen:
    """Run a notebook from the top, in the locked environment, in its own folder; it is not written to.

    Args:
        notebook: what is run.
        tables: before which statement which is kept: the name of the rows; those of inputs and answers, by the split.
        model: the name of what is noted which classes it calls.

    Raises:
        InputError: a cell fails.
    """
    trees = [_Numbers().visit(copy.deepcopy(one.node)) for one in notebook.statements]
    texts = [ast.unparse(ast.fix_missing_locations(tree)) for tree in trees]
    with tempfile.TemporaryDirectory(prefix="onebutton-promote-") as folder:
        Path(folder, "order.json").write_text(json.dumps([texts, tables or {}, model]), encoding="utf-8")
        # plots open no window
        done = call(sys.executable, "-m", __name__, folder, folder=notebook.path.parent, MPLBACKEND="Agg")
        if not Path(folder, "notes.json").is_file():
            refuse(notebook.statements[-1].cell, "fails", why=f"it ended with status {done.returncode}")
        notes = json.loads(Path(folder, "notes.json").read_text(encoding="utf-8"))
        if "failed" in notes:
            refuse(notebook.statements[notes["failed"]].cell, "fails", why=notes["why"])
        notes |= {file.stem: pl.read_parquet(file) for file in Path(folder).glob("*.parquet")}
    by_number = {name: {int(at): one for at, one in notes[name].items()} for name in ("numbers", "kinds", "values")}
    return Seen(**(notes | by_number))


class _Numbers(ast.NodeTransformer):
    """Wraps the expressions that `headline.candidates` marked."""

    def visit(self, node: ast.AST) -> Any:
        """Wrap an expression that is marked."""
        found: Any = self.generic_visit(node)
        if (which := getattr(node, "number", None)) is None:
            return found
        watch = ast.Attribute(ast.Name(WATCH, ast.Load()), "number", ast.Load())
        return ast.Call(watch, [ast.Constant(which), found], [])


class Recorder:
    """Takes notes inside the process of the notebook."""

    def __init__(self, folder: Path, tables: Mapping[str, str | Sequence[str]]) -> None:
        """Begin; `tables` as `run` takes them."""
        self._folder, self._tables, self.now = folder, tables, -1
        self.notes: dict[str, Any] = {"numbers": {}, "kinds": {}, "values": {}, "files": {}, "facts": {}}
        sys.addaudithook(self._opened)

    def _opened(self, event: str, arguments: tuple[Any, ...]) -> None:
        if event == "open" and isinstance(arguments[0], str | os.PathLike):
            name, mode = os.fspath(arguments[0]), arguments[1]
            if str(name).endswith(SUFFIXES) and (mode is None or "r" in mode) and os.path.isfile(name):  # noqa: PTH113
                self.notes["files"].setdefault(str(name), self.now)

    def at(self, statement: int, namespace: Mapping[str, Any]) -> None:
        """Note what each name holds before a statement runs."""
        self.now = statement
        named = {name: value for name, value in namespace.items() if not name.startswith("_")}
        self.notes["kinds"][statement] = {name: kind(value) for name, value in named.items()}
        known = {name: plain(value) for name, value in named.items()}
        self.notes["values"][statement] = {name: value for name, value in known.items() if value is not None}
        kept = self._tables.get(str(statement))
        if isinstance(kept, str):
            self._keep_rows(named[kept])
        elif kept:
            self._keep_sides(*(named[name] for name in kept))

    def number(self, which: int, value: Any) -> Any:
        """Note a number that the notebook shows, and hand it back."""
        if kind(value) == "number" and not isinstance(value, int):
            self.notes["numbers"][which] = float(value)
        return value

    def _keep_rows(self, rows: Any) -> None:
        from onebutton_contracts.pandas_frames import changed_types, from_pandas

        known = from_pandas(rows)
        known.write_parquet(self._folder / "rows.parquet")
        self.notes["facts"]["types"] = changed_types(rows, known)
        rows.reset_index(drop=True, inplace=True)

    def _keep_sides(self, inputs: Any, answers: Any, *held_out: Any) -> None:
        from onebutton_contracts.pandas_frames import changed_types, from_pandas
        from onebutton_evaluation.splits import as_split

        name = str(getattr(answers, "name", None) or "")
        answer = name if name and name not in inputs.columns else "answer"
        key = next(one for one in ("row", "row_number", "row_of_table") if one not in {*inputs.columns, answer})
        as_split(inputs, answers, *held_out, answer=answer, key=key).write_parquet(self._folder / "features.parquet")
        frame = inputs.assign(**{answer: getattr(answers, "array", answers)})
        types = changed_types(frame, from_pandas(frame))
        if types.get(answer) in {"object", "bool"}:
            del types[answer]
        self.notes["facts"] |= {"answer": answer, "key": key, "input_types": types}


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
    """Return texts, whole numbers and lists of them as JSON has them; nothing of all else."""
    if isinstance(value, str | int):
        return value
    if type(value).__name__ in {"Index", "list", "tuple"} and len(value) <= MOST:
        return [*value] if all(isinstance(one, str | int) for one in value) else None
    return None


def main(folder: Path) -> None:
    """Run the statements that `run` wrote down, as a module of their own, and write the notes."""
    texts, tables, model = json.loads((folder / "order.json").read_text(encoding="utf-8"))
    recorder, module = Recorder(folder, tables), ModuleType("__main__")
    module.__dict__.update({WATCH: recorder, "display": print})
    sys.modules["__main__"] = module
    try:
        for at, text in enumerate(texts):
            recorder.at(at, module.__dict__)
            exec(compile(text, f"<statement {at}>", "exec"), module.__dict__)  # noqa: S102  what a notebook is
        recorder.at(len(texts), module.__dict__)
    except (Exception, SystemExit) as error:  # noqa: BLE001  whatever a notebook raises
        why = f"{type(error).__name__}: {error}".splitlines()[0][:200]
        recorder.notes |= {"failed": recorder.now, "why": why}
    else:
        if model:
            fitted = module.__dict__[model]
            classes = [one.item() if hasattr(one, "item") else one for one in getattr(fitted, "classes_", ())]
            recorder.notes["facts"]["classes"] = classes
    (folder / "notes.json").write_text(json.dumps(recorder.notes), encoding="utf-8")


if __name__ == "__main__":
    main(Path(sys.argv[1]))
