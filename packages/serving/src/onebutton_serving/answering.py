"""Answer requests with one release: from the bytes of a body to the bytes of the answer."""

from __future__ import annotations

from collections.abc import Container, Mapping, Sequence
from itertools import chain
from typing import TYPE_CHECKING, Any

import msgspec
import numpy as np

from onebutton_serving.loading import Loaded
from onebutton_serving.rows import Reader, Values
from onebutton_serving.schema import LABEL, Schema

if TYPE_CHECKING:
    from numpy.typing import NDArray

_encode = msgspec.json.Encoder().encode

# What the log of predictions has beside what is asked and answered.
LOGGED = ("time", "version", "latency_ms", "request", "row")


def labels(schema: Schema, numbers: NDArray[np.floating[Any]]) -> NDArray[np.str_]:
    """Name the class that each row is called: the likeliest, or of two by the threshold.

    Args:
        schema: names classes.
        numbers: what the model answers, shape (rows, outputs).
    """
    called: NDArray[np.int64]
    if schema.by_class:
        called = numbers[:, : len(schema.classes)].argmax(axis=1)
    else:  # in 64 bits, as it was judged: a probability of exactly the threshold must not be called otherwise here
        called = (numbers[:, 0].astype(np.float64) >= schema.threshold).astype(np.int64)
    return np.array(schema.classes)[called]


def predictions(schema: Schema, answers: Sequence[Sequence[float]]) -> list[dict[str, Any]]:
    """Lay answers out as JSON has them, one a row: a number by its name; of classes the label, and each probability by its class.

    Args:
        schema: names outputs and classes.
        answers: for each row one number for each output.
    """
    if schema.by_class:
        found: list[dict[str, Any]] = [
            {schema.prediction: dict(zip(schema.classes, each, strict=True))} for each in answers
        ]
    else:
        names = [field.name for field in schema.outputs]
        found = [dict(zip(names, answer, strict=True)) for answer in answers]
    if not schema.classes:
        return found
    called = labels(schema, np.array(answers)).tolist()
    return [{LABEL: label} | answer for label, answer in zip(called, found, strict=True)]


class Answerer:
    """A loaded release, and all that can be prepared before a request comes.

    Attributes:
        loaded: the release.
        version: of it.
        read: reads a body into values; see `Reader.read`.
        personal: which of the values of a row, by their place, say something of a person.
        columns: of the log of predictions: the kind of each value and each number that is answered, by name.
    """

    def __init__(self, loaded: Loaded) -> None:
        """Make the types and the parts of an answer that are always the same.

        Raises:
            ReleaseError: the schema asks for something that cannot be checked.
        """
        schema, reader = loaded.schema, Reader(loaded.schema)
        self.loaded, self.version = loaded, loaded.version
        self.read, self._names, self._texts = reader.read, reader.names, reader.texts
        self.personal = [at for at, field in enumerate(reader.fields) if field.classification == "personal"]
        self.columns: dict[str, str] = {}
        for field in reader.fields:
            kind = "string" if field.classification == "personal" else field.type
            self.columns[_free(field.name, {*LOGGED, *self.columns}, "_in")] = kind
        for field in schema.outputs:
            self.columns[_free(field.name, {*LOGGED, *self.columns}, "_out")] = "number"
        self._start = b'{"version":' + _encode(self.version) + b',"predictions":'
        self.header = (b"x-model-version", self.version.encode("ascii", "replace"))

    def answer(self, rows: Sequence[Values]) -> list[list[float]]:
        """Ask the model.

        Args:
            rows: at least one, as `read` returns them.

        Returns:
            For each row one number for each output.

        Raises:
            ScoringError: the model refuses a value.
        """
        answers: list[list[float]] = self.loaded.model.answer(self._feed(rows)).tolist()
        return answers

    def _feed(self, rows: Sequence[Values]) -> Mapping[str, NDArray[Any]]:
        """Lay rows out by column: two arrays are made, all columns are views of them."""
        columns, texts = list(zip(*rows, strict=True)), self._texts
        shape = (-1, len(rows), 1)
        parts: list[NDArray[Any]] = []
        if texts:
            parts.append(np.array(columns[:texts], dtype=object).reshape(shape))
        if len(columns) > texts:
            parts.append(np.array(columns[texts:], dtype=np.float32).reshape(shape))  # None becomes NaN
        return dict(zip(self._names, chain.from_iterable(parts), strict=True))

    def written(self, answers: Sequence[Sequence[float]]) -> bytes:
        """Write the body of an answer; a number that is not finite is null."""
        return self._start + _encode(predictions(self.loaded.schema, answers)) + b"}"


def _free(name: str, taken: Container[str], suffix: str) -> str:
    """Return a name that no column has yet."""
    while name in taken:
        name += suffix
    return name
