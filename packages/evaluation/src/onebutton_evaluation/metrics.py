"""Take judged rows from a frame, and measure a model's answers by the metrics that a pipeline declares."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import polars as pl

from onebutton_contracts.errors import InputError, require
from onebutton_evaluation.catalogue import BINARY
from onebutton_evaluation.declarations import Judging
from onebutton_evaluation.influence import Rows
from onebutton_evaluation.intervals import DIGITS

if TYPE_CHECKING:
    from numpy.typing import NDArray

OF_QUANTILES = ("pinball[", "coverage[")  # how the metrics of predicted quantiles are called


def read_rows(frame: pl.DataFrame, judging: Judging, prediction: str = "") -> Rows:
    """Take the rows that are judged, one per prediction; its columns are called as `judging` says, or as `prediction` does.

    Raises:
        InputError: a column is not there, or lacks values: a row left out would flatter the model.
    """
    columns, levels = judging.predicted(prediction), {} if prediction else judging.quantiles
    for name in filter(None, (judging.answer, *columns, judging.unit, *levels.values())):
        there = ", ".join(frame.columns)
        require(name in frame.columns, f"nothing can be judged: {name!r} is no column; there are {there}")
        values = frame[name]
        lacking = values.null_count() + (int(values.is_nan().sum()) if values.dtype.is_float() else 0)
        words = f"{lacking} of {frame.height} rows have no {name}; leaving them out would flatter the model"
        require(not lacking, words)
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
            raise InputError(
                f"{judging.answer} {stranger!r} is none of the classes: judging.classes has {', '.join(judging.classes)}"
            )
        return found.to_numpy()
    return answers.cast(pl.Float64).to_numpy()


def metrics(rows: Rows, judging: Judging, bins: int) -> dict[str, float | int]:
    """Measure what has a better side, for files that set numbers beside those of another run.

    A bias is left out, whose best is 0: it stands with its interval among the slices.

    Returns:
        `rows`, how many were judged; each metric by its name, left out where the rows cannot be judged by it, as an AUC where one
        answer alone occurs; for probabilities of two answers also `calibration_error`, the mean distance of predicted and
        observed share over bins of equal count.
    """
    known, result = judging.known(), dict[str, float | int](rows=len(rows))
    for name in dict.fromkeys((*judging.metrics, judging.champion)):
        if known[name].better == "zero" or (name.startswith(OF_QUANTILES) and not rows.quantiles):
            continue
        found = known[name].measure(rows)
        if found is not None:
            result[name] = float(found.estimate)
    if judging.task == "binary":
        result["calibration_error"] = calibration_error(calibration_curve(rows, bins))
    return {name: round(value, DIGITS) for name, value in result.items()}


def metrics_by(frame: pl.DataFrame, column: str, judging: Judging, bins: int) -> dict[str, dict[str, float | int]]:
    """Measure by the values of a column, sorted; a number is written with two digits, so that text sorts as numbers do."""
    found = {}
    for (value,), part in frame.sort(column).partition_by(column, as_dict=True, maintain_order=True).items():
        text = f"{value:02d}" if type(value) is int else str(value)  # True is an int too
        found["missing" if value is None else text] = metrics(read_rows(part, judging), judging, bins)
    return found


def calibration_curve(rows: Rows, bins: int) -> pl.DataFrame:
    """Compare what was predicted and observed on average, in bins of equal count: a row per bin, by rising prediction."""
    both = pl.DataFrame({"predicted": rows.predictions, "observed": rows.answers})
    return binned(both, bins, pl.col("predicted", "observed").mean())


def calibration_error(curve: pl.DataFrame) -> float:
    """Mean distance of predicted and observed share, weighted by rows: expected calibration error, Naeini et al. 2015."""
    distance = (pl.col("predicted") - pl.col("observed")).abs()
    return float(curve.select((distance * pl.col("rows")).sum() / pl.col("rows").sum()).item())


def binned(rows: pl.DataFrame, bins: int, *numbers: pl.Expr) -> pl.DataFrame:
    """Describe bins of equal count by rising prediction; equal predictions share one."""
    rank = pl.col("predicted").rank("average") - 1
    found = rows.group_by((rank * bins // pl.len()).alias("bin")).agg(*numbers, pl.len().alias("rows"))
    return found.sort("bin").drop("bin")
