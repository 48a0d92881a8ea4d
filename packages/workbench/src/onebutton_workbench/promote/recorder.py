"""Watch a notebook from inside its kernel: which number it reaches, what each name holds, which files it reads.

It runs where the notebook does, so it imports what is heavy only once it keeps a table.
"""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

SUFFIXES = (".csv", ".csv.gz", ".tsv", ".txt", ".parquet", ".json", ".jsonl", ".feather", ".xlsx", ".arff", ".arff.gz")
MOST = 300  # texts of a list that is written down


class Recorder:
    """Takes notes and writes them into a folder at the end."""

    def __init__(self, folder: str, tables: Mapping[int, str | Sequence[str]]) -> None:
        """Begin.

        Args:
            folder: where the notes go.
            tables: before which statement which is kept: the name of the rows; those of inputs and answers, by the split.
        """
        self._folder, self._tables, self._now = Path(folder), tables, -1
        self.notes: dict[str, Any] = {"numbers": {}, "kinds": {}, "values": {}, "files": {}, "table": {}, "model": {}}
        sys.addaudithook(self._opened)

    def _opened(self, event: str, arguments: tuple[Any, ...]) -> None:
        if event == "open" and isinstance(arguments[0], str | os.PathLike):
            name, mode = os.fspath(arguments[0]), arguments[1]
            if str(name).endswith(SUFFIXES) and (mode is None or "r" in mode) and os.path.isfile(name):  # noqa: PTH113
                self.notes["files"].setdefault(str(name), self._now)

    def at(self, statement: int, namespace: Mapping[str, Any]) -> None:
        """Note what each name holds before a statement runs."""
        self._now = statement
        named = {name: value for name, value in namespace.items() if not name.startswith("_")}
        self.notes["kinds"][statement] = {name: kind(value) for name, value in named.items()}
        self.notes["values"][statement] = {
            name: plain(value) for name, value in named.items() if plain(value) is not None
        }
        kept = self._tables.get(statement)
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
        self.notes["table"]["types"] = changed_types(rows, known)
        rows.reset_index(drop=True, inplace=True)

    def _keep_sides(self, inputs: Any, answers: Any, *held_out: Any) -> None:
        from onebutton_contracts.pandas_frames import changed_types, from_pandas
        from onebutton_evaluation.splits import as_split

        name = str(getattr(answers, "name", None) or "")
        answer = name if name and name not in inputs.columns else "answer"
        key = next(one for one in ("row", "row_number", "row_of_table") if one not in {*inputs.columns, answer})
        features = as_split(inputs, answers, *held_out, answer=answer, key=key)
        features.write_parquet(self._folder / "features.parquet")
        frame = inputs.assign(**{answer: getattr(answers, "array", answers)})
        types = changed_types(frame, from_pandas(frame))
        if types.get(answer) in {"object", "bool"}:
            del types[answer]
        self.notes["table"] |= {"answer": answer, "key": key, "input_types": types}

    def close(self, namespace: Mapping[str, Any], model: str = "") -> None:
        """Write the notes down; of the model what it is."""
        if model:
            classes = [one.item() if hasattr(one, "item") else one for one in getattr(namespace[model], "classes_", ())]
            self.notes["model"] = {"module": type(namespace[model]).__module__.split(".")[0], "classes": classes}
        (self._folder / "notes.json").write_text(json.dumps(self.notes), encoding="utf-8")


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
