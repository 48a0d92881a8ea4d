"""Plan a pipeline: which statements a number stands on, and into which stage each goes."""

from __future__ import annotations

import ast
import re
from collections import Counter
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, NoReturn

from onebutton_workbench.promote.headline import Candidate, fits_in
from onebutton_workbench.promote.kernel import Notebook, Seen
from onebutton_workbench.promote.notebook import (
    Statement,
    called,
    called_in,
    names_in,
    refuse,
    root,
    walk_back,
)
from onebutton_workbench.promote.refusals import hold_needed

READS = re.compile(r"^(read_\w+|scan_\w+|load_\w+|open|loadtxt|genfromtxt)$")
FITS = {"fit", "fit_transform", "fit_resample", "partial_fit"}
SIDES = ["column", "column", "table", "table"]  # answers and inputs, to train on and to judge
STAGES = ("ingest", "features", "train", "headline")
LEFT = "left out: the number does not need it"


@dataclass(frozen=True)
class Part:
    """What one stage does."""

    statements: Sequence[int]  # in their order
    given: Sequence[str]  # names that it gets from the stage before
    carried: Mapping[str, object]  # lists and texts that the notebook made of its tables, as they were


@dataclass(frozen=True)
class Plan:
    """A pipeline."""

    notebook: Notebook
    headline: Candidate
    number: float  # that it was
    rivals: Sequence[Candidate]  # the same number of other models
    parts: Mapping[str, Part]  # by stage
    table: str  # the name that goes from ingest to features
    sides: Sequence[str]  # the names of inputs and answers to train on, then of those that judge
    features_from: int  # the statement where features begins
    split_at: int  # the first statement behind the split
    train_from: int  # where training begins
    fit: int  # the statement that fits the model
    model: str  # its name
    steps: Sequence[str]  # what fitted things the inputs go through before the model
    passed: Sequence[str]  # what training hands to the headline

    @property
    def needed(self) -> list[int]:
        """The statements of all stages."""
        return sorted({at for part in self.parts.values() for at in part.statements})


def plan(notebook: Notebook, headline: Candidate, rivals: Sequence[Candidate], seen: Seen) -> Plan:
    """Find the borders between stages, and what crosses them.

    A statement that sees nothing of the data stands in each stage that needs what it makes; any other in one.

    Raises:
        InputError: there is no such border; names the cell, and what stands in the way.
    """
    statements, wanted = notebook.statements, names_in(headline.node)
    behind, _ = walk_back(statements[: headline.at], wanted)
    fit, model, fitted = _fit(statements, behind)
    plain, reads = _apart(statements)
    hold_needed(statements, behind, plain)

    def part(names: Collection[str], start: int, end: int, without: Collection[int] = ()) -> Part:
        taken, given = walk_back(statements[:end], names, lambda at: at in plain or (at >= start and at not in without))
        carried = {name: seen.values[start][name] for name in given & seen.values.get(start, {}).keys()}
        return Part(taken, sorted(given - carried.keys()), carried)

    def crossing(at: int) -> dict[str, str]:
        return {name: seen.kinds[at].get(name, "") for name in part(wanted, at, headline.at).given}

    valid = [at for at in range(fit + 1) if sorted(crossing(at).values()) == SIDES]
    if not valid:
        sided = (at for at in range(fit) if not Counter(SIDES) - Counter(crossing(at).values()))
        _refuse_border(statements, fit, crossing(next(sided, fit)))
    split = border = valid[0]
    # what is done to the tables behind the split belongs to features, until something is made that learns
    while border + 1 in valid and not (border in behind and _learns(statements[border])):
        border += 1
    kinds = crossing(border)
    train = part({model}, border, fit + 1)
    if sorted(kinds[name] for name in train.given) != ["column", "table"]:
        refuse(statements[fit].cell, "sees-holdout", names=", ".join(train.given))
    judge = part(wanted, border, headline.at, without=train.statements)
    if trained_on := sorted({*judge.given} & {*train.given}):
        refuse(statements[headline.at].cell, "of-training", names=", ".join(trained_on))
    inputs, answers, inputs_held_out, answers_held_out = sorted(
        kinds, key=lambda name: (name not in train.given, kinds[name] == "column")
    )
    last_read = max([at for at in behind if at < split and at in reads], default=-1)
    tables = [at for at in range(last_read + 1, split) if [*crossing(at).values()] == ["table"]]
    if not tables:
        refuse(statements[max(last_read, behind[0])].cell, "no-table")
    by_heading = [at for at in tables if statements[at].cell.heading != statements[at - 1].cell.heading]
    start = (by_heading or tables)[0]
    (table,) = crossing(start)
    return Plan(
        notebook=notebook,
        headline=headline,
        number=seen.numbers[headline.number],
        rivals=rivals,
        parts={
            "ingest": part({table}, 0, start),
            "features": part(kinds, start, border),
            "train": train,
            "headline": judge,
        },
        table=table,
        sides=[inputs, answers, inputs_held_out, answers_held_out],
        features_from=start,
        split_at=split,
        train_from=border,
        fit=fit,
        model=model,
        steps=_steps(statements, train.statements, fitted, inputs, statements[fit]),
        passed=[name for name in judge.given if name not in {model, *kinds}],
    )


