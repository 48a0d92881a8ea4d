"""Measure what intervals on many slices cost: `python benchmarks/evaluation.py` prints a table in Markdown.

2 million rows in 50 slices, ten values of five columns: AUC, log loss and Brier score. Ours gives every number its 95 % interval,
clustered by day; a loop over scikit-learn and fairlearn's MetricFrame give the numbers alone, the loop also with a bootstrap of
the days, measured at one resample and scaled to 1,000. Then six metrics of each task over the same rows and slices, each in a
process of its own with the most memory of it. Seconds of the processor: what one waits for where nothing else runs.
`uv run --frozen --all-packages --with fairlearn python benchmarks/evaluation.py` measures fairlearn too.
"""

from __future__ import annotations

import multiprocessing
import os
import platform
import resource
import time
from collections.abc import Callable
from concurrent.futures import ProcessPoolExecutor
from importlib import import_module
from importlib.util import find_spec
from typing import TYPE_CHECKING, Any

import numpy as np
import polars as pl
from sklearn.metrics import brier_score_loss, log_loss, roc_auc_score

from onebutton_evaluation.catalogue import Task
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
SIX: dict[Task, tuple[str, ...]] = {
    "binary": ("auc", "log_loss", "brier", "accuracy", "f1[macro]", "precision[1]"),
    "multiclass": ("auc", "log_loss", "accuracy", "f1[macro]", "recall[a]", "kappa"),
    "regression": ("mae", "rmse", "r2", "bias", "median_ae", "pinball[0.9]"),
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


def six_metrics(task: Task, metrics: tuple[str, ...]) -> tuple[float, float]:
    """Judge every slice of a task by its metrics, with intervals; return the seconds, and the most memory in GB."""
    random = np.random.default_rng(0)
    judging = Judging(
        owner="nobody",
        task=task,
        answer="answer",
        prediction="prediction",
        classes=("a", "b", "c") if task == "multiclass" else (),
        quantiles={0.9: "p90"} if task == "regression" else {},
        metrics=metrics,
        champion="mae" if task == "regression" else "log_loss",
        tolerance=0.01,
        unit="day",
    )
    if task == "regression":
        predictions = random.normal(size=(ROWS, 1))
        answers = predictions[:, 0] + random.normal(size=ROWS)
    elif task == "binary":
        predictions = random.beta(1.5, 4, (ROWS, 1))
        answers = (random.random(ROWS) < predictions[:, 0]).astype(np.int64)
    else:
        predictions = random.dirichlet((1.0, 1.0, 1.0), ROWS)
        answers = np.array(judging.classes)[(predictions.cumsum(axis=1) > random.random((ROWS, 1))).argmax(axis=1)]
    columns = dict(zip(judging.predicted(), predictions.T, strict=True))
    frame = rows().select(pl.col("^column_.*$"), "day").with_columns(pl.Series("answer", answers), **columns)
    frame = frame.with_columns(p90=pl.lit(1.5))
    slices = find_slices(frame, [SliceRule(by=(f"column_{number}",)) for number in range(COLUMNS)])
    taken, _ = seconds(lambda: judge(frame, slices, judging))
    return taken, resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1e6


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
    print("\n| task, six metrics with 95 % intervals clustered by day | seconds | GB |\n|---|--:|--:|")
    with ProcessPoolExecutor(1, multiprocessing.get_context("spawn"), max_tasks_per_child=1) as process:
        for task, (taken, memory) in zip(SIX, process.map(six_metrics, SIX, SIX.values()), strict=True):
            print(f"| {task} | {taken:,.1f} | {memory:.2f} |")


if __name__ == "__main__":
    main()
