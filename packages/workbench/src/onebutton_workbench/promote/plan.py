"""Plan a pipeline: which number a notebook is about, on which statements it stands, and into which stage each goes."""

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
from onebutton_workbench.promote.notebook import FUNCTION, IMPORT, Statement, calls, names_in, root, walk_back

FITS = {"fit", "fit_transform", "fit_resample", "partial_fit"}
SIDES = ["column", "column", "table", "table"]  # answers and inputs, to train on and to judge
LEFT = "left out: the number does not need it"


class Headline(NamedTuple):
    """A number that a notebook shows or gives a name."""

    at: Statement
    text: str  # its expression
    node: ast.expr
    number: float
    fits: Mapping[ast.Call, Statement]  # what fits the models that it stands on


class Part(NamedTuple):
    """What one stage does."""

    start: int  # the statement where it begins
    statements: Sequence[Statement]
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
    needed: Sequence[Statement]  # of all stages
    sides: Sequence[str]  # the names of inputs and answers to train on, then of those that judge
    split_at: int  # the first statement behind the split
    fit: Statement  # fits the model
    model: str  # its name
    steps: Sequence[str]  # what fitted things the inputs go through before the model

    def drawn(self, seen: Seen) -> list[Statement]:
        """Name what is needed and drew without a seed of its own."""
        return [one for one in self.needed if one.index in seen.draws]

    def keep(self, seen: Seen, names: Mapping[str, Any]) -> None:
        """Keep the rows, numbered anew as they come to the next stage; inputs and answers by the split; the classes."""
        if seen.now == self.stages["features"].start:
            rows = names[self.stages["features"].given[0]]
            seen.rows = from_pandas(rows)
            seen.types = changed_types(rows, seen.rows)
            rows.reset_index(drop=True, inplace=True)
        elif seen.now == self.stages["train"].start:
            inputs, answers, *held_out = (names[name] for name in self.sides)
            name = str(getattr(answers, "name", None) or "")
            seen.answer = name if name and name not in inputs.columns else "answer"
            seen.key = next(one for one in ("row", "row_number") if one not in {*inputs.columns, seen.answer})
            seen.features = as_split(inputs, answers, *held_out, answer=seen.answer, key=seen.key)
            seen.input_types = changed_types(inputs, from_pandas(inputs))
        elif seen.now == self.headline.at.index:
            seen.classes = np.asarray(getattr(names[self.model], "classes_", ())).tolist()


def choose(statements: Sequence[Statement], seen: Seen, metric: str) -> tuple[Headline, list[Headline]]:
    """Choose the last number that is shown and that a fitted model made, or the one that METRIC= names; and other models'."""
    made, word = list[Headline](), metric.lower()
    for (at, text), number in seen.numbers.items():
        node = ast.parse(text, mode="eval").body
        behind, _ = walk_back(statements[:at], names_in(node))
        found = {call: one for one in behind for call, name in calls(one.node).items() if name == "fit"}
        if fits := {call: one for call, one in found.items() if len(call.args + call.keywords) > 1}:
            made.append(Headline(statements[at], text, node, number, fits))
    fitting = [one for one in made if word in ast.unparse(one.at.node).lower() and (word or one.at.shows)]
    if not fitting:
        can_be = "it can be a variable, a function or words"
        require(not metric, f"METRIC={metric} names no number that a fitted model made; {can_be}")
        statements[-1].cell.refuse("no-number")
    *_, last = sorted(fitting, key=lambda one: (word in one.text.lower(), one.at.shows))
    # `max(before, after)` is the number of one of two models
    best = min([last, *(one for one in made if one.number == last.number)], key=lambda one: len(one.fits))
    return best, [one for one in made if len(one.fits) == 1 and one.fits != best.fits]


