"""Measure a model's answers by the metrics that a pipeline declares, on all rows and by the values of a column."""

from __future__ import annotations

import polars as pl

from onebutton_evaluation.curves import calibration_curve
from onebutton_evaluation.declarations import Judging
from onebutton_evaluation.frames import read_rows
from onebutton_evaluation.influence import Rows
from onebutton_evaluation.intervals import DIGITS

OF_QUANTILES = ("pinball[", "coverage[")  # how the metrics of predicted quantiles are called


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
        result["calibration_error"] = calibration_error(calibration_curve(rows.answers, rows.predictions, bins))
    return {name: round(value, DIGITS) for name, value in result.items()}


def metrics_by(frame: pl.DataFrame, column: str, judging: Judging, bins: int) -> dict[str, dict[str, float | int]]:
    """Measure by the values of a column, sorted; a number is written with two digits, so that text sorts as numbers do."""
    found = {}
    for (value,), part in frame.sort(column).partition_by(column, as_dict=True, maintain_order=True).items():
        text = f"{value:02d}" if type(value) is int else str(value)  # True is an int too
        found["missing" if value is None else text] = metrics(read_rows(part, judging), judging, bins)
    return found


def calibration_error(curve: pl.DataFrame) -> float:
    """Mean distance of predicted and observed share, weighted by rows: expected calibration error, Naeini et al. 2015."""
    distance = (pl.col("predicted") - pl.col("observed")).abs()
    return float(curve.select((distance * pl.col("rows")).sum() / pl.col("rows").sum()).item())
