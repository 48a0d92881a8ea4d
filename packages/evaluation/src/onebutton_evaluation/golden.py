"""Choose golden examples: a few rows of the holdout with the model's predictions, which every release carries.

A server asks them first when it loads the model, so that another model, a damaged one, or a machine that computes otherwise is
found before it answers a request.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
import polars as pl
from polars import selectors

from onebutton_evaluation.slices import Slice

if TYPE_CHECKING:
    from numpy.typing import NDArray

GOLDEN = "golden.json"
TOLERANCE = 1e-5  # processors differ in the last digits of a float32; of answers larger than 1, a share of the largest
MOST = 100  # examples: asking them must take no time at a server's start


def golden_examples(
    inputs: pl.DataFrame, parts: Sequence[Slice], outputs: Mapping[str, NDArray[np.floating[Any]]]
) -> dict[str, Any]:
    """Choose examples: of every slice the lowest and the highest answer, and of rows with missing numbers where there are some.

    Rows with a missing text are left out: a server refuses them.

    Args:
        inputs: what the model saw of each judged row.
        parts: the slices of these rows.
        outputs: what the model answered, by name of the output, each of shape (rows,).

    Returns:
        The content of `golden.json`: `tolerance`, and `rows`, each with `slices`, `input` and `output`.
    """
    first = next(iter(outputs.values()))
    lacking = inputs.select(pl.any_horizontal(pl.all().is_null())).to_series().to_numpy()
    refused = inputs.select(pl.any_horizontal(pl.lit(value=False), selectors.string().is_null())).to_series().to_numpy()
    chosen: dict[int, list[str]] = {}
    for part in parts:
        for mask in (part.mask & ~lacking, part.mask & lacking):
            rows = np.flatnonzero(mask & ~refused)
            if len(rows):
                answers = first[rows]
                for row in {int(rows[answers.argmin()]), int(rows[answers.argmax()])}:
                    chosen.setdefault(row, []).append(part.name)
    examples: list[dict[str, Any]] = [
        {
            "slices": names,
            "input": {name: _plain(value) for name, value in inputs.row(row, named=True).items()},
            "output": {name: float(values[row]) for name, values in outputs.items()},
        }
        for row, names in sorted(chosen.items())[:MOST]
    ]
    largest = max([1.0, *(abs(answer) for example in examples for answer in example["output"].values())])
    return {"tolerance": TOLERANCE * largest, "rows": examples}


def golden_text(examples: Mapping[str, Any]) -> str:
    """Write `golden.json`: one example a line."""
    rows = ",\n".join(json.dumps(row, ensure_ascii=False) for row in examples["rows"])
    return f'{{"tolerance": {examples["tolerance"]!r}, "rows": [\n{rows}\n]}}\n'


def _plain(value: Any) -> Any:
    """Write a missing number as null: JSON has no NaN."""
    return None if isinstance(value, float) and np.isnan(value) else value
