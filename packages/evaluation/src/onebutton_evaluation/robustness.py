"""Measure how a model copes with wrong answers, and with inputs that go missing or carry noise."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import numpy as np
import polars as pl

from onebutton_contracts.errors import InputError
from onebutton_evaluation.declarations import Judging, Perturbation
from onebutton_evaluation.frames import read_rows
from onebutton_evaluation.intervals import Interval, interval
from onebutton_evaluation.metrics import OF_QUANTILES

if TYPE_CHECKING:
    from numpy.typing import ArrayLike, NDArray

SEED = 20_130_101


def label_noise(answers: ArrayLike, probabilities: ArrayLike) -> float:
    """Estimate the share of wrong answers by confident learning (Northcutt, Jiang and Chuang 2021, "Confident Learning").

    A row looks wrong when the probability of the other answer is at least as high as it is on average where that other answer
    stands, and its own is not. Where the model cannot tell, as with chance by nature, the share is far above 0: it is read beside
    what it was before, and a jump says that answers were mixed up.

    Args:
        answers: 0 or 1, shape (rows,).
        probabilities: of the answer 1, from a model that never saw these rows.
    """
    happened = np.asarray(answers) > 0
    likely = np.asarray(probabilities, dtype=np.float64)
    if happened.all() or not happened.any():
        return 0.0
    one, zero = likely[happened].mean(), 1 - likely[~happened].mean()
    confident_one, confident_zero = likely >= one, 1 - likely >= zero
    says_one = confident_one & (~confident_zero | (likely >= 1 - likely))
    says_zero = confident_zero & ~says_one
    counted = np.array(
        [
            [np.count_nonzero(~happened & says_zero), np.count_nonzero(~happened & says_one)],
            [np.count_nonzero(happened & says_zero), np.count_nonzero(happened & says_one)],
        ],
        dtype=np.float64,
    )
    given = np.array([np.count_nonzero(~happened), np.count_nonzero(happened)], dtype=np.float64)
    joint = counted / np.maximum(counted.sum(axis=1, keepdims=True), 1) * given[:, None]
    return float((joint[0, 1] + joint[1, 0]) / joint.sum())


def perturb(inputs: pl.DataFrame, how: Perturbation, file: str = "gates.toml") -> pl.DataFrame:
    """Change some inputs as a fault would; the same rows and values each time.

    Raises:
        InputError: a column is not there, or noise is asked of one that is not a number.
    """
    random = np.random.default_rng(SEED)
    hit = pl.Series(random.random(inputs.height) < how.share)
    changed = []
    for name in how.columns:
        if name not in inputs.columns:
            message = f"{file}: perturbation {how.name!r}: no column {name!r}; there are {', '.join(inputs.columns)}"
            raise InputError(message)
        column = inputs[name]
        if how.noise and not column.dtype.is_float():
            message = f"{file}: perturbation {how.name!r}: {name} is {column.dtype}; noise is added to floats only"
            raise InputError(message)
        worse = pl.lit(None, dtype=column.dtype)
        if how.noise:
            errors = pl.Series(random.normal(0, how.noise, inputs.height))
            worse = (pl.col(name) + errors * pl.col(name).std()).cast(column.dtype)
        changed.append(pl.when(hit).then(worse).otherwise(name).alias(name))
    return inputs.with_columns(changed)


def judge_perturbed(
    frame: pl.DataFrame,
    inputs: pl.DataFrame,
    predict: Callable[[pl.DataFrame], NDArray[np.floating[Any]]],
    perturbations: Sequence[Perturbation],
    judging: Judging,
) -> dict[str, dict[str, Interval]]:
    """Judge the model on perturbed inputs, all rows together.

    Args:
        frame: one row per prediction, with the columns that `judging` names.
        inputs: what the model sees of the same rows.
        predict: asks the model.
        perturbations: what to try.
        judging: how to judge.

    Returns:
        For each perturbation the interval of each metric of the predictions; predicted quantiles are not asked again.
    """
    rows, known = read_rows(frame, judging), judging.known()
    asked = [name for name in judging.metrics if not name.startswith(("share", *OF_QUANTILES))]
    judged: dict[str, dict[str, Interval]] = {}
    for how in perturbations:
        worse = replace(rows, predictions=np.asarray(predict(perturb(inputs, how)), dtype=np.float64))
        found = {name: interval(worse, known[name]) for name in asked}
        judged[how.name] = {name: one for name, one in found.items() if one is not None}
    return judged
