"""Lay out what a model answers: a label with the probability of each class, or numbers by their names."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from onebutton_serving.schema import LABEL, Schema

if TYPE_CHECKING:
    from numpy.typing import NDArray


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
