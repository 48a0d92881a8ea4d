"""Simpler answers, which a model must beat to be worth its trouble: what training says of the answers alone."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from onebutton_evaluation.declarations import BASE_RATE, MEDIAN, Judging
from onebutton_evaluation.frames import answer_values

if TYPE_CHECKING:
    import polars as pl
    from numpy.typing import NDArray


def constant(kind: str, answers: pl.Series, judging: Judging) -> NDArray[np.float64]:
    """Find what a baseline says of every row.

    Args:
        kind: as `[baselines]` of gates.toml names it.
        answers: of the rows that the model was trained on.
        judging: says what kind of answers they are.

    Returns:
        One value per column of predictions: a number, a probability, or a probability for each class.
    """
    values: Any = answer_values(answers, judging)
    if judging.task == "regression":
        return np.array([np.median(values) if kind == MEDIAN else values.mean()])
    size = max(len(judging.classes), 2)
    shares = np.bincount(values.astype(np.int64), minlength=size) / len(values)
    said = shares if kind == BASE_RATE else np.eye(size)[shares.argmax()]
    return said if judging.task == "multiclass" else said[1:]
