"""Plan a pipeline: which statements a number stands on, and into which stage each goes."""

from __future__ import annotations

import ast
import builtins
import re
from collections import Counter
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, NoReturn

from onebutton_contracts.errors import InputError
from onebutton_workbench.promote.flow import (
    METRIC,
    RANDOM,
    Candidate,
    Statement,
    called,
    called_in,
    calls,
    constants,
    live,
    needed,
    root,
)
from onebutton_workbench.promote.notebook import Seen
from onebutton_workbench.promote.refusals import hold_needed, refuse

READS = re.compile(r"^(read_\w+|scan_\w+|load_\w+|open|loadtxt|genfromtxt)$")
FITS = {"fit", "fit_transform", "fit_resample", "partial_fit"}
PLOTS = re.compile(r"\b(plt|sns|px|go|ax|axes|fig)\b|\.(plot|hist|boxplot)\b")
LOWER = re.compile(r"error|loss|mae|mse|deviance")
SIDES = ["column", "column", "table", "table"]  # answers and inputs, to train on and to judge
STAGES = ("ingest", "features", "train", "headline")


@dataclass(frozen=True)
class Part:
    """What one stage does.

    Attributes:
        statements: in their order.
        given: names that it gets from the stage before.
        carried: lists and texts that the notebook made of its tables, as they were.
    """

    statements: tuple[int, ...]
    given: tuple[str, ...]
    carried: Mapping[str, object]


@dataclass(frozen=True)
class Plan:
    """A pipeline.

    Attributes:
        headline: the expression, as `flow.candidates` found it.
        needed: the statements that it stands on.
        parts: by stage.
        table: the name that goes from ingest to features.
        sides: the names of inputs and answers to train on, then of those that judge.
        features_from: where features begins.
        split_at: the first statement behind the split.
        train_from: where training begins.
        fit: the statement that fits the model.
        model: its name.
        steps: what fitted things the inputs go through before the model.
        passed: what training hands to the headline.
    """

    headline: Candidate
    needed: frozenset[int]
    parts: Mapping[str, Part]
    table: str
    sides: tuple[str, ...]
    features_from: int
    split_at: int
    train_from: int
    fit: int
    model: str
    steps: tuple[str, ...]
    passed: tuple[str, ...]


def names_in(node: ast.AST) -> set[str]:
    """Name what an expression reads."""
    return {one.id for one in ast.walk(node) if isinstance(one, ast.Name)}


def headline(
    statements: Sequence[Statement], found: Sequence[Candidate], seen: Seen, metric: str
) -> tuple[Candidate, list[Candidate]]:
    """Choose the headline number: the one that METRIC= names, else the last that is printed, of several models' the best.

    Returns:
        It, and the same metric of other models.

    Raises:
        InputError: no number is shown that a fitted model made.
    """
    made = [one for one in found if one.number in seen.numbers and _fits(statements, behind(statements, one))]
    if metric:
        low = metric.lower()
        made = [
            one
            for one in made
            if low in {ast.unparse(one.node).lower(), one.label.lower()} or low in _metric(statements, one)
        ] or [one for one in made if one.shown and low in one.label.lower()]
    chosen = (
        [one for one in made if one.shown]
        or [one for one in made if _metric(statements, one)]
        or (made if metric else [])
    )
    if not chosen and metric:
        message = f"METRIC={metric} names no number that a fitted model made; it can be a variable, a function or words"
        raise InputError(message)
    if not chosen:
        refuse(statements[found[-1].at if found else -1].cell, "no-number")
    last = chosen[-1]
    if isinstance(last.node, ast.Call) and called(last.node) in {"max", "min"}:  # its arguments are candidates, too
        chosen = [one for one in chosen if one is not last] or chosen
        last = next(
            (
                one
                for one in reversed(chosen)
                if one.at == last.at and seen.numbers[one.number] == seen.numbers[last.number]
            ),
            last,
        )
    name, fits = _metric(statements, last), _fits(statements, behind(statements, last))
    rivals = [
        one
        for one in chosen
        if name and _metric(statements, one) == name and _fits(statements, behind(statements, one)) != fits
    ]
    best = (min if LOWER.search(name) else max)([*rivals, last], key=lambda one: seen.numbers[one.number])
    best = last if metric or seen.numbers[best.number] == seen.numbers[last.number] else best
    return best, [one for one in [*rivals, last] if one is not best]


