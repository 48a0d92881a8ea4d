"""Load a release, refuse one that is not what was sealed or does not answer as it did when it was judged, and ask it."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import chain
from pathlib import Path
from typing import TYPE_CHECKING, Any

import msgspec
import numpy as np

from onebutton_models.scoring import OnnxModel, ScoringError
from onebutton_serving.rows import Reader, Values
from onebutton_serving.schema import LABEL, Schema, read_schema
from onebutton_serving.sealed import ReleaseError, check

if TYPE_CHECKING:
    from numpy.typing import NDArray

MODEL, GOLDEN = "model.onnx", "golden.json"
Answers = list[list[float]]


def labels(schema: Schema, numbers: NDArray[np.floating[Any]]) -> NDArray[np.str_]:
    """Name the class that each row is called, of answers of shape (rows, outputs): the likeliest, or of two by the threshold."""
    called: NDArray[np.int64]
    if schema.by_class:
        called = numbers[:, : len(schema.classes)].argmax(axis=1)
    else:  # in 64 bits, as it was judged: a probability of exactly the threshold must not be called otherwise here
        called = (numbers[:, 0].astype(np.float64) >= schema.threshold).astype(np.int64)
    return np.array(schema.classes)[called]


def predictions(schema: Schema, answers: Sequence[Sequence[float]]) -> list[dict[str, Any]]:
    """Lay answers out as JSON has them: numbers by their names; of classes the label, and each probability by its class."""
    names = schema.classes if schema.by_class else [field.name for field in schema.outputs]
    found: list[dict[str, Any]] = [dict(zip(names, answer, strict=True)) for answer in answers]
    if schema.by_class:
        found = [{schema.prediction: one} for one in found]
    if not schema.classes:
        return found
    called = labels(schema, np.array(answers)).tolist()
    return [{LABEL: label} | answer for label, answer in zip(called, found, strict=True)]


@dataclass(frozen=True, eq=False)
class Loaded:
    """A release that answers as it should."""

    folder: Path
    version: str  # the name of its folder
    schema: Schema
    reader: Reader  # of the rows of a request
    models: Sequence[OnnxModel]  # that answers, and one for each quantile
    golden: Mapping[str, Any]  # the first of its golden examples, for pages that show how to ask

    def answer(self, rows: Sequence[Values]) -> Answers:
        """Ask the model about rows as the reader has them; for each it answers one number for each output.

        Two arrays are made, one of texts and one of numbers; the model's inputs are views of them.

        Raises:
            ScoringError: the model refuses a value.
        """
        columns, texts = list(zip(*rows, strict=True)), self.reader.texts
        words = np.array(columns[:texts], dtype=object).reshape(texts, len(rows), 1)
        numbers = np.array(columns[texts:], dtype=np.float32).reshape(
            len(columns) - texts, len(rows), 1
        )  # None becomes NaN
        answers: Answers = self.ask(dict(zip(self.reader.names, chain(words, numbers), strict=True))).tolist()
        return answers

    def ask(self, feed: Mapping[str, NDArray[Any]]) -> NDArray[np.float32]:
        """Ask every file about rows that were checked.

        Args:
            feed: for each input an array of shape (rows, 1): objects that are text, or float32.

        Returns:
            Shape (rows, outputs).

        Raises:
            ScoringError: a model refuses a value.
        """
        rows = len(next(iter(feed.values())))
        found = [model.answer(feed).reshape(rows, -1) for model in self.models]
        return found[0] if len(found) == 1 else np.concatenate(found, axis=1)

    def written(self, answers: Answers) -> bytes:
        """Write the body of an answer; a number that is not finite is null."""
        return msgspec.json.encode({"version": self.version, "predictions": predictions(self.schema, answers)})


def load_release(folder: Path) -> Loaded:
    """Check every digest, load the model, and ask it the golden examples, which warms it up as well.

    Raises:
        ReleaseError: a digest, the schema, the model or an answer is not what it must be.
    """
    check(folder)
    schema = read_schema(folder)
    kinds = {field.name: "string" if field.type == "string" else "float" for field in schema.inputs}
    try:
        models = {name: OnnxModel(folder / name) for name in (MODEL, *map(quantile_file, schema.quantiles))}
        for name, model in models.items():
            if dict(model.inputs) != kinds:
                raise ScoringError(f"{name} takes {', '.join(model.inputs)}; schema.json says {', '.join(kinds)}")
        golden = json.loads((folder / GOLDEN).read_text(encoding="utf-8"))
        loaded = Loaded(folder, folder.name, schema, Reader(schema), [*models.values()], golden["rows"][0])
        _check_golden(golden, loaded)
    except (OSError, ValueError, TypeError, LookupError, re.error) as error:
        words = str(error) if isinstance(error, ScoringError) else f"{GOLDEN} cannot be asked: {error}"
        raise ReleaseError(f"release {folder.name}: {words}") from None
    return loaded


def quantile_file(column: str) -> str:
    """Name the file that answers a quantile."""
    return f"{column}.onnx"


def _check_golden(golden: Mapping[str, Any], loaded: Loaded) -> None:
    """Ask the golden examples; an answer may differ from the one that was judged by their tolerance."""
    rows = golden["rows"]
    answers = np.array(loaded.answer([tuple(map(row["input"].get, loaded.reader.names)) for row in rows]))
    outputs = [field.name for field in loaded.schema.outputs]
    wanted = np.array([[row["output"][name] for name in outputs] for row in rows], dtype=np.float64)
    far = np.abs(answers - wanted).max(axis=1)
    if not far.max() <= golden["tolerance"]:
        worst = int(np.nanargmax(far))
        raise ScoringError(
            f"golden example {worst + 1} of {len(rows)} is answered with {answers[worst].tolist()} instead of "
            f"{wanted[worst].tolist()}, so it is not the model that was judged"
        )
