"""Answer requests with one release: from the bytes of a body to the bytes of the answer."""

from __future__ import annotations

import asyncio
import os
from collections.abc import Container, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from itertools import chain
from typing import TYPE_CHECKING, Any

import msgspec
import numpy as np

from onebutton_models.scoring import ScoringError
from onebutton_serving.loading import Loaded
from onebutton_serving.rows import Reader, Values
from onebutton_serving.schema import LABEL, Schema

if TYPE_CHECKING:
    from numpy.typing import NDArray

_encode = msgspec.json.Encoder().encode

LARGE = 64  # rows in one call; a request of more is computed by a thread, so that others need not wait
Answers = list[list[float]]
Waiting = tuple[list[Values], "asyncio.Future[Answers]"]
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
        personal: which of the values of a row, by their place, say something of a person and are not logged.
        columns: of the log of predictions: the kind of each value and each number that is answered, by name.
    """

    def __init__(self, loaded: Loaded) -> None:
        """Make the types and the parts of an answer that are always the same."""
        schema, reader = loaded.schema, Reader(loaded.schema)
        self.loaded, self.version = loaded, loaded.version
        self.read, self._names, self._texts = reader.read, reader.names, reader.texts
        self.personal = [at for at, field in enumerate(reader.fields) if field.classification == "personal"]
        self.columns: dict[str, str] = {}
        for field in reader.fields:
            self.columns[_free(field.name, {*LOGGED, *self.columns}, "_in")] = field.type
        for field in schema.outputs:
            self.columns[_free(field.name, {*LOGGED, *self.columns}, "_out")] = "number"
        self._start = b'{"version":' + _encode(self.version) + b',"predictions":'
        self.header = (b"x-model-version", self.version.encode("ascii", "replace"))

    def answer(self, rows: Sequence[Values]) -> Answers:
        """Ask the model about rows as `read` returns them; for each it answers one number for each output.

        Raises:
            ScoringError: the model refuses a value.
        """
        answers: Answers = self.loaded.model.answer(self._feed(rows)).tolist()
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


class Batcher:
    """Computes the answers of one worker: requests that arrived in the same turn of the event loop share one call of the model.

    One call costs some 20 microseconds before it has looked at a row; eight rows together take little longer than one. Nothing
    waits for company: a request that is alone is answered alone, in the next turn.
    """

    def __init__(self) -> None:
        """Start no thread yet."""
        self._release: Answerer | None = None  # whom all that wait have asked
        self._waiting: list[Waiting] = []
        self._rows = 0
        self._pool = ThreadPoolExecutor(max(1, min(4, (os.cpu_count() or 2) - 1)), "large")

    async def answer(self, release: Answerer, rows: list[Values]) -> Answers:
        """Answer the rows of a request, with this release alone.

        Raises:
            ScoringError: the model refuses a value.
        """
        loop = asyncio.get_running_loop()
        if len(rows) > LARGE:
            return await loop.run_in_executor(self._pool, release.answer, rows)
        if release is not self._release or self._rows + len(rows) > LARGE:
            self._flush()
            self._release = release
        if not self._waiting:
            loop.call_soon(self._flush)
        future: asyncio.Future[Answers] = loop.create_future()
        self._waiting.append((rows, future))
        self._rows += len(rows)
        return await future

    def _flush(self) -> None:
        waiting, self._waiting, self._rows = self._waiting, [], 0
        if waiting and self._release:
            _answer(self._release, waiting)


def _answer(release: Answerer, waiting: Sequence[Waiting]) -> None:
    try:
        answers = release.answer([row for rows, _ in waiting for row in rows])
    except ScoringError as error:
        if len(waiting) > 1:  # of one of them: the others must not pay for it
            for one in waiting:
                _answer(release, [one])
        elif not waiting[0][1].done():
            waiting[0][1].set_exception(error)
        return
    start = 0
    for rows, future in waiting:
        if not future.done():  # it may have been cancelled
            future.set_result(answers[start : start + len(rows)])
        start += len(rows)
