"""Measure predicted probabilities, overall and by the values of a column."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import polars as pl

from onebutton_evaluation.catalogue import BINARY, known_metrics
from onebutton_evaluation.influence import Rows

if TYPE_CHECKING:
    from numpy.typing import NDArray

DIGITS = 6  # of a metric in a file: enough to see a change, few enough to read one


def metrics(
    answers: NDArray[np.integer[Any]], probabilities: NDArray[np.floating[Any]], bins: int
) -> dict[str, float | int]:
    """Judge probabilities by what happened.

    Args:
        answers: 0 or 1, shape (rows,).
        probabilities: of the answer 1, shape (rows,).
        bins: number of bins of the calibration error.

    Returns:
        `auc`, area under the ROC curve: how well it ranks, 0.5 by chance; left out where only one answer occurs.
        `log_loss`, mean negative log-likelihood in nats: smaller is better, and an honest probability wins.
        `calibration_error`, mean distance of predicted and observed share over bins of equal count.
        `rows`, how many were judged, and `share`, how many of them had the answer 1.
    """
    rows = Rows(answers.astype(np.float64), probabilities.astype(np.float64), classes=BINARY)
    known = known_metrics("binary")
    found = {name: known[name].measure(rows) for name in ("share", "auc", "log_loss")}
    estimates = {name: one.estimate for name, one in found.items() if one is not None}
    result: dict[str, float | int] = {"rows": len(rows), **estimates}
    curve = calibration_curve(answers, probabilities, bins)
    result["calibration_error"] = calibration_error(curve)
    return {name: round(value, DIGITS) for name, value in result.items()}


def metrics_by(
    scored: pl.DataFrame, column: str, answer: str, probability: str, bins: int
) -> dict[str, dict[str, float | int]]:
    """Judge each part of the rows that shares a value of a column.

    Args:
        scored: one row per prediction.
        column: its values name the parts, sorted; a number is written with two digits, so that text sorts as numbers do.
        answer: name of the column of 0 and 1.
        probability: name of the column of probabilities.
        bins: as in `metrics`.
    """
    parts = scored.sort(column).partition_by(column, as_dict=True, maintain_order=True)
    return {
        f"{value:02d}" if type(value) is int else str(value): metrics(  # True is an int too
            part[answer].to_numpy(), part[probability].to_numpy(), bins
        )
        for (value,), part in parts.items()
    }


def calibration_curve(
    answers: NDArray[np.integer[Any]], probabilities: NDArray[np.floating[Any]], bins: int
) -> pl.DataFrame:
    """Compare predicted and observed shares in bins of equal count.

    Returns:
        One row per bin, by rising probability: `predicted` and `observed` share, both in 0 to 1, and `rows`.
    """
    rows = pl.DataFrame({"predicted": probabilities.astype(np.float64), "observed": answers.astype(np.float64)})
    rank = pl.col("predicted").rank("average") - 1  # equal predictions share a bin
    return (
        rows.group_by((rank * bins // pl.len()).alias("bin"))
        .agg(pl.col("predicted", "observed").mean(), pl.len().alias("rows"))
        .sort("bin")
        .drop("bin")
    )


def calibration_error(curve: pl.DataFrame) -> float:
    """Mean distance of predicted and observed share, weighted by rows: expected calibration error, Naeini et al. 2015."""
    distance = (pl.col("predicted") - pl.col("observed")).abs()
    return float(curve.select((distance * pl.col("rows")).sum() / pl.col("rows").sum()).item())


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