def _learns(one: Statement) -> bool:
    return any(name[:1].isupper() or name in FITS for name in called_in(one.node))


def _apart(statements: Sequence[Statement]) -> tuple[set[int], set[int]]:
    """Tell the statements that see nothing of the data, directly or through others, and those that read it."""
    plain, reads = set[int](), set[int]()
    of_data, readers = set[str](), set[str]()
    for one in statements:
        if any(READS.match(name) or name in readers for name in called_in(one.node)):
            (readers.update(one.defines) if one.is_function else reads.add(one.index))
        if one.index in reads or one.uses & of_data:
            of_data |= one.defines
        else:
            plain.add(one.index)
            of_data -= one.defines
    return plain, reads


def _fit(statements: Sequence[Statement], behind: Sequence[int]) -> tuple[int, str, str]:
    """Find what fits the model, its name, and the name of the inputs that it is fitted to."""
    fits = {}
    for at, call in fits_in(statements, behind):
        node, cell, owner = statements[at].node, statements[at].cell, getattr(call.func, "value", None)
        if not isinstance(node, ast.Expr | ast.Assign):
            refuse(cell, "loop")
        # of `model = Pipeline(steps).fit(X, y)` it is model, X and y
        model = owner if isinstance(owner, ast.Name) else getattr(node, "targets", [None])[0]
        given = [*call.args, *(word.value for word in call.keywords)][:2]
        names = [getattr(part, "id", "") for part in (model, *given)]
        if not all(names):
            refuse(cell, "nameless")
        fits[names[0]] = (at, names[0], names[1])
    last = max(fits.values())
    if len(fits) > 1:
        cells = ", ".join(f"{name} of cell {statements[at].cell.number}" for at, name, _ in fits.values())
        refuse(statements[last[0]].cell, "several", names=cells)
    return last


def _refuse_border(statements: Sequence[Statement], fit: int, crossing: Mapping[str, str]) -> NoReturn:
    """Say why no border lies before the model is fitted: by the first name that could not cross it."""
    for name, kind in crossing.items():
        if kind not in SIDES:
            where = next((one.cell for one in reversed(statements[:fit]) if name in one.defines), statements[fit].cell)
            refuse(where, kind if kind in {"array", "polars"} else "crosses", name=name, kind=kind or "unknown")
    found = ", ".join(f"{name} ({kind})" for name, kind in crossing.items())
    refuse(statements[fit].cell, "no-split", names=found or "none")


def _steps(
    statements: Sequence[Statement], train: Collection[int], fitted: str, given: str, fit: Statement
) -> list[str]:
    """Follow the inputs from what training gets to what the model is fitted to, through `scaler.fit_transform`."""
    steps = list[str]()
    while fitted != given:
        one = next((statements[at] for at in reversed([*train]) if fitted in statements[at].defines), fit)
        call: Any = getattr(one.node, "value", None)
        steady = isinstance(call, ast.Call) and called(call) in {"transform", "fit_transform"}
        if one is fit or not steady or not isinstance(call.args[0], ast.Name):
            refuse(one.cell, "no-step", given=given, name=fitted)
        steps.insert(0, root(call.func))
        fitted = call.args[0].id
    return steps


def stage_of(plan: Plan, one: Statement) -> str:
    """Say where a statement goes, or that it goes nowhere."""
    if one.is_import or one.is_function:
        return "where it is used"
    stages = [stage for stage in STAGES if one.index in plan.parts[stage].statements]
    return ", ".join(stages) or ("headline" if one.index == plan.headline.at else LEFT)


def tabled(plan: Plan) -> list[str]:
    """Write the plan as a table of cells and stages."""
    lines = ["| cell | begins with | stage |", "|--:|---|---|"]
    for one in plan.notebook.statements:
        first = str(one).replace("|", "\\|")
        lines.append(f"| {one.cell.number} | `{first}` | {stage_of(plan, one)} |")
    return lines
