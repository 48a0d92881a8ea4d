"""Hash the holdout, the rows on which a model is judged: the contract pins them, because without hard rows any model is good."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass

import polars as pl


@dataclass(frozen=True)
class Holdout:
    """The rows of a holdout.

    Attributes:
        rows: how many.
        digest: SHA-256 over every row's key and answer, in the order of the keys.
    """

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
