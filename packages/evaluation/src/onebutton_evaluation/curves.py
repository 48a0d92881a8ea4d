"""Draw a model's answers beside what happened, by task: the data of the plots that `dvc.yaml` declares."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl

from onebutton_contracts.dvc_files import entries, read_stages
from onebutton_evaluation.catalogue import PER_CLASS, known_metrics, log_losses
from onebutton_evaluation.influence import Rows
from onebutton_evaluation.intervals import DIGITS, interval
from onebutton_evaluation.metrics import binned, calibration_curve
from onebutton_evaluation.slices import Slice

TINY = 1e-12  # no log loss at all


def curves(rows: Rows, bins: int, parts: Sequence[Slice]) -> dict[str, pl.DataFrame]:
    """Draw the curves of a task, in bins of equal count by rising prediction.

    Returns:
        The data of each by its name: of two answers `roc`, `calibration` and `thresholds`; of several `confusion` and `classes`;
        of numbers `predicted`, `residuals`, `residuals_by_slice` and, where quantiles are predicted, `coverage`.
    """
    if rows.predictions.ndim > 1:
        return {"confusion": confusion(rows), "classes": by_class(rows)}
    if rows.classes:
        return {"roc": roc_points(rows), "calibration": calibration_curve(rows, bins), "thresholds": thresholds(rows)}
    frame = pl.DataFrame({"predicted": rows.predictions, "error": rows.predictions - rows.answers})
    percentiles = [pl.col("error").quantile(level / 100, "linear").alias(f"p{level}") for level in (10, 50, 90)]
    middle, count = pl.col("predicted").mean(), pl.len().alias("rows")
    found = {
        "predicted": calibration_curve(rows, bins),
        "residuals": binned(frame, bins, middle, *percentiles),
        "residuals_by_slice": pl.concat(
            frame.filter(part.mask).select(pl.lit(part.name).alias("slice"), *percentiles, count) for part in parts
        ),
    }
    if len(rows.quantiles) > 1:
        low, high = min(rows.quantiles), max(rows.quantiles)
        inside = (rows.answers >= rows.quantiles[low]) & (rows.answers <= rows.quantiles[high])
        covered = binned(frame.with_columns(covered=inside), bins, middle, pl.col("covered").mean())
        found["coverage"] = covered.with_columns(expected=pl.lit(high - low))
    return found


def confusion(rows: Rows) -> pl.DataFrame:
    """Count how often each class was called so, and how often another, with their `share` of the class that it was.

    Beside it stands the part of the log loss of all rows: a confusion of which the model was sure weighs more.
    """
    size, names = len(rows.classes), np.array(rows.classes)
    cell, losses = rows.codes * size + rows.called, log_losses(rows)
    counts = np.bincount(cell, minlength=size * size)
    costs = np.bincount(cell, weights=losses, minlength=size * size) / max(losses.sum(), TINY)
    pairs = {"answer": np.repeat(names, size), "called": np.tile(names, size)}
    each = np.repeat(np.bincount(rows.codes, minlength=size).clip(1), size)
    return pl.DataFrame(pairs | {"rows": counts, "share": counts / each, "log_loss": costs})


def by_class(rows: Rows) -> pl.DataFrame:
    """Measure precision, recall and F1 of each class, each with the ends of its interval; null where there is not enough data."""
    known = known_metrics("multiclass", rows.classes)
    table = []
    for code, label in enumerate(rows.classes):
        line: dict[str, object] = {"class": label, "rows": int(np.count_nonzero(rows.codes == code))}
        for name in PER_CLASS:
            one = interval(rows, known[f"{name}[{label}]"])
            line |= {name: one and one.estimate, f"{name}_low": one and one.low, f"{name}_high": one and one.high}
        table.append(line)
    return pl.DataFrame(table, infer_schema_length=None)


def thresholds(rows: Rows) -> pl.DataFrame:
    """Show what calling the answer 1 from a probability on would mean, for thresholds that call 95 % of the rows to 5 %."""
    order = np.argsort(rows.predictions, kind="stable")
    rising, below = rows.predictions[order], np.concatenate(([0], np.cumsum(rows.answers[order])))
    marks = np.unique(np.quantile(rising, np.arange(1, 20) / 20, method="higher"))
    starts = np.searchsorted(rising, marks)
    called, hits = len(rising) - starts, below[-1] - below[starts]
    shares = {"called": called / len(rising), "precision": hits / called, "recall": hits / max(below[-1], 1)}
    return pl.DataFrame({"threshold": marks, **shares})


def roc_points(rows: Rows, points: int = 200) -> pl.DataFrame:
    """Draw the ROC curve with few points, from (0, 0) at the highest probability to (1, 1) at the lowest."""
    each = pl.DataFrame({"score": rows.predictions, "wrong": 1 - rows.answers, "right": rows.answers})
    steps = each.group_by("score").sum().sort("score", descending=True)  # equal probabilities are one step
    sums = steps.select(pl.col("wrong", "right").cum_sum()).to_numpy()
    if len(sums) > 2:  # noqa: PLR2004  points on a straight line are left out; two have nothing between them
        corners = (np.diff(sums, 2, axis=0) != 0).any(axis=1)
        sums = sums[np.concatenate(([True], corners, [True]))]
    keep = np.unique(np.linspace(0, len(sums), points).astype(int))
    rates = np.vstack([[0.0, 0.0], sums / sums[-1].clip(1)])[keep]
    return pl.DataFrame(rates, schema=["false_positive_rate", "true_positive_rate"]).select(pl.all().round(DIGITS))


def declared_plots(file: Path = Path("dvc.yaml")) -> dict[Path, dict[str, Any]]:
    """Read what a `dvc.yaml` says of each plot, such as its `title`, by its path: no other is written or drawn."""
    stages = read_stages(file).values() if file.is_file() else ()
    return {Path(path): dict(said) for stage in stages for path, said in entries(stage.get("plots"))}
