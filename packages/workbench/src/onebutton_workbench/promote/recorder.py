"""Watch a notebook from inside its kernel: which number it reaches, what each name holds, which files it reads.

It runs where the notebook does, so it imports nothing heavy: a frame brings its own methods.
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

    def __init__(self, folder: str, kept: Mapping[str, Sequence[str]]) -> None:
        """Begin.

        Args:
            folder: where the notes go.
            kept: before which statement which tables are written down, as parquet.
        """
        self._folder, self._kept = Path(folder), {int(at): names for at, names in kept.items()}
        self._numbers: dict[int, float] = {}
        self._kinds: dict[int, dict[str, str]] = {}
        self._values: dict[int, dict[str, Any]] = {}
        self._tables: dict[str, Any] = {}
        self._files: dict[str, int] = {}
        self._now = -1
        sys.addaudithook(self._opened)

    def _opened(self, event: str, arguments: tuple[Any, ...]) -> None:
        if event == "open" and isinstance(arguments[0], str | os.PathLike):
            name, mode = os.fspath(arguments[0]), arguments[1]
            if str(name).endswith(SUFFIXES) and (mode is None or "r" in mode) and os.path.isfile(name):  # noqa: PTH113
                self._files.setdefault(str(name), self._now)

    def at(self, statement: int, namespace: Mapping[str, Any]) -> None:
        """Note what each name holds before a statement runs."""
        self._now = statement
        named = {name: value for name, value in namespace.items() if not name.startswith("_")}
        self._kinds[statement] = {name: kind(value) for name, value in named.items()}
        self._values[statement] = {name: plain(value) for name, value in named.items() if plain(value) is not None}
        for name in self._kept.get(statement, ()):
            self._tables[name] = self._keep(name, named[name])
            if statement == min(self._kept):  # from here on rows are numbered as those that a stage reads from parquet
                named[name].reset_index(drop=True, inplace=True)

    def number(self, which: int, value: Any) -> Any:
        """Note a number that the notebook shows, and hand it back."""
        if kind(value) == "number" and not isinstance(value, int):
            self._numbers[which] = float(value)
        return value

    def _keep(self, name: str, value: Any) -> dict[str, Any]:
        import polars as pl

        from onebutton_contracts.pandas_frames import changed_types, from_pandas

        frame = value.to_frame("answer") if hasattr(value, "to_frame") else value
        known = from_pandas(frame) if hasattr(frame, "columns") else pl.DataFrame({"answer": value})
        known.write_parquet(self._folder / f"{name}.parquet")
        index = value.index if hasattr(value, "index") else None
        whole = index is not None and index.is_unique and index.dtype.kind == "i"
        return {
            "types": changed_types(frame, known) if hasattr(frame, "columns") else {},
            "index": [int(one) for one in index] if whole and index is not None else None,
            "name": str(getattr(value, "name", None) or ""),
        }

    def close(self, namespace: Mapping[str, Any], model: str = "") -> None:
        """Write the notes down; of the model what it is."""
        facts: dict[str, Any] = {}
        if model:
            fitted = namespace[model]
            facts = {"module": type(fitted).__module__.split(".")[0]}
            facts["classes"] = [one.item() if hasattr(one, "item") else one for one in getattr(fitted, "classes_", ())]
        notes = {
            name.lstrip("_"): value for name, value in vars(self).items() if name not in {"_folder", "_kept", "_now"}
        }
        (self._folder / "notes.json").write_text(json.dumps(notes | {"model": facts}), encoding="utf-8")


def kind(value: Any) -> str:
    """Name what a value is, in the few words that a plan needs, else by its class."""
    name = type(value).__name__
    if name == "ndarray":
        return "column" if value.ndim == 1 else "array"
    if name == "DataFrame":
        return "table" if type(value).__module__.startswith("pandas") else "polars"
    if name == "Series":
        return "column"
    if isinstance(value, int | float) or (hasattr(value, "dtype") and getattr(value, "ndim", 1) == 0):
        return "number"
    return name


def plain(value: Any) -> Any:
    """Return texts, whole numbers and lists of them as JSON has them; nothing of all else."""
    if isinstance(value, str | int):
        return value
    if type(value).__name__ == "Index" and len(value) <= MOST:
        value = list(value)
    if isinstance(value, list | tuple) and len(value) <= MOST and all(isinstance(one, str | int) for one in value):
        return list(value)
    return None
