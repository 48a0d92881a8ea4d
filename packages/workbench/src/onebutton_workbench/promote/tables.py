"""The tables that a notebook had where stages will begin, and which of their columns is what."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import polars as pl

from onebutton_contracts.intake.roles import TAKEN, Roles, Task
from onebutton_contracts.tables import HOLDOUT, SPLIT
from onebutton_evaluation.splits import FIT
from onebutton_workbench.promote.cells import Cell
from onebutton_workbench.promote.notebook import Seen
from onebutton_workbench.promote.plan import Plan
from onebutton_workbench.promote.refusals import EXPORTED, refuse

SHIP = {"sklearn", "lightgbm", "xgboost"}


@dataclass(frozen=True)
class Tables:
    """What a run of the notebook had at the borders between stages.

    Attributes:
        rows: what ingest is to write.
        features: inputs, answer, key, and `split`: what features is to write.
        types: of columns of `rows` that have others in pandas than in a contract.
        input_types: the same, of `features`.
    """

    rows: pl.DataFrame
    features: pl.DataFrame
    roles: Roles
    types: Mapping[str, str]
    input_types: Mapping[str, str]

    def part(self, split: str) -> pl.DataFrame:
        """Return the rows that train, `fit`, or those that judge, `holdout`."""
        return self.features.filter(pl.col(SPLIT) == split)


def collect(seen: Seen, folder: Path, plan: Plan, cell: Cell) -> Tables:
    """Read what a run kept.

    Args:
        seen: the run.
        folder: where its tables are.
        plan: of the pipeline.
        cell: that fits the model.

    Raises:
        InputError: no pipeline could have such a table or model.
    """
    frames = {name: pl.read_parquet(folder / f"{name}.parquet") for name in (plan.table, *plan.sides)}
    about = seen.tables[plan.sides[1]]
    if seen.model["module"] not in SHIP:
        refuse(cell, "no-onnx", name=f"a model of {seen.model['module']}", instead=EXPORTED)
    inputs = frames[plan.sides[0]].columns
    for name in sorted({*inputs, about["name"]} & TAKEN):
        refuse(cell, "column-taken", name=name)
    answer = about["name"] if about["name"] and about["name"] not in inputs else "answer"
    key = next(name for name in ("row", "row_number", "row_of_table") if name not in {*inputs, answer})
    parts = []
    for side, answers, split in ((*plan.sides[:2], FIT), (*plan.sides[2:], HOLDOUT)):
        column = frames[answers].to_series()
        column = column.cast(pl.Int64) if column.dtype == pl.Boolean else column
        parts.append(frames[side].with_columns(column.alias(answer), pl.lit(split).alias(SPLIT)))
    both = pl.concat(parts)
    index = [one for name in (plan.sides[0], plan.sides[2]) for one in seen.tables[name]["index"] or []]
    numbers = index if len({*index}) == both.height else range(both.height)  # as `as_split` does
    features = both.select(pl.Series(key, numbers, pl.Int64), pl.all())
    kinds = {*about["types"].values()} - {"object", "bool"}
    types = {**seen.tables[plan.sides[0]]["types"], **dict.fromkeys([answer] if kinds else [], min(kinds, default=""))}
    return Tables(
        frames[plan.table], features, _roles(features, seen, answer, key, cell), seen.tables[plan.table]["types"], types
    )


def _roles(features: pl.DataFrame, seen: Seen, answer: str, key: str, cell: Cell) -> Roles:
    """Say which column is what, as the fitted model has it."""
    inputs = features.drop(key, answer, SPLIT)
    for name in [name for name, kind in inputs.schema.items() if kind.is_temporal()]:
        refuse(cell, "time-input", name=name)
    values = seen.model["classes"]
    task: Task = "regression" if not values else "binary" if len(values) == 2 else "multiclass"  # noqa: PLR2004
    in_words = task == "multiclass" or (task == "binary" and isinstance(values[0], str))
    if task == "binary" and not in_words and values != [0, 1]:
        refuse(cell, "two-numbers", name=answer, values=f"{values[0]} or {values[1]}")
    classes = tuple(f"{one:g}" if isinstance(one, float) else str(one) for one in values) if in_words else ()
    words = tuple(name for name, kind in inputs.schema.items() if kind == pl.String)
    numbers = tuple(name for name in inputs.columns if name not in words)
    return Roles(task, answer, classes, (), (key,), "", "", numbers, words, ())