def behind(statements: Sequence[Statement], one: Candidate) -> list[int]:
    """Return the statements that a number stands on."""
    return live(statements, names_in(one.node), one.at)


def _metric(statements: Sequence[Statement], one: Candidate) -> str:
    """Name the function behind a number; empty where it is none that is known."""
    node: ast.AST = one.node
    if isinstance(node, ast.Name):
        behind = [part for part in statements[: one.at] if node.id in part.defines]
        node = getattr(behind[-1].node, "value", node) if behind else node
    names = [called(call) for call in calls(node)]
    return next((name for name in names if METRIC.search(name)), "")


def _fits(statements: Sequence[Statement], chosen: Collection[int]) -> list[int]:
    """Return the statements that fit something to answers."""
    return [at for at in chosen if any(_is_fit(call) for call in calls(statements[at].node))]


def _is_fit(call: ast.Call) -> bool:
    return isinstance(call.func, ast.Attribute) and call.func.attr == "fit" and len(call.args) + len(call.keywords) > 1


def plan(statements: Sequence[Statement], chosen: Candidate, seen: Seen) -> Plan:
    """Find the borders between stages, and what crosses them.

    Raises:
        InputError: there is no such border; names the cell, and what stands in the way.
    """
    wanted = names_in(chosen.node)
    stood_on = behind(statements, chosen)
    fit, model, given = _fit(statements, stood_on)
    hold_needed(statements, stood_on)
    plain = _Plain(statements, frozenset(stood_on), seen)

    def crossing(at: int) -> dict[str, str]:
        need = needed(statements[: chosen.at], stood_on, wanted, at)
        return {name: seen.kinds[at].get(name, "") for name in sorted(need) if not plain.is_plain(name, at)}

    valid = [at for at in range(fit + 1) if sorted(crossing(at).values()) == SIDES]
    if not valid:
        sided = (at for at in range(fit) if not Counter(SIDES) - Counter(crossing(at).values()))
        _refuse_border(statements, fit, crossing(next(sided, fit)))
    split = valid[0]
    border = split
    while border + 1 in valid and not (border in stood_on and _estimates(statements[border].node)):
        border += 1
    sides = crossing(border)
    train = plain.part({model}, border, fit + 1, sides)
    known = [name for name in sides if name in train.given]
    held = [name for name in sides if name not in known]
    if sorted(sides[name] for name in known) != ["column", "table"]:
        refuse(statements[fit].cell, "sees-holdout", names=", ".join(known))
    by_kind = [sorted(names, key=lambda name: sides[name] == "column") for names in (known, held)]
    after = plain.part(wanted, border, chosen.at, sides, without=train.statements, besides={model})
    passed = tuple(name for name in after.given if name not in held and name != model)
    if trained_on := sorted({*passed} & {*known}):
        refuse(statements[chosen.at].cell, "of-training", names=", ".join(trained_on))
    reads = [at for at in stood_on if at < split and _reads(statements, statements[at])]
    tables = [at for at in range((reads[-1] if reads else -1) + 1, split) if list(crossing(at).values()) == ["table"]]
    if not tables:
        refuse(statements[reads[-1] if reads else stood_on[0]].cell, "no-table")
    by_heading = [at for at in tables if statements[at].cell.heading != statements[at - 1].cell.heading]
    start = by_heading[0] if by_heading else tables[0]
    table = next(iter(crossing(start)))
    parts = {
        "ingest": plain.part({table}, 0, start, {}),
        "features": plain.part(set(sides), start, border, {table: "table"}),
        "train": replace(train, given=tuple(by_kind[0])),
        "headline": replace(after, given=(model, *passed, *by_kind[1])),
    }
    steps = _steps(statements, train.statements, given[0], by_kind[0][0], statements[fit])
    whole = frozenset(at for part in parts.values() for at in part.statements)
    return Plan(
        chosen, whole, parts, table, (*by_kind[0], *by_kind[1]), start, split, border, fit, model, steps, passed
    )


