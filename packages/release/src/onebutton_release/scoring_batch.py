"""Score tables of any length in memory that does not grow with them.

Rows are scored a part at a time. While the model answers one part, others are read and checked, and finished ones flow into
the draft of OUT; a turn at the model is what they wait for. One call of the model uses one thread, so an answer is the same
to the last digit however many parts are on their way: the bytes of OUT depend on the input and the release alone, not on where
a press was interrupted.
"""

from __future__ import annotations

import contextlib
import json
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path
from threading import Semaphore
from typing import Any

import numpy as np
import polars as pl
from polars.io.plugins import register_io_source

from onebutton_contracts.errors import InputError
from onebutton_models.scoring import ScoringError
from onebutton_release.scoring_inputs import ROW_GROUP, Part, Source, Table, check_alike, cut, open_table, to_parquet
from onebutton_release.scoring_parts import Parts, settle
from onebutton_release.scoring_rules import RELEASE, check_columns, check_rows, compile_rules, feed, typed
from onebutton_serving.answering import labels
from onebutton_serving.loading import Loaded
from onebutton_serving.schema import LABEL
from onebutton_serving.sealed import MANIFEST, digest_of

FORMAT = 1  # of the parts; another one means that they are made otherwise
MADE_OF = "onebutton.scoring"  # in the metadata of OUT: the release and the input that gave it
BATCH = 16_384  # rows of one call of the model: what it computes on the way stays in the processor's cache
TOOLS = ("numpy", "onnxruntime", "polars")  # another version may write the same rows as other bytes


@dataclass(frozen=True)
class Job:
    """What is asked for.

    Attributes:
        rows: of a part.
        threads: how many parts may be with the model at one time.
        progress: told how many rows are done, of how many.
    """

    sources: Sequence[Source]
    out: Path
    release: Loaded
    rows: int = ROW_GROUP
    threads: int = 1
    progress: Callable[[int, int], None] = lambda _done, _all: None

    def made_of(self) -> dict[str, Any]:
        """Say what OUT is made of, as JSON holds it."""
        return {
            "release": self.release.version,
            "manifest": digest_of(self.release.folder / MANIFEST),
            "input": [list(source.stamp) for source in self.sources],
        }

    def identity(self) -> dict[str, Any]:
        """Say what the parts are made of, as JSON holds it."""
        tools = {name: version(name) for name in TOOLS}
        return {**self.made_of(), "boundaries": self.rows, "tools": tools, "format": FORMAT}


def done_already(job: Job) -> bool:
    """Say whether OUT is what this very input and release gave; if so, remove parts that a crash left after it."""
    try:
        said = pl.read_parquet_metadata(job.out).get(MADE_OF, "")
    except (OSError, pl.exceptions.PolarsError):
        return False
    if said != json.dumps(job.made_of()):
        return False
    with contextlib.suppress(InputError):  # they are another press's
        Parts(job.out, job.identity()).remove()
    return True


def score(job: Job) -> int:
    """Score every row, and put OUT in its place when all are done.

    Returns:
        How many rows.

    Raises:
        InputError: the input is not what the release takes, nothing is left of it; or OUT is in use by another press.
        OSError: OUT cannot be written; finished parts are kept.
    """
    parts = Parts(job.out, job.identity())
    try:
        tables = _open(job, parts)
        _join(job, tables, parts)
    except InputError:
        parts.remove()
        raise
    finally:
        parts.close()
    parts.remove()
    return sum(table.rows for table in tables)


def _open(job: Job, parts: Parts) -> list[Table]:
    """Make every source readable from any row on, and look at its columns."""
    tables = []
    for number, source in enumerate(job.sources):
        path = source.path
        if source.is_text:
            stem = f"input-{number:06}"
            found = parts.find(stem)
            if found is None:
                draft = parts.draft(stem)
                to_parquet(source, draft)
                found = parts.adopt(stem, draft)
            path = found
        tables.append(open_table(source, path))
        try:
            check_columns(tables[-1].schema, job.release.schema, job.release.version, is_text=source.is_text)
        except InputError as error:
            message = f"{source.path}: {error}"
            raise InputError(message) from None
    check_alike(tables)
    return tables


