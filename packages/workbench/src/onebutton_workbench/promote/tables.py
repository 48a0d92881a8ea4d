"""Which column of the notebook's tables is what, as the fitted model has it."""

from __future__ import annotations

import polars as pl

from onebutton_contracts.intake.roles import TAKEN, Roles, Task
from onebutton_contracts.tables import SPLIT
from onebutton_workbench.promote.cells import Cell
from onebutton_workbench.promote.refusals import EXPORTED, refuse
from onebutton_workbench.promote.run import Seen

SHIP = {"sklearn", "lightgbm", "xgboost"}


def find_roles(seen: Seen, cell: Cell) -> Roles:
    """Say which column is what; `cell` fits the model.

    Raises:
        InputError: no pipeline could have such a table or model.
    """
    answer, key = seen.table["answer"], seen.table["key"]
    if seen.model["module"] not in SHIP:
        refuse(cell, "no-onnx", name=f"a model of {seen.model['module']}", instead=EXPORTED)
    inputs = seen.features.drop(key, answer, SPLIT)
    for name in sorted({*inputs.columns, answer} & TAKEN):
        refuse(cell, "column-taken", name=name)
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
