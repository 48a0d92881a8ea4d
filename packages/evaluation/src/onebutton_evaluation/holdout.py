"""The rows on which a model is judged: their digest, which the contract pins, and a few of them as golden examples.

Without its hard rows any model is good. Golden examples are rows with the model's predictions, which every release carries: a
server asks them first, so that a damaged model, or a machine that computes otherwise, is found before it answers a request.
"""

import hashlib
from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np
import polars as pl
from polars import selectors

TOLERANCE = 1e-5  # processors differ in the last digits of a float32; of answers larger than 1, a share of the largest
MOST = 100  # examples: asking them must take no time at a server's start


class Holdout(NamedTuple):
    """How many rows a holdout has, and the SHA-256 over every row's key and answer, in the order of the keys."""

    rows: int
    digest: str


def read_holdout(frame: pl.DataFrame, key: Sequence[str], answer: str) -> Holdout:
    """Hash the keys and answers of the rows that were judged, in any order: a label that changes makes another holdout."""
    instants = [pl.col(name).dt.epoch("us") for name, kind in frame.select(key).schema.items() if kind.is_temporal()]
    lines = frame.select(*key, answer).sort(key).with_columns(instants).write_csv(include_header=True)
    return Holdout(frame.height, hashlib.sha256(lines.encode()).hexdigest())


def golden_examples(inputs: pl.DataFrame, answers: pl.DataFrame) -> dict[str, Any]:
    """Choose examples from the lowest answer, in its first column, to the highest; half of them with missing numbers, if any.

    Rows with a missing text are left out: a server refuses them.

    Returns:
        The content of `golden.json`: `tolerance`, and `rows`, each with `input` and `output`.
    """
    inputs = inputs.with_columns(selectors.float().fill_nan(None))  # JSON has no NaN
    refused = pl.any_horizontal(pl.lit(value=False), selectors.string().is_null())
    rows = inputs.select(refused=refused, lacking=pl.any_horizontal(pl.all().is_null()), answer=answers.to_series())
    rising = rows.with_row_index("row").filter(~pl.col("refused")).sort("answer", "row")
    chosen: set[int] = set()
    for side in rising.partition_by("lacking"):
        chosen |= {*side["row"][np.linspace(0, side.height - 1, MOST // 2).astype(np.int64)]}
    kept = sorted(chosen)
    largest = float(np.abs(answers[kept].to_numpy()).max(initial=1.0))
    examples = zip(inputs[kept].to_dicts(), answers[kept].to_dicts(), strict=True)
    return {"tolerance": TOLERANCE * largest, "rows": [{"input": one, "output": other} for one, other in examples]}
