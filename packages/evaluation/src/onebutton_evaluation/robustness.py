"""Measure how a model copes with failing inputs, and how much it leans on each of them."""

from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Any, NamedTuple

import numpy as np
import polars as pl

from onebutton_contracts.errors import require
from onebutton_evaluation.declarations import Judging, Perturbation
from onebutton_evaluation.influence import Metric, Rows
from onebutton_evaluation.intervals import interval, standard_error, student
from onebutton_evaluation.metrics import OF_QUANTILES, read_rows

SEED, SHUFFLING = 20_130_101, 20_130_201
REPEATS = 3  # shuffles of each input, of which the mean is taken
MOST_ROWS = 20_000  # drawn at random of more, so that a large holdout costs no minutes


class Asked(NamedTuple):
    """A model that can be asked again: what it sees of each row, and what predicts, shape (rows,) or (rows, classes)."""

    inputs: pl.DataFrame
    predict: Callable[[pl.DataFrame], Any]


def perturb(inputs: pl.DataFrame, how: Perturbation) -> pl.DataFrame:
    """Change some inputs as a fault would; the same rows and values each time.

    Raises:
        InputError: a column is not there, or noise is asked of one that is not a number.
    """
    where, random = f"gates.toml: perturbation {how.name!r}", np.random.default_rng(SEED)
    hit = pl.Series(random.random(inputs.height) < how.share)
    changed = []
    for name in how.columns:
        require(name in inputs.columns, f"{where}: no column {name!r}; there are {', '.join(inputs.columns)}")
        kind, worse = inputs.schema[name], pl.lit(None)
        require(kind.is_float() or not how.noise, f"{where}: {name} is {kind}; noise is added to floats only")
        if how.noise:
            errors = pl.Series(random.normal(0, how.noise, inputs.height))
            worse = pl.col(name) + errors * pl.col(name).std()
        changed.append(pl.when(hit).then(worse).otherwise(name).cast(kind).alias(name))
    return inputs.with_columns(changed)


def judge_perturbed(
    frame: pl.DataFrame, model: Asked, perturbations: Sequence[Perturbation], judging: Judging
) -> dict[str, dict[str, Any]]:
    """Judge the model on perturbed inputs, all rows together, by each metric of its predictions, for `robustness.json`.

    Predicted quantiles are not asked again.
    """
    rows, known = read_rows(frame, judging), judging.known()
    asked = [name for name in judging.metrics if not name.startswith(("share", *OF_QUANTILES))]
    judged = {}
    for how in perturbations:
        answers = np.asarray(model.predict(perturb(model.inputs, how)), dtype=np.float64)
        found = ((name, interval(replace(rows, predictions=answers), known[name])) for name in asked)
        judged[how.name] = {name: one.mapping() for name, one in found if one}
    return judged


def importance(rows: Rows, model: Asked, metric: Metric) -> pl.DataFrame:
    """Shuffle each input of a model, and measure how much worse the metric gets: permutation importance (Breiman 2001).

    The interval is that of the paired difference, as between two models. A row counts twice: by what it borrows of another, and
    by what it lends to one.

    Returns:
        One row per input, the most important first: `input`, `importance` with its ends `low` and `high` (positive: worse without
        it), null where the metric cannot be measured, and of how many `rows`. The same each time.
    """
    random = np.random.default_rng(SHUFFLING)
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
            error = standard_error(np.mean(influences, axis=0), rows)
            estimate, reach = float(np.mean(changes)), student(rows.unit_count) * error
            line |= {"importance": estimate, "low": estimate - reach, "high": estimate + reach}
        table.append(line)
    return pl.DataFrame(table, infer_schema_length=None).sort(
        "importance", descending=True, nulls_last=True, maintain_order=True
    )
