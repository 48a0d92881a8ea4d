"""Plan a pipeline: which number a notebook is about, on which statements it stands, and into which stage each goes."""

from __future__ import annotations

import ast
from collections import Counter
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple, NoReturn

import numpy as np

from onebutton_contracts.errors import require
from onebutton_contracts.frames import changed_types, from_pandas
from onebutton_evaluation.splits import as_split
from onebutton_models.conversion import REPLACEMENTS
from onebutton_workbench.promote.kernel import Seen
from onebutton_workbench.promote.notebook import (
    FUNCTION,
    IMPORT,
    Statement,
    called,
    called_in,
    calls,
    names_in,
    refuse,
    root,
    walk_back,
)

FITS = {"fit", "fit_transform", "fit_resample", "partial_fit"}
SIDES = ["column", "column", "table", "table"]  # answers and inputs, to train on and to judge
LEFT = "left out: the number does not need it"


@dataclass(frozen=True)
class Headline:
    """A number that a notebook shows or gives a name."""

    at: int  # its statement
    text: str  # its expression
    node: ast.expr
    number: float
    fits: Sequence[tuple[int, ast.Call]]  # what fits the models that it stands on, each with its statement


class Part(NamedTuple):
    """What one stage does."""

    statements: Sequence[int]  # in their order
    given: Sequence[str]  # names that it gets from the stage before
    lists: Mapping[str, list[str]]  # names of columns that the notebook made of its tables, as they were


@dataclass(frozen=True)
class Plan:
    """A pipeline."""

    notebook: Path
    statements: Sequence[Statement]
    headline: Headline
    rivals: Sequence[Headline]  # the numbers of other models
    stages: Mapping[str, Part]
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
    def needed(self) -> list[Statement]:
        """The statements of all stages."""
        return [self.statements[at] for at in sorted({at for stage in self.stages.values() for at in stage.statements})]

    def drawn(self, seen: Seen) -> list[Statement]:
        """Name those of them that drew without a seed of their own."""
        return [one for one in self.needed if one.index in seen.draws]

    def keep(self, seen: Seen, names: Mapping[str, Any]) -> None:
        """Keep the rows, numbered anew as they come to the next stage; inputs and answers by the split; the classes."""
        if seen.now == self.features_from:
            rows = names[self.table]
            seen.rows = from_pandas(rows)
            seen.types = changed_types(rows, seen.rows)
            rows.reset_index(drop=True, inplace=True)
        elif seen.now == self.train_from:
            inputs, answers, *held_out = (names[name] for name in self.sides)
            name = str(getattr(answers, "name", None) or "")
            seen.answer = name if name and name not in inputs.columns else "answer"
            seen.key = next(one for one in ("row", "row_number") if one not in {*inputs.columns, seen.answer})
            seen.features = as_split(inputs, answers, *held_out, answer=seen.answer, key=seen.key)
            seen.input_types = changed_types(inputs, from_pandas(inputs))
        elif seen.now == self.headline.at:
            seen.classes = np.asarray(getattr(names[self.model], "classes_", ())).tolist()


def choose(
    statements: Sequence[Statement], numbers: Mapping[tuple[int, str], float], metric: str
) -> tuple[Headline, list[Headline]]:
    """Choose the last number that is shown and that a fitted model made, or the one that METRIC= names; and name other models'.

    Raises:
        InputError: there is no such number.
    """
    made = list[Headline]()
    for (at, text), number in numbers.items():
        node = ast.parse(text, mode="eval").body
        behind, _ = walk_back(statements[:at], names_in(node))
        found = [(where, call) for where in behind for call in calls(statements[where].node) if called(call) == "fit"]
        if fits := [(where, call) for where, call in found if len(call.args + call.keywords) > 1]:
            made.append(Headline(at, text, node, number, fits))

    def named(one: Headline) -> tuple[bool, bool]:
        return metric.lower() in one.text.lower(), statements[one.at].shows

    beside = [one for one in made if metric.lower() in ast.unparse(statements[one.at].node).lower()]
    fitting = sorted((one for one in beside if metric or statements[one.at].shows), key=named)
    if not fitting:
        can_be = "it can be a variable, a function or words"
        require(not metric, f"METRIC={metric} names no number that a fitted model made; {can_be}")
        refuse(statements[-1].cell, "no-number")
    last = fitting[-1]
    # `max(before, after)` is the number of one of two models
    best = min([last, *(one for one in made if one.number == last.number)], key=lambda one: len(one.fits))
    return best, [one for one in made if len(one.fits) == 1 and one.fits != best.fits]


