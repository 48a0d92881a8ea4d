"""Find the number that a notebook is about: what it prints, returns or names, and a fitted model made."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from onebutton_contracts.errors import require
from onebutton_workbench.promote.kernel import Seen
from onebutton_workbench.promote.notebook import Statement, called, calls, names_in, refuse, walk_back

METRIC = re.compile(r"(_score|_error|_loss|_auc|_deviance)$|^(score|auc|accuracy|mae|mse|rmse|auroc|acc|r2|f1)$")
LOWER = re.compile(r"error|loss|mae|mse|deviance")  # of these, less is better


@dataclass(frozen=True)
class Candidate:
    """An expression that may be the headline number."""

    number: int  # among all of them
    at: int  # the statement that it stands in
    node: ast.expr
    label: str  # the words beside it where it is printed, or its name
    shown: bool  # whether the notebook prints or returns it


def candidates(statements: Sequence[Statement]) -> list[Candidate]:
    """Find what is printed, returned, or has a name, and mark it in the tree for `run`."""
    found: list[Candidate] = []
    for one in statements:
        match one.node:
            case ast.Assign(targets=[ast.Name(label), *_], value=value):
                shown = False
            case ast.Expr(ast.Call(ast.Name("print")) as value):
                label = " ".join(str(part.value) for part in ast.walk(value) if isinstance(part, ast.Constant))
                shown = True
            case ast.Expr(value) if one.last:
                label, shown = "", True
            case _:
                continue
        for node in _numbers(value):
            node.number = len(found)  # type: ignore[attr-defined]
            found.append(Candidate(len(found), one.index, node, label, shown))
    return found


def _numbers(node: ast.AST) -> Iterator[ast.expr]:
    """Take what is formatted out of `print("AUC", round(x, 2))`, `f"{x:.3f}"`, `"%.2f" % x` and `"{}".format(x)`."""
    match node:
        case (
            ast.Call(ast.Name("print" | "round" | "float" | "str"))
            | ast.Call(ast.Attribute(ast.Constant(), "format"))
            | ast.BinOp(ast.Constant(str()))
            | ast.JoinedStr()
            | ast.FormattedValue()
            | ast.Tuple()
        ):
            for part in ast.iter_child_nodes(node):
                yield from _numbers(part)
        case ast.expr() if not isinstance(node, ast.Constant | ast.Starred):
            yield node


def choose(
    statements: Sequence[Statement], found: Sequence[Candidate], seen: Seen, metric: str
) -> tuple[Candidate, list[Candidate]]:
    """Choose the number that METRIC= names, else the last that is printed, of several models' the best; and name the others'.

    Raises:
        InputError: no number is shown that a fitted model made.
    """
    fits = {one.number: fits_in(statements, walk_back(statements[: one.at], names_in(one.node))[0]) for one in found}
    metrics = {one.number: _metric(statements, one) for one in found}
    made = [one for one in found if one.number in seen.numbers and fits[one.number]]
    words = {one.number: f"{ast.unparse(one.node)} {one.label} {metrics[one.number]}".lower() for one in made}
    named = [one for one in made if metric.lower() in words[one.number]]
    chosen = [one for one in named if one.shown] or [one for one in named if metric or metrics[one.number]]
    if not chosen:
        can_be = "it can be a variable, a function or words"
        require(not metric, f"METRIC={metric} names no number that a fitted model made; {can_be}")
        refuse(statements[found[-1].at if found else -1].cell, "no-number")
    of_one = [one for one in made if len(fits[one.number]) == 1]
    # such as `max(before, after)`, which is one of the two
    same = [one for one in of_one if seen.numbers[one.number] == seen.numbers[chosen[-1].number]]
    last = chosen[-1] if chosen[-1] in of_one else [chosen[-1], *same][-1]
    name = metrics[last.number]
    rivals = [one for one in of_one if name and metrics[one.number] == name and fits[one.number] != fits[last.number]]
    shown = [last, *(one for one in rivals if one.shown and not metric)]
    best = (min if LOWER.search(name) else max)(shown, key=lambda one: seen.numbers[one.number])
    return best, [one for one in [*rivals, last] if fits[one.number] != fits[best.number]]


def _metric(statements: Sequence[Statement], one: Candidate) -> str:
    """Name the function behind a number; empty where it is none that is known."""
    node: ast.AST = one.node
    if isinstance(node, ast.Name):
        behind = [part for part in statements[: one.at] if node.id in part.defines]
        node = getattr(behind[-1].node, "value", node) if behind else node
    return next((name for call in calls(node) if METRIC.search(name := called(call))), "")


def fits_in(statements: Sequence[Statement], chosen: Sequence[int]) -> list[tuple[int, ast.Call]]:
    """Return the calls that fit something to answers, each with its statement, of those that are chosen."""
    found = [(at, call) for at in chosen for call in calls(statements[at].node)]
    return [(at, call) for at, call in found if called(call) == "fit" and len(call.args) + len(call.keywords) > 1]
