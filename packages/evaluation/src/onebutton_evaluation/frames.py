"""Take judged rows from a frame: answers and predictions of any task, the units that they belong to, and what is always said."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import polars as pl

from onebutton_contracts.errors import InputError
from onebutton_evaluation.catalogue import BINARY
from onebutton_evaluation.declarations import BASE_RATE, MEDIAN, Judging
from onebutton_evaluation.influence import Rows

if TYPE_CHECKING:
    from numpy.typing import NDArray


def read_rows(frame: pl.DataFrame, judging: Judging, prediction: str = "") -> Rows:
    """Take the rows that are judged, one per prediction; its columns are called as `judging` says, or as `prediction` does.

    Raises:
        InputError: a column is not there, or lacks values: a row left out would flatter the model.
    """
    columns, levels = judging.predicted(prediction), {} if prediction else judging.quantiles
    _check_columns(frame, [judging.answer, *columns, *([judging.unit] if judging.unit else []), *levels.values()])
    predictions = frame.select(columns).to_numpy() if len(columns) > 1 else frame[columns[0]].to_numpy()
    return Rows(
        answers=answer_values(frame[judging.answer], judging),
        predictions=predictions.astype(np.float64),
        units=frame[judging.unit].rank("dense").to_numpy().astype(np.int64) - 1 if judging.unit else None,
        classes=judging.classes or (BINARY if judging.task == "binary" else ()),
        threshold=judging.threshold,
        quantiles={level: frame[column].cast(pl.Float64).to_numpy() for level, column in levels.items()},
    )


def answer_values(answers: pl.Series, judging: Judging) -> NDArray[np.float64]:
    """Write answers as numbers; a class by its place among the classes.

    Raises:
        InputError: an answer is none of the classes.
    """
    numbers = answers.dtype.is_numeric() or answers.dtype == pl.Boolean
    if judging.classes and not (judging.task == "binary" and numbers):
        codes = {name: code for code, name in enumerate(judging.classes)}
        found = answers.cast(pl.String).replace_strict(codes, default=None, return_dtype=pl.Float64)
        if found.null_count():
            stranger = answers.filter(found.is_null())[0]
            message = f"{judging.answer} {stranger!r} is none of the classes: judging.classes has {', '.join(judging.classes)}"
            raise InputError(message)
        return found.to_numpy()
    return answers.cast(pl.Float64).to_numpy()


def constant(kind: str, answers: pl.Series, judging: Judging) -> NDArray[np.float64]:
    """Find what a baseline that always says the same says, by the answers of training; one value per column of predictions."""
    values: Any = answer_values(answers, judging)
    if judging.task == "regression":
        return np.array([np.median(values) if kind == MEDIAN else values.mean()])
    size = max(len(judging.classes), 2)
    shares = np.bincount(values.astype(np.int64), minlength=size) / len(values)
    said = shares if kind == BASE_RATE else np.eye(size)[shares.argmax()]
    return said if judging.task == "multiclass" else said[1:]


def _check_columns(frame: pl.DataFrame, columns: list[str]) -> None:
    for name in columns:
        if name not in frame.columns:
            message = f"nothing can be judged: {name!r} is no column; there are {', '.join(frame.columns)}"
            raise InputError(message)
        values = frame[name]
        lacking = values.null_count() + (int(values.is_nan().sum()) if values.dtype.is_float() else 0)
        if lacking:
            message = f"{lacking} of {frame.height} rows have no {name}; leaving them out would flatter the model"
            raise InputError(message)
