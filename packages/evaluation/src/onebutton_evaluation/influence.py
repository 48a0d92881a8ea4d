"""Metrics as an estimate and what each row adds to it: its influence, from which every interval here is made.

A metric of many rows is, to first order, its true value plus the mean of one number per row, the influence function (Hampel
1974). For a mean that number is the row's distance from the mean, for the AUC it is the row's placement value (DeLong, DeLong
and Clarke-Pearson 1988). Summed over rows that share a key, such as a day, it gives the variance for clustered rows (Obuchowski
1997 for the AUC), and the difference of two models on the same rows has the difference of their influences.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

import numpy as np

if TYPE_CHECKING:
    from numpy.typing import ArrayLike, NDArray

    Floats = NDArray[np.float64]


@dataclass(frozen=True)
class Rows:
    """Judged rows, by rising prediction, so that what needs an order finds it.

    Attributes:
        answers: what happened, 0 or 1 for all metrics but `mean` and `accuracy`; shape (rows,).
        predictions: a probability, a label or a score; shape (rows,), never falling.
        units: for each row the number of the independent unit that it belongs to, such as its day; its own number where rows
            are independent. Shape (rows,).
        unit_count: how many units there are, those without a row among these included.
        alone: whether each row is a unit of its own, so that nothing needs summing.
    """

    answers: Floats
    predictions: Floats
    units: NDArray[np.int64]
    unit_count: int
    alone: bool = False

    def __len__(self) -> int:
        """Count the rows."""
        return len(self.answers)


def sorted_rows(
    answers: ArrayLike, predictions: ArrayLike, units: ArrayLike | None = None
) -> tuple[Rows, NDArray[np.int64]]:
    """Put rows into the order of their predictions.

    Args:
        answers: shape (rows,).
        predictions: shape (rows,).
        units: for each row the value that names its independent unit, of any type; None where every row is one.

    Returns:
        The rows, and the order they were put into: `answers[order]` are theirs.
    """
    predicted = np.asarray(predictions, dtype=np.float64)
    order = np.argsort(predicted, kind="stable")
    if units is None:
        codes, count = np.arange(len(predicted)), len(predicted)
    else:
        values, codes = np.unique(np.asarray(units), return_inverse=True)
        count = len(values)
    return Rows(
        np.asarray(answers, dtype=np.float64)[order], predicted[order], codes[order], count, units is None
    ), order


def take(rows: Rows, mask: NDArray[np.bool_]) -> Rows:
    """Keep some rows; units keep their numbers."""
    return Rows(rows.answers[mask], rows.predictions[mask], rows.units[mask], rows.unit_count, rows.alone)


@dataclass(frozen=True)
class Metric:
    """How to judge rows by one number.

    Attributes:
        name: as files and gates call it.
        words: for a reader, without a unit.
        better: which way is better; "zero" for a bias, "" for what is not good or bad, such as the share of late flights.
        measure: returns the estimate and each row's influence (mean 0, same order), or None where the rows cannot be judged.
        scale: "share" where the estimate is one, "ranks" where it is an AUC.
    """

    name: str
    words: str
    better: Literal["higher", "lower", "zero", ""]
    measure: Callable[[Rows], tuple[float, Floats] | None]
    scale: Literal["plain", "ranks", "share"] = "plain"


def _mean_of(values: Callable[[Rows], Floats]) -> Callable[[Rows], tuple[float, Floats] | None]:
    def measure(rows: Rows) -> tuple[float, Floats] | None:
        if not len(rows):
            return None
        each = values(rows)
        mean = float(each.mean())
        return mean, each - mean

    return measure


def _log_losses(rows: Rows) -> Floats:
    tiny = float(np.finfo(np.float64).eps)  # as scikit-learn: certain and wrong costs much, but not without end
    right = np.where(rows.answers > 0, rows.predictions, 1 - rows.predictions)
    losses: Floats = -np.log(np.clip(right, tiny, 1.0))
    return losses


def auc(rows: Rows) -> tuple[float, Floats] | None:
    """Area under the ROC curve, ties counted half, with placement values as influence (DeLong et al. 1988).

    Returns:
        None where one of the answers does not occur.
    """
    answers, count = rows.answers, len(rows)
    positives = float(answers.sum())
    negatives = count - positives
    if positives == 0 or negatives == 0:
        return None
    edges = np.flatnonzero(np.diff(rows.predictions)) + 1  # where a run of equal predictions ends
    starts, ends = np.concatenate(([0], edges)), np.concatenate((edges, [count]))
    before = np.concatenate(([0.0], np.cumsum(answers)))
    ones = np.repeat((before[starts] + before[ends]) / 2, ends - starts)  # positives below, ties counted half
    zeros = np.repeat((starts + ends) / 2, ends - starts) - ones
    placement = np.where(answers > 0, zeros / negatives, 1 - ones / positives)
    area = float(placement @ answers) / positives
    return area, (placement - area) * np.where(answers > 0, count / positives, count / negatives)


METRICS = {
    metric.name: metric
    for metric in (
        Metric("share", "share", "", _mean_of(lambda rows: rows.answers), "share"),
        Metric("auc", "AUC", "higher", auc, "ranks"),
        Metric("log_loss", "log loss", "lower", _mean_of(_log_losses)),
        Metric("brier", "Brier score", "lower", _mean_of(lambda rows: (rows.predictions - rows.answers) ** 2)),
        Metric(
            "bias", "predicted minus observed share", "zero", _mean_of(lambda rows: rows.predictions - rows.answers)
        ),
        Metric(
            "accuracy",
            "share of right labels",
            "higher",
            _mean_of(lambda rows: (rows.predictions == rows.answers).astype(np.float64)),
            "share",
        ),
        Metric("mean", "mean score", "higher", _mean_of(lambda rows: rows.predictions)),
    )
}
