"""Measure what intervals on many slices cost: `python benchmarks/evaluation.py` prints a table in Markdown.

2 million rows in 50 slices, ten values of five columns: AUC, log loss and Brier score. Ours gives every number its 95 % interval,
clustered by day; a loop over scikit-learn and fairlearn's MetricFrame give the numbers alone, the loop also with a bootstrap of
the days, measured at one resample and scaled to 1,000. Seconds of the processor: what one waits for where nothing else runs.
`uv run --frozen --all-packages --with fairlearn python benchmarks/evaluation.py` measures fairlearn too.
"""

from __future__ import annotations

import os
import platform
import time
from collections.abc import Callable
from importlib import import_module
from importlib.util import find_spec
from typing import TYPE_CHECKING, Any

import numpy as np
import polars as pl
from sklearn.metrics import brier_score_loss, log_loss, roc_auc_score

from onebutton_evaluation.declarations import Judging, SliceRule
from onebutton_evaluation.slices import find_slices, judge

if TYPE_CHECKING:
    from numpy.typing import NDArray

ROWS, COLUMNS, VALUES, DAYS = 2_000_000, 5, 10, 365
RESAMPLES = 1_000
ORACLE: dict[str, Callable[[Any, Any], float]] = {
    "auc": roc_auc_score,
    "log_loss": log_loss,
    "brier": brier_score_loss,
}


def rows() -> pl.DataFrame:
    """Draw the rows: five columns to cut by, a day, an honest probability and what came of it."""
    random = np.random.default_rng(0)
    probability = random.beta(1.5, 4, ROWS)
    cuts = {f"column_{number}": random.integers(0, VALUES, ROWS) for number in range(COLUMNS)}
    answer = (random.random(ROWS) < probability).astype(np.int64)
    return pl.DataFrame({**cuts, "day": random.integers(0, DAYS, ROWS), "answer": answer, "probability": probability})


def ours(frame: pl.DataFrame, unit: str) -> dict[str, float]:
    """Judge every slice, with intervals; return the AUC of each, to compare."""
    rules = [SliceRule(by=(f"column_{number}",)) for number in range(COLUMNS)]
    judging = Judging(
        owner="nobody",
        answer="answer",
        prediction="probability",
        metrics=("auc", "log_loss", "brier"),
        champion="auc",
        tolerance=0.01,
        unit=unit,
    )
    judged = judge(frame, find_slices(frame, rules), judging)
    return {name: one["metrics"]["auc"]["estimate"] for name, one in judged.items()}


def loop(frame: pl.DataFrame) -> dict[str, float]:
    """Do it as one does by hand: filter, call scikit-learn, next; no intervals."""
    found = {}
    answers, predictions = frame["answer"].to_numpy(), frame["probability"].to_numpy()
    for number in range(COLUMNS):
        values = frame[f"column_{number}"].to_numpy()
        for value in range(VALUES):
            here = values == value
            scores = {name: metric(answers[here], predictions[here]) for name, metric in ORACLE.items()}
            found[f"column_{number} {value}"] = scores["auc"]
    return found


def loop_resampled(frame: pl.DataFrame) -> None:
    """Do the loop on one resample of the days."""
    places = frame.with_row_index("row").group_by("day").agg("row").sort("day")["row"]
    days: list[NDArray[np.int64]] = [np.asarray(place) for place in places]
    drawn = np.concatenate([days[day] for day in np.random.default_rng(1).integers(0, DAYS, DAYS)])
    loop(frame[drawn])


def fairlearn(frame: pl.DataFrame) -> dict[str, float]:
    """Ask MetricFrame, once for each column."""
    metric_frame = import_module("fairlearn.metrics").MetricFrame
    found: dict[str, float] = {}
    for number in range(COLUMNS):
        judged = metric_frame(
            metrics=ORACLE,
            y_true=frame["answer"].to_numpy(),
            y_pred=frame["probability"].to_numpy(),
            sensitive_features=frame[f"column_{number}"].to_numpy(),
        )
        found |= {f"column_{number} {value}": auc for value, auc in judged.by_group["auc"].items()}
    return found


def seconds(work: Callable[[], Any]) -> tuple[float, Any]:
    """Time a piece of work, once: each takes seconds."""
    begun = time.process_time()
    result = work()
    return time.process_time() - begun, result


def main() -> None:
    """Print the table, after checking that all agree on every AUC."""
    frame = rows()
    base, judged = seconds(lambda: ours(frame, "day"))
    alone, _ = seconds(lambda: ours(frame, ""))
    plain, looped = seconds(lambda: loop(frame))
    tried, _ = seconds(lambda: loop_resampled(frame))
    figures = {
        "ours, 95 % intervals clustered by day": base,
        "ours, 95 % intervals, every row independent": alone,
        "loop over scikit-learn, no intervals": plain,
        f"loop over scikit-learn, {RESAMPLES:,} resamples of days (from one)": tried * RESAMPLES,
    }
    answers = [looped]
    if find_spec("fairlearn"):
        figures["fairlearn MetricFrame, no intervals"], asked = seconds(lambda: fairlearn(frame))
        answers.append(asked)
    for other in answers:
        np.testing.assert_allclose(
            [other[name] for name in judged if name != "all"],
            [judged[name] for name in judged if name != "all"],
            atol=1e-6,  # as ours are rounded for a file
        )
    print(f"{platform.system()} {platform.machine()}, {os.cpu_count()} cores, Python {platform.python_version()}\n")
    print("| what | seconds | times ours |\n|---|--:|--:|")
    for what, taken in figures.items():
        print(f"| {what} | {taken:,.1f} | {taken / base:,.1f} |")
    if len(answers) == 1:
        print("| fairlearn MetricFrame | NOT RUN: not installed | |")


if __name__ == "__main__":
    main()
