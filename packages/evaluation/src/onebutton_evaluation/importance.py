"""Measure how much a model leans on each of its inputs: how much worse it gets with the values of one shuffled among the rows.

Permutation importance (Breiman 2001, "Random Forests"; Fisher, Rudin and Dominici 2019). Inputs that say the same can stand in
for each other, so each of them looks less important than both together are.
"""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np
import polars as pl

from onebutton_evaluation.intervals import standard_error, student

if TYPE_CHECKING:
    from onebutton_evaluation.influence import Metric, Rows
    from onebutton_evaluation.judgement import Asked

SEED = 20_130_201
REPEATS = 3  # shuffles of each input, of which the mean is taken
MOST_ROWS = 20_000  # drawn at random of more, so that a large holdout costs no minutes


def importance(rows: Rows, model: Asked, metric: Metric) -> pl.DataFrame:
    """Shuffle each input of a model, and measure how much worse the metric gets.

    The interval is that of the paired difference, as between two models. A row counts twice: by what it borrows of another, and
    by what it lends to one.

    Args:
        rows: that are judged.
        model: to ask again, with the inputs of the same rows.
        metric: to measure by.

    Returns:
        One row per input, the most important first: `input`, `importance` with its ends `low` and `high` (positive: worse without
        it), null where the metric cannot be measured, and of how many `rows`. The same each time.
    """
    random = np.random.default_rng(SEED)
    kept = np.sort(random.permutation(len(rows))[:MOST_ROWS])
    rows, inputs = rows.take(kept), model.inputs[kept]
    before, sign = metric.measure(rows), 1.0 if metric.better == "lower" else -1.0
    table = []
    for name in inputs.columns:
        changes, influences = [], []
        for _ in range(REPEATS):
            order = random.permutation(len(kept))
            shuffled = inputs.with_columns(inputs[name].gather(order))
            after = metric.measure(replace(rows, predictions=model.predict(shuffled).astype(np.float64)))
            if before is not None and after is not None:
                moved = after.influence - before.influence
                changes.append(sign * (after.estimate - before.estimate))
                influences.append(moved + moved[np.argsort(order)])  # of what a row borrows, and of what it lends
        line: dict[str, object] = {"input": name, "importance": None, "low": None, "high": None, "rows": len(kept)}
        if len(changes) == REPEATS:
            error, units = standard_error(np.mean(influences, axis=0), rows.units)
            estimate, reach = float(np.mean(changes)), student(units) * error
            line |= {"importance": estimate, "low": estimate - reach, "high": estimate + reach}
        table.append(line)
    return pl.DataFrame(table, infer_schema_length=None).sort(
        "importance", descending=True, nulls_last=True, maintain_order=True
    )