def plan(notebook: Path, statements: Sequence[Statement], seen: Seen, metric: str = "") -> Plan:
    """Choose the number, find the borders between stages, and what crosses them.

    A statement that sees nothing of the data stands in each stage that needs what it makes; any other in one.

    Raises:
        InputError: there is no such number or border; names the cell, and what stands in the way.
    """
    headline, rivals = choose(statements, seen.numbers, metric)
    wanted = names_in(headline.node)
    behind, _ = walk_back(statements[: headline.at], wanted)
    fit, model, fitted = _fit(statements, behind, headline.fits)
    reads = [at for at in behind if statements[at].files]
    if not reads:
        refuse(next(statements[at].cell for at in behind if not isinstance(statements[at].node, IMPORT)), "no-file")
    plain = _plain(statements, behind)

    def part(names: Collection[str], start: int, end: int, without: Collection[int] = ()) -> Part:
        taken, given = walk_back(statements[:end], names, lambda at: at in plain or (at >= start and at not in without))
        lists = {name: found for name, found in seen.lists.get(start, {}).items() if name in given}
        return Part(taken, sorted(given - lists.keys()), lists)

    def crossing(at: int) -> dict[str, str]:
        return {name: seen.kinds[at].get(name, "") for name in part(wanted, at, headline.at).given}

    valid = [at for at in range(fit + 1) if sorted(crossing(at).values()) == SIDES]
    if not valid:
        sided = (at for at in range(fit) if not Counter(SIDES) - Counter(crossing(at).values()))
        _refuse_border(statements, fit, crossing(next(sided, fit)))
    split = border = valid[0]
    called_by = {at: called_in(statements[at].node) for at in behind}
    learns = [at for at, names in called_by.items() if any(name[:1].isupper() or name in FITS for name in names)]
    # what is done to the tables behind the split belongs to features, until something is made that learns
    while border + 1 in valid and border not in learns:
        border += 1
    kinds = crossing(border)
    train = part({model}, border, fit + 1)
    if sorted(kinds[name] for name in train.given) != ["column", "table"]:
        refuse(statements[fit].cell, "sees-holdout", names=", ".join(train.given))
    judge = part(wanted, border, headline.at, without=train.statements)
    if trained_on := sorted({*judge.given} & {*train.given}):
        refuse(statements[headline.at].cell, "of-training", names=", ".join(trained_on))
    last_read = max([at for at in reads if at < split], default=behind[0])
    tables = [at for at in range(last_read + 1, split) if [*crossing(at).values()] == ["table"]]
    if not tables:
        refuse(statements[last_read].cell, "no-table")
    by_heading = [at for at in tables if statements[at].cell.heading != statements[at - 1].cell.heading]
    start = (by_heading or tables)[0]
    (table,) = crossing(start)
    sides = sorted(kinds, key=lambda name: (name not in train.given, kinds[name] == "column"))
    ingest, features = part({table}, 0, start), part(kinds, start, border)
    return Plan(
        notebook=notebook,
        statements=statements,
        headline=headline,
        rivals=rivals,
        stages={"ingest": ingest, "features": features, "train": train, "headline": judge},
        table=table,
        sides=sides,
        features_from=start,
        split_at=split,
        train_from=border,
        fit=fit,
        model=model,
        steps=_steps(statements[fit], [statements[at] for at in train.statements], fitted, sides[0]),
        passed=[name for name in judge.given if name not in {model, *kinds}],
    )


