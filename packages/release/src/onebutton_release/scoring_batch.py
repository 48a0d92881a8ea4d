"""Score tables of any length in memory that does not grow with them.

Rows are scored a part at a time, several parts side by side; OUT is all of them in their order. One call of the model uses one
thread, so an answer is the same to the last digit on every machine: the bytes of OUT depend on the input and the release alone,
not on where a press was interrupted, or on how many machines shared the work.
"""

from __future__ import annotations

import contextlib
import json
import os
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import partial
from importlib.metadata import version
from pathlib import Path

import polars as pl

from onebutton_contracts.errors import InputError
from onebutton_release.scoring_inputs import ROW_GROUP, Part, Source, cut, open_table, to_parquet
from onebutton_release.scoring_parts import Parts
from onebutton_release.scoring_rows import Scorer
from onebutton_serving.loading import Loaded
from onebutton_serving.sealed import MANIFEST, digest_of

FORMAT = 1  # of the parts; another one means that they are made otherwise
MADE_OF = "onebutton.scoring"  # in the metadata of OUT: the release and the input that gave it
TOOLS = ("numpy", "onnxruntime", "polars")  # another version may write the same rows as other bytes


@dataclass(frozen=True)
class Job:
    """What is asked for.

    Attributes:
        rows: of a part.
        threads: how many parts are made at one time.
        progress: told how many rows are done, of how many.
    """

    sources: Sequence[Source]
    out: Path
    release: Loaded
    rows: int = ROW_GROUP
    threads: int = 1
    progress: Callable[[int, int], None] = lambda _done, _all: None

    def made_of(self) -> str:
        """Say what OUT is made of: the release and the input."""
        release = self.release.version, digest_of(self.release.folder / MANIFEST)
        return json.dumps([*release, [source.stamp() for source in self.sources]])

    def identity(self) -> str:
        """Say what the parts are made of: boundaries and tools as well."""
        return json.dumps([self.made_of(), self.rows, [version(name) for name in TOOLS], FORMAT])


def done_already(job: Job) -> bool:
    """Say whether OUT is what this very input and release gave; if so, remove parts that a crash left after it."""
    try:
        said = pl.read_parquet_metadata(job.out).get(MADE_OF, "")
    except (OSError, pl.exceptions.PolarsError):
        return False
    if said != job.made_of():
        return False
    with contextlib.suppress(InputError):  # they are another press's
        Parts(job.out, job.identity()).remove()
    return True


def score(job: Job, *, shard: tuple[int, int] | None = None, merge: bool = False) -> int:
    """Score the rows, and put OUT in its place when all are done.

    Args:
        job: what is asked for.
        shard: such as (3, 64), to keep every 64th part from the third on beside OUT, and no more; shards may run side by side.
        merge: ask the model nothing: the shards must have kept every part.

    Returns:
        How many rows.

    Raises:
        InputError: the input is not what the release takes, and nothing is left of it; OUT is in use by another press; or, to
            merge, a part is missing or of another press.
        OSError: it cannot be written; finished parts are kept.
    """
    number, shards = shard or (1, 1)
    made_of, parts = job.made_of(), Parts(job.out, job.identity(), shared=shard is not None)
    try:
        pieces = _cut(job, parts)
        wanted = pieces[number - 1 :: shards]
        kept = _find(wanted, parts) if merge else _make(job, wanted, parts)
        _check_unchanged(job, made_of)
        if not shard:
            _join(kept, parts, job.out, made_of)
            parts.remove()
    except InputError:
        if not (shard or merge):
            parts.remove()
        raise
    except pl.exceptions.PolarsError as error:
        raise OSError(str(error)) if "os error" in str(error) else error from None
    finally:
        parts.close()
    return sum(piece.rows for piece in wanted)


def _check_unchanged(job: Job, made_of: str) -> None:
    if job.made_of() != made_of:
        raise InputError("the input was changed while it was scored, so nothing was written. Press again")


def _cut(job: Job, parts: Parts) -> list[Part]:
    """Make every source readable from any row on, and cut it."""
    tables = []
    for number, source in enumerate(job.sources):
        path, stem = source.path, f"input-{number:06}"
        if source.is_text:
            path = parts.find(stem) or parts.make(stem, partial(to_parquet, source))
        tables.append(open_table(source, path))
    return cut(tables, job.rows)


def _find(pieces: Sequence[Part], parts: Parts) -> list[Path]:
    """Return the places of all parts; refuse to merge when they are not all there."""
    found = [parts.find(piece.stem) for piece in pieces]
    if lacking := [piece for piece, path in zip(pieces, found, strict=True) if path is None]:
        first = lacking[0]
        message = (
            f"{len(lacking)} of {len(pieces)} parts are not in {parts.folder}: {first.stem} ({first.span} of "
            f"{first.table.source.path}) is missing, damaged, or of another input or release. Score its shard again"
        )
        raise InputError(message)
    return [path for path in found if path]


def _make(job: Job, pieces: Sequence[Part], parts: Parts) -> list[Path]:
    """Make each part that is not kept yet, several side by side, and return the places of all."""
    if not pieces:  # more shards than parts
        return []
    scorer = Scorer(pieces[0].table, job.release)

    def make(piece: Part) -> Path:
        def write(draft: Path) -> None:
            with draft.open("wb") as stream:
                scorer.score(piece).write_parquet(stream, compression="lz4", statistics=False)

        return parts.find(piece.stem) or parts.make(piece.stem, write)

    kept, done, rows = [], 0, sum(piece.rows for piece in pieces)
    workers = ThreadPoolExecutor(job.threads, thread_name_prefix="score")
    try:
        for piece, path in zip(pieces, workers.map(make, pieces), strict=True):
            kept.append(path)
            done += piece.rows
            job.progress(done, rows)
    finally:
        workers.shutdown(cancel_futures=True)
    return kept


def _join(kept: list[Path], parts: Parts, out: Path, made_of: str) -> None:
    """Put the parts together in their order, and the whole in its place: on the disk first, then under its name."""
    with parts.draft("out") as draft:
        pl.scan_parquet(kept, glob=False).sink_parquet(draft, row_group_size=ROW_GROUP, metadata={MADE_OF: made_of})
        with draft.open("rb") as stream:
            os.fsync(stream.fileno())
        draft.replace(out)
