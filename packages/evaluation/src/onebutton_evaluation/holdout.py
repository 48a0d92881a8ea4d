"""The rows on which a model is judged: their digest, which the contract pins, and a few of them as golden examples.

Without its hard rows any model is good. Golden examples are rows with the model's predictions, which every release carries: a
server asks them first, so that a damaged model, or a machine that computes otherwise, is found before it answers a request.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
import polars as pl
from polars import selectors

from onebutton_evaluation.slices import Slice

if TYPE_CHECKING:
    from numpy.typing import NDArray

TOLERANCE = 1e-5  # processors differ in the last digits of a float32; of answers larger than 1, a share of the largest
MOST = 100  # examples: asking them must take no time at a server's start


class Holdout(NamedTuple):
    """How many rows a holdout has, and the SHA-256 over every row's key and answer, in the order of the keys."""

    rows: int
    digest: str


def read_holdout(frame: pl.DataFrame, key: Sequence[str], answer: str) -> Holdout:
    """Hash the keys and answers of the rows that were judged.

    Args:
        frame: one row per prediction, in any order.
        key: the columns that together name a row, the contract's primary key.
        answer: the column of what happened: a label that changes makes another holdout.
    """
    instants = [pl.col(name).dt.epoch("us") for name, kind in frame.select(key).schema.items() if kind.is_temporal()]
    lines = frame.select(*key, answer).sort(key).with_columns(instants).write_csv(include_header=True)
    return Holdout(frame.height, hashlib.sha256(lines.encode()).hexdigest())


def golden_examples(
    inputs: pl.DataFrame, parts: Sequence[Slice], outputs: Mapping[str, NDArray[np.floating[Any]]]
) -> dict[str, Any]:
    """Choose examples: of every slice the lowest and the highest answer, and of rows with missing numbers where there are some.

    Rows with a missing text are left out: a server refuses them.

    Returns:
        The content of `golden.json`: `tolerance`, and `rows`, each with `slices`, `input` and `output`.
    """
    first = next(iter(outputs.values()))
    inputs = inputs.with_columns(selectors.float().fill_nan(None))  # JSON has no NaN
    lacking = inputs.select(pl.any_horizontal(pl.all().is_null())).to_series().to_numpy()
    refused = inputs.select(pl.any_horizontal(pl.lit(value=False), selectors.string().is_null())).to_series().to_numpy()
    chosen: dict[int, list[str]] = {}
    for part in parts:
        for mask in (part.mask & ~lacking, part.mask & lacking):
            rows = np.flatnonzero(mask & ~refused)
            if len(rows):
                answers = first[rows]
                for row in {int(rows[answers.argmin()]), int(rows[answers.argmax()])}:
                    chosen.setdefault(row, []).append(part.name)
    examples, largest = [], 1.0
    for row, names in sorted(chosen.items())[:MOST]:
        output = {name: float(values[row]) for name, values in outputs.items()}
        largest = max(largest, *map(abs, output.values()))
        examples.append({"slices": names, "input": inputs.row(row, named=True), "output": output})
    return {"tolerance": TOLERANCE * largest, "rows": examples}
