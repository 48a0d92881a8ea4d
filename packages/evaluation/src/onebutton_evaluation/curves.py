"""Draw a model's answers beside what happened, by task: the data of the plots that `dvc.yaml` declares."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import polars as pl

from onebutton_evaluation.influence import Rows

if TYPE_CHECKING:
    from numpy.typing import NDArray

DIGITS = 6  # of a number in a file: enough to see a change, few enough to read one


def curves(rows: Rows, bins: int) -> dict[str, pl.DataFrame]:
    """Draw the curves of a task: ROC and calibration; predicted beside observed numbers, and errors; or the confusion of classes.

    Args:
        rows: that are judged.
        bins: of equal count, by rising prediction.

    Returns:
        The data of each curve by its name.
    """
    if rows.predictions.ndim > 1:
        return {"confusion": confusion(rows)}
    if rows.classes:
        return {
            "roc": roc_points(rows.codes, rows.predictions),
            "calibration": calibration_curve(rows.codes, rows.predictions, bins),
        }
    return {"predicted": calibration_curve(rows.answers, rows.predictions, bins), "residuals": residuals(rows, bins)}


def confusion(rows: Rows) -> pl.DataFrame:
    """Count how often each class was called so, and how often another.

    Returns:
        One row per pair: the class that it was, the one that it was `called`, and how many `rows`.
    """
    size = len(rows.classes)
    counts = np.bincount(rows.codes * size + rows.called, minlength=size * size)
    names = np.array(rows.classes)
    return pl.DataFrame({"answer": np.repeat(names, size), "called": np.tile(names, size), "rows": counts})


def residuals(rows: Rows, bins: int) -> pl.DataFrame:
    """Show how far predictions are from what happened, low ones to high ones.

    Returns:
        One row per bin: the mean that was `predicted`, and the `p10`, `p50` and `p90` of predicted minus observed.
    """
    frame = pl.DataFrame({"predicted": rows.predictions, "error": rows.predictions - rows.answers})
    levels = [pl.col("error").quantile(level / 100, "linear").alias(f"p{level}") for level in (10, 50, 90)]
    return _binned(frame, bins, pl.col("predicted").mean(), *levels)


def _binned(rows: pl.DataFrame, bins: int, *numbers: pl.Expr) -> pl.DataFrame:
    """Describe bins of equal count by rising prediction; equal predictions share one."""
    rank = pl.col("predicted").rank("average") - 1
    found = rows.group_by((rank * bins // pl.len()).alias("bin")).agg(*numbers, pl.len().alias("rows"))
    return found.sort("bin").drop("bin")


def calibration_curve(answers: NDArray[Any], probabilities: NDArray[np.floating[Any]], bins: int) -> pl.DataFrame:
    """Compare what was predicted and observed on average, in bins of equal count.

    Returns:
        One row per bin, by rising probability: the means `predicted` and `observed`, of probabilities as shares, and `rows`.
    """
    rows = pl.DataFrame({"predicted": probabilities.astype(np.float64), "observed": answers.astype(np.float64)})
    return _binned(rows, bins, pl.col("predicted", "observed").mean())


def roc_points(
    answers: NDArray[np.integer[Any]], probabilities: NDArray[np.floating[Any]], points: int = 200
) -> pl.DataFrame:
    """Draw the ROC curve with few points.

    Returns:
        `false_positive_rate` and `true_positive_rate`, both in 0 to 1, from (0, 0) to (1, 1).
    """
    false_positive, true_positive = _roc(answers, probabilities)
    keep = np.unique(np.linspace(0, len(false_positive) - 1, points).astype(int))
    return pl.DataFrame(
        {"false_positive_rate": false_positive[keep], "true_positive_rate": true_positive[keep]}
    ).with_columns(pl.all().round(DIGITS))


def _roc(
    answers: NDArray[np.integer[Any]], probabilities: NDArray[np.floating[Any]]
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Follow both rates from the highest probability to the lowest; points on a straight line are left out."""
    order = np.argsort(probabilities, kind="stable")[::-1]
    happened, falling = np.asarray(answers)[order], np.asarray(probabilities, dtype=np.float64)[order]
    ends = np.append(np.flatnonzero(np.diff(falling)), len(happened) - 1)  # equal probabilities are one step
    right = np.cumsum(happened)[ends]
    wrong = ends + 1 - right
    if len(ends) > 2:  # noqa: PLR2004  two have nothing between them
        corner = np.concatenate(([True], (np.diff(wrong, 2) != 0) | (np.diff(right, 2) != 0), [True]))
        right, wrong = right[corner], wrong[corner]
    rates = (np.append(0.0, steps) / max(steps[-1], 1) for steps in (wrong, right))
    return next(rates), next(rates)