def _fit(statements: Sequence[Statement], stood_on: Sequence[int]) -> tuple[int, str, list[str]]:
    """Find what fits the model, its name, and the names that it is fitted to."""
    models: dict[str, int] = {}
    for one in (statements[at] for at in _fits(statements, stood_on)):
        if not isinstance(one.node, ast.Expr | ast.Assign):
            refuse(one.cell, "loop")
        name = _fitted(one.node)[0]
        models[name] = one.index
    last = statements[max(models.values())]
    name, *given = _fitted(last.node)
    if len(models) > 1:
        refuse(
            last.cell,
            "several",
            names=", ".join(f"{name} of cell {statements[at].cell.number}" for name, at in models.items()),
        )
    if not all((name, *given)):
        refuse(last.cell, "nameless")
    return last.index, name, given


def _fitted(node: ast.stmt) -> list[str]:
    """Name what is fitted, and to what: of `model = Pipeline(steps).fit(X, y)` it is model, X and y."""
    call = next(call for call in calls(node) if _is_fit(call))
    owner = getattr(call.func, "value", None)
    target = node.targets[0] if isinstance(node, ast.Assign) else None
    given = [*call.args, *(word.value for word in call.keywords)][:2]
    return [getattr(one, "id", "") for one in (owner if isinstance(owner, ast.Name) else target, *given)]


def _estimates(node: ast.AST) -> bool:
    return any(called(call)[:1].isupper() or called(call) in FITS for call in calls(node))


def _reads(statements: Sequence[Statement], one: Statement) -> bool:
    names = called_in(one.node)
    own = [part.node for part in statements if part.is_function and part.defines & names]
    return not one.is_function and any(READS.match(called(call)) for node in (one.node, *own) for call in calls(node))


def _refuse_border(statements: Sequence[Statement], fit: int, crossing: Mapping[str, str]) -> NoReturn:
    """Say why no border lies before the model is fitted: by the first name that could not cross it."""
    for name, kind in sorted(crossing.items(), key=lambda one: one[0] != RANDOM):
        where = next((one.cell for one in reversed(statements[:fit]) if name in one.defines), statements[fit].cell)
        if name == RANDOM:
            refuse(where, "global-state")
        if kind not in {"table", "column"}:
            if kind == "array" and (leaks := [one for one in statements[:fit] if FITS & called_in(one.node)]):
                refuse(leaks[0].cell, "fitted-array", name=name)
            refuse(where, kind if kind in {"array", "polars"} else "crosses", name=name, kind=kind or "unknown")
    found = ", ".join(f"{name} ({kind})" for name, kind in crossing.items())
    refuse(statements[fit].cell, "no-split", names=found or "none")


def _steps(
    statements: Sequence[Statement], train: Collection[int], fitted: str, given: str, fit: Statement
) -> tuple[str, ...]:
    """Follow the inputs from what training gets to what the model is fitted to, through `scaler.fit_transform`."""
    steps: list[str] = []
    name = fitted
    while name != given:
        made = [part for part in statements[: fit.index] if part.index in train and name in part.defines]
        one = made[-1] if made else fit
        call: Any = getattr(one.node, "value", None)
        steady = isinstance(call, ast.Call) and called(call) in {"transform", "fit_transform"}
        if not steady or not isinstance(call.args[0], ast.Name):
            refuse(one.cell, "no-step", given=given, name=name)
        steps.append(root(call.func))
        name = call.args[0].id
    return tuple(reversed(steps))