def _join(job: Job, tables: Sequence[Table], parts: Parts) -> None:
    """Let the parts flow into a draft in their order, and put it in its place."""
    draft = parts.draft("out")
    pieces = cut(tables, job.rows)
    maker = Maker(job, tables[0], parts)
    total = sum(piece.rows for piece in pieces)
    workers = ThreadPoolExecutor(job.threads + 1, thread_name_prefix="score")

    def flow(*_: object) -> Iterator[pl.DataFrame]:
        done = 0
        for rows in _in_order(workers, maker.make, pieces, ahead=job.threads + 2):
            done += rows.height
            job.progress(done, total)
            yield rows

    try:
        register_io_source(flow, schema=maker.schema).sink_parquet(
            draft, row_group_size=ROW_GROUP, metadata={MADE_OF: json.dumps(job.made_of())}
        )
    except pl.exceptions.PolarsError as error:
        if "os error" in str(error):
            raise OSError(str(error)) from None
        raise
    finally:
        workers.shutdown(cancel_futures=True)
    for source in job.sources:
        found = source.path.stat()
        if (found.st_size, found.st_mtime_ns) != source.stamp[1:]:
            message = f"{source.path} was changed while it was scored, so nothing was written. Press again"
            raise InputError(message)
    settle(draft, job.out)


def _in_order(
    workers: ThreadPoolExecutor, make: Callable[[Part], pl.DataFrame], pieces: Sequence[Part], ahead: int
) -> Iterator[pl.DataFrame]:
    """Make parts side by side, hand them on in their order, and have few of them in memory."""
    waiting: deque[Future[pl.DataFrame]] = deque()
    for piece in pieces:
        waiting.append(workers.submit(make, piece))
        if len(waiting) >= ahead:
            yield waiting.popleft().result()
    while waiting:
        yield waiting.popleft().result()


class Maker:
    """Makes one part at a time in each of several threads; only so many of them are with the model at once."""

    def __init__(self, job: Job, like: Table, parts: Parts) -> None:
        """Compile the rules for the columns that all tables have."""
        self._release, self._parts, self._is_text = job.release, parts, like.source.is_text
        self._rules = compile_rules(like.schema, job.release.schema)
        self._turn = Semaphore(job.threads)
        none = like.schema.to_frame()
        inputs = typed(none, job.release.schema)
        self.schema = self._scored(none, inputs, self._answers(inputs)).schema

    def make(self, part: Part) -> pl.DataFrame:
        """Return the rows of a part with their answers, which were kept before, or are made now and kept.

        Raises:
            InputError: the release does not take a row.
            OSError: the part cannot be written.
        """
        stem = f"part-{part.number:06}"
        rows = part.read()
        inputs = typed(rows, self._release.schema)
        answers = self._parts.load(stem)
        if answers is None:
            try:
                check_rows(rows, inputs, self._rules, self._release.schema, part.first)
                answers = self._answers(inputs)
            except (InputError, ScoringError) as error:
                message = f"{part.table.source.path}: {error}. Nothing was written"
                raise InputError(message) from None
            self._parts.keep(stem, answers)
        return self._scored(rows, inputs, answers)

    def _answers(self, inputs: pl.DataFrame) -> pl.DataFrame:
        """Ask the model, a batch at a time, when it is this thread's turn."""
        schema, answer = self._release.schema, self._release.model.answer
        arrays = feed(inputs, schema)
        with self._turn:
            found = [
                answer({name: values[at : at + BATCH] for name, values in arrays.items()})
                for at in range(0, inputs.height, BATCH)
            ]
        numbers = np.concatenate(found) if found else np.empty((0, len(schema.outputs)), dtype=np.float32)
        columns = [pl.Series(field.name, numbers[:, place], pl.Float64) for place, field in enumerate(schema.outputs)]
        if schema.classes:
            columns.append(pl.Series(LABEL, labels(schema, numbers), pl.String))
        return pl.DataFrame(columns)

    def _scored(self, rows: pl.DataFrame, inputs: pl.DataFrame, answers: pl.DataFrame) -> pl.DataFrame:
        """Set the answers beside the rows; columns of a CSV that the model takes get their type."""
        known = rows.with_columns(inputs) if self._is_text else rows
        return known.with_columns(*answers, pl.lit(self._release.version).alias(RELEASE))