def _plain(statements: Sequence[Statement], behind: Collection[int]) -> set[int]:
    """Find the statements that see nothing of the data; functions see it where they are given it, and nowhere else."""
    plain, of_data, functions = set[int](), set[str](), set[str]()
    for one in statements:
        is_function, sees = isinstance(one.node, FUNCTION), one.uses & of_data
        if is_function and one.index in behind and sees - functions:
            refuse(one.cell, "reads-global", function=min(one.defines), name=min(sees - functions))
        functions |= one.defines if is_function else set()
        if sees or one.files:
            of_data |= one.defines
        else:
            plain.add(one.index)
            of_data -= one.defines
    return plain


def _fit(
    statements: Sequence[Statement], behind: Sequence[int], fits: Sequence[tuple[int, ast.Call]]
) -> tuple[int, str, str]:
    """Find the statement that fits the model, which must ship, its name, and the name of the inputs it is fitted to."""
    for one in (statements[at] for at in behind):
        for name in sorted(called_in(one.node) & REPLACEMENTS.keys()):
            refuse(one.cell, "no-onnx", name=name, instead=REPLACEMENTS[name])
    at, call = fits[-1]
    cell = statements[at].cell
    if len(fits) > 1:
        names = ", ".join(f"`{ast.unparse(one.func)}` of cell {statements[fit].cell.number}" for fit, one in fits)
        refuse(cell, "several", names=names)
    match statements[at].node, call:
        case ast.Expr() | ast.Assign(), ast.Call(ast.Attribute(ast.Name(model)), [ast.Name(inputs), ast.Name(), *_]):
            found = at, model, inputs
        case ast.Assign([ast.Name(model)]), ast.Call(args=[ast.Name(inputs), ast.Name(), *_]):
            found = at, model, inputs  # of `model = Pipeline(steps).fit(X, y)`
        case ast.Expr() | ast.Assign(), _:
            refuse(cell, "nameless")
        case _:
            refuse(cell, "loop")
    return found


def _refuse_border(statements: Sequence[Statement], fit: int, crossing: Mapping[str, str]) -> NoReturn:
    """Say why no border lies before the model is fitted: by the first name that could not cross it."""
    for name, kind in crossing.items():
        if kind not in SIDES:
            where = next((one.cell for one in reversed(statements[:fit]) if name in one.defines), statements[fit].cell)
            refuse(where, kind if kind in {"array", "polars"} else "crosses", name=name, kind=kind or "unknown")
    found = ", ".join(f"{name} ({kind})" for name, kind in crossing.items())
    refuse(statements[fit].cell, "no-split", names=found or "none")


def _steps(fit: Statement, train: Sequence[Statement], fitted: str, given: str) -> list[str]:
    """Follow the inputs from what the model is fitted to back to what training gets, through `scaler.fit_transform`."""
    steps = list[str]()
    for one in reversed(train):
        match one.node:
            case _ if fitted not in one.defines:
                pass
            case ast.Assign(value=ast.Call(ast.Attribute(step, "transform" | "fit_transform"), [ast.Name(before), *_])):
                steps.insert(0, root(step))
                fitted = before
            case _:
                refuse(one.cell, "no-step", given=given, name=fitted)
    if fitted != given:
        refuse(fit.cell, "no-step", given=given, name=fitted)
    return steps


def stage_of(plan: Plan, one: Statement) -> str:
    """Say where a statement goes, or that it goes nowhere."""
    if isinstance(one.node, IMPORT + FUNCTION):
        return "where it is used"
    stages = [
        name for name, part in plan.stages.items() if one.index in part.statements or one.defines & part.lists.keys()
    ]
    return ", ".join(stages) or ("headline" if one.index == plan.headline.at else LEFT)


def tabled(plan: Plan) -> list[str]:
    """Write the plan as a table of cells and stages."""
    lines = ["| cell | begins with | stage |", "|--:|---|---|"]
    for one in plan.statements:
        first = str(one).replace("|", "\\|")
        lines.append(f"| {one.cell.number} | `{first}` | {stage_of(plan, one)} |")
    return lines