class _Plain:
    """Knows which names are made of no table, so that each stage may make them again."""

    def __init__(self, statements: Sequence[Statement], behind: frozenset[int], seen: Seen) -> None:
        self._statements, self._behind, self._seen = statements, behind, seen
        self._outside = set(dir(builtins)) | {
            name for one in statements if one.is_import or one.is_function for name in one.defines
        } - {RANDOM}

    def is_plain(self, name: str, at: int) -> bool:
        """Whether a name need not come from the stage before."""
        return name in self._outside or self._again(name, at) is not None or name in self._seen.values.get(at, {})

    def _again(self, name: str, at: int) -> list[int] | None:
        """Return the statements that make a name anew, none of which sees a table or a column."""
        found = live(self._statements, {name}, at)
        for one in (self._statements[index] for index in found):
            kinds = self._seen.kinds[one.index + 1]
            sees = any(kinds.get(used) in {"table", "column", "array", "polars"} for used in one.uses | one.defines)
            if sees or _reads(self._statements, one):
                return None
        return found

    def part(  # noqa: PLR0913  what bounds a stage
        self,
        wanted: Collection[str],
        start: int,
        end: int,
        given: Mapping[str, str],
        *,
        without: Collection[int] = (),
        besides: Collection[str] = (),
    ) -> Part:
        """Collect the statements of a stage.

        Args:
            wanted: names that it must make.
            start: the first statement that may be in it.
            end: behind the last.
            given: what it may get from the stage before.
            without: statements of another stage, whose names it gets from there.
            besides: names that it gets in any case.
        """
        need, found = set(wanted), list[int]()
        made = {name for at in without for name in self._statements[at].defines} | {*besides}
        taken = need & made
        for one in reversed(self._statements[start:end]):
            able = one.index not in without and (one.index in self._behind or one.index == end - 1)
            if able and one.defines & need:
                found.append(one.index)
                need = (need - (one.defines - one.changes)) | one.uses
                taken |= need & made
        taken &= need
        need -= taken
        got, carried = sorted(need & given.keys()), dict[str, object]()
        for name in sorted(need - given.keys() - self._outside):
            again = self._again(name, start)
            if again is not None:
                found += again
            elif name in self._seen.values.get(start, {}):
                carried[name] = self._seen.values[start][name]
        functions = self._functions({name for at in found for name in self._statements[at].uses} | need)
        return Part(tuple(sorted({*found} - functions)), (*got, *sorted(taken)), carried)

    def _functions(self, used: Collection[str]) -> set[int]:
        return {one.index for one in self._statements if (one.is_function or one.is_import) and one.defines & set(used)}


def outside(statements: Sequence[Statement], used: Collection[str]) -> tuple[list[Statement], list[Statement]]:
    """Return the imports and functions that some names need, and those that these need, in their order."""
    need, chosen = set(used), set[int]()
    fixed = constants(statements)
    for one in reversed(statements):
        if one.defines & need and (one.is_import or one.is_function or (one.index in chosen)):
            chosen.add(one.index)
            need |= one.uses
    functions = [statements[at] for at in sorted(chosen) if statements[at].is_function]
    inner = {name for one in functions for name in one.uses} & fixed.keys()
    return [statements[at] for at in sorted(chosen) if statements[at].is_import], sorted(
        [*functions, *(fixed[name] for name in inner)], key=lambda one: one.index
    )


def stage_of(plan: Plan, one: Statement) -> str:
    """Say where a statement goes, or why it goes nowhere."""
    for stage in STAGES:
        if one.index in plan.parts[stage].statements:
            return stage
    if one.is_import or one.is_function:
        return "where it is used"
    if one.index == plan.headline.at:
        return "headline"
    if PLOTS.search(one.text):
        return "left out: a plot; evaluate draws those of the model"
    return "left out: the number does not need it"


def said_of(one: Statement) -> str:
    """Name a statement by its cell and how it begins."""
    return f"cell {one.cell.number} (`{ast.unparse(one.node).splitlines()[0][:60]}`)"


def tabled(plan: Plan, statements: Sequence[Statement]) -> list[str]:
    """Write the plan as a table of cells and stages."""
    lines = ["| cell | begins with | stage |", "|--:|---|---|"]
    for one in statements:
        first = ast.unparse(one.node).splitlines()[0][:60].replace("|", "\\|")
        lines.append(f"| {one.cell.number} | `{first}` | {stage_of(plan, one)} |")
    return lines