def plan(notebook: Path, statements: Sequence[Statement], seen: Seen, metric: str = "") -> Plan:
    """Choose the number, find the borders between stages, and what crosses them; refuse the cell that stands in the way.

    A statement that sees nothing of the data stands in each stage that needs what it makes; any other in one.
    """
    headline, rivals = choose(statements, seen, metric)
    wanted, end = names_in(headline.node), headline.at.index
    behind, _ = walk_back(statements[:end], wanted)
    fit, model, fitted = _fit(behind, headline.fits)
    reads = [one.index for one in behind if one.files]
    next(one for one in behind if not isinstance(one.node, IMPORT)).cell.require(reads, "no-file")

    def part(names: Collection[str], start: int, end: int, without: Collection[Statement] = ()) -> Part:
        def is_own(one: Statement) -> bool:
            return not one.sees or (one.index >= start and one not in without)

        taken, given = walk_back(statements[:end], names, is_own)
        lists = {name: held for name, held in seen.held[start].items() if name in given and isinstance(held, list)}
        return Part(start, taken, sorted(given - lists.keys()), lists)

    def crossing(at: int) -> dict[str, str]:
        return {name: seen.held[at].get(name, "unknown") for name in part(wanted, at, end).given}

    valid = [at for at in range(fit.index + 1) if sorted(crossing(at).values()) == SIDES]
    if not valid:
        sided = (at for at in range(fit.index) if not Counter(SIDES) - Counter(crossing(at).values()))
        _refuse_border(statements[: fit.index + 1], crossing(next(sided, fit.index)))
    split = valid[0]
    # what is done to the tables behind the split belongs to features, until something is made that learns
    learns = (one.index for one in behind if any(name[:1].isupper() or name in FITS for name in one.calls))
    first = next(at for at in learns if at >= split)
    border = max(at for at in valid if at <= first)
    kinds = crossing(border)
    train = part({model}, border, fit.index + 1)
    alone = sorted(kinds[name] for name in train.given) == ["column", "table"]
    fit.cell.require(alone, "sees-holdout", names=", ".join(train.given))
    judge = part(wanted, border, end, without=train.statements)
    trained_on = sorted({*judge.given} & {*train.given})
    headline.at.cell.require(not trained_on, "of-training", names=", ".join(trained_on))
    read = max(at for at in reads if at < split)
    tables = [at for at in range(read + 1, split) if [*crossing(at).values()] == ["table"]]
    statements[read].cell.require(tables, "no-table")
    by_heading = (at for at in tables if statements[at].cell.heading != statements[at - 1].cell.heading)
    start = next(by_heading, tables[0])
    ingest, features = part(crossing(start), 0, start), part(kinds, start, border)
    stages = {"ingest": ingest, "features": features, "train": train, "headline": judge}
    sides = sorted(kinds, key=lambda name: (name not in train.given, kinds[name] == "column"))
    steps = _steps(train.statements, fitted, sides[0])
    needed = [one for one in statements if any(one in stage.statements for stage in stages.values())]
    return Plan(notebook, statements, headline, rivals, stages, needed, sides, split, fit, model, steps)


def _fit(behind: Sequence[Statement], fits: Mapping[ast.Call, Statement]) -> tuple[Statement, str, str]:
    """Find the statement that fits the model, its name, and that of the inputs it is fitted to; refuse what could not ship."""
    for one in behind:
        if isinstance(one.node, FUNCTION) and (given := one.sees.difference(one.files)):
            one.cell.refuse("reads-global", function=min(one.defines), name=min(given))
        for name in sorted(one.calls & REPLACEMENTS.keys()):
            one.cell.refuse("no-onnx", name=name, instead=REPLACEMENTS[name])
    *_, (call, fit) = fits.items()
    names = ", ".join(f"`{ast.unparse(call.func)}` of cell {one.cell.number}" for call, one in fits.items())
    fit.cell.require(len(fits) == 1, "several", names=names)
    match fit.node, call:
        case ast.Expr() | ast.Assign(), ast.Call(ast.Attribute(ast.Name(model)), [ast.Name(inputs), ast.Name(), *_]):
            return fit, model, inputs
        case ast.Assign([ast.Name(model)]), ast.Call(args=[ast.Name(inputs), ast.Name(), *_]):
            return fit, model, inputs  # of `model = Pipeline(steps).fit(X, y)`
    return fit.cell.refuse("nameless" if isinstance(fit.node, ast.Expr | ast.Assign) else "loop")


def _refuse_border(statements: Sequence[Statement], crossing: Mapping[str, str]) -> NoReturn:
    """Say why no border lies before the model is fitted, as the last does: by the first name that could not cross it."""
    for name, kind in crossing.items():
        if kind not in SIDES:
            *_, made = (one for one in statements if name in one.defines)
            made.cell.refuse(kind if kind in {"array", "polars"} else "crosses", name=name, kind=kind)
    found = ", ".join(f"{name} ({kind})" for name, kind in crossing.items())
    statements[-1].cell.refuse("no-split", names=found or "none")


def _steps(train: Sequence[Statement], fitted: str, given: str) -> list[str]:
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
                one.cell.refuse("no-step", given=given, name=fitted)
    return steps


def stage_of(plan: Plan, one: Statement) -> str:
    """Say where a statement goes, or that it goes nowhere."""
    if isinstance(one.node, IMPORT + FUNCTION):
        return "where it is used"
    stages = [name for name, part in plan.stages.items() if one in part.statements or one.defines & part.lists.keys()]
    return ", ".join(stages) or ("headline" if one is plan.headline.at else LEFT)


def tabled(plan: Plan) -> list[str]:
    """Write the plan as a table of cells and stages."""
    rows = [(one.cell.number, str(one).replace("|", "\\|"), stage_of(plan, one)) for one in plan.statements]
    head = ["| cell | begins with | stage |", "|--:|---|---|"]
    return head + [f"| {number} | `{first}` | {stage} |" for number, first, stage in rows]
