"""Find the number that a notebook is about: what it prints, returns or names, and a fitted model made."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from onebutton_contracts.errors import InputError
from onebutton_workbench.promote.flow import Statement, called, calls, live, names_in
from onebutton_workbench.promote.refusals import refuse
from onebutton_workbench.promote.run import Seen

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
        value: ast.expr | None = getattr(one.node, "value", None)
        if isinstance(one.node, ast.Assign) and isinstance(one.node.targets[0], ast.Name):
            label, shown, nodes = one.node.targets[0].id, False, [one.node.value]
        elif isinstance(value, ast.Call) and called(value) == "print":
            label = " ".join(str(part.value) for part in ast.walk(value) if isinstance(part, ast.Constant))
            shown, nodes = True, list(_printed(value))
        elif isinstance(one.node, ast.Expr) and one.last:
            label, shown, nodes = "", True, [one.node.value]
        else:
            continue
        for node in nodes:
            while isinstance(node, ast.Call) and called(node) in {"round", "float"} and node.args:
                node = node.args[0]  # noqa: PLW2901  the number itself
            if not isinstance(node, ast.Constant):
                node.number = len(found)  # type: ignore[attr-defined]
                found.append(Candidate(len(found), one.index, node, label, shown))
    return found


def _printed(node: ast.expr) -> Iterator[ast.expr]:
    """Take what is formatted out of `print("AUC", x)`, `f"{x:.3f}"`, `"%.2f" % x` and `"{}".format(x)`."""
    match node:
        case ast.Call(func=ast.Name("print"), args=parts) | ast.Tuple(parts) | ast.JoinedStr(parts):
            pass
        case ast.Call(func=ast.Attribute(ast.Constant(), "format"), args=parts):
            pass
        case ast.FormattedValue(part) | ast.BinOp(ast.Constant(), ast.Mod(), part):
            parts = [part]
        case _:
            yield node
            return
    for part in parts:
        yield from _printed(part)


def choose(
    statements: Sequence[Statement], found: Sequence[Candidate], seen: Seen, metric: str
) -> tuple[Candidate, list[Candidate]]:
    """Choose the number that METRIC= names, else the last that is printed, of several models' the best; and name the others'.

    Raises:
        InputError: no number is shown that a fitted model made.
    """
    fits = {one.number: fits_in(statements, live(statements, names_in(one.node), one.at)) for one in found}
    metrics = {one.number: _metric(statements, one) for one in found}
    made = [one for one in found if one.number in seen.numbers and fits[one.number]]
    if metric:
        low = metric.lower()
        named = [one for one in made if low in {ast.unparse(one.node).lower(), one.label.lower()}]
        named = named or [one for one in made if low in metrics[one.number]]
        chosen = named or [one for one in made if one.shown and low in one.label.lower()]
    else:
        chosen = made
    chosen = [one for one in chosen if one.shown] or [one for one in chosen if metric or metrics[one.number]]
    if not chosen and metric:
        message = f"METRIC={metric} names no number that a fitted model made; it can be a variable, a function or words"
        raise InputError(message)
    if not chosen:
        refuse(statements[found[-1].at if found else -1].cell, "no-number")
    last = chosen[-1]
    if len(fits[last.number]) > 1:  # such as `max(before, after)`, which is one of the two
        same = [one for one in made if seen.numbers[one.number] == seen.numbers[last.number]]
        last = next((one for one in reversed(same) if len(fits[one.number]) == 1), last)
    name = metrics[last.number]
    rivals = [one for one in made if name and metrics[one.number] == name and fits[one.number] != fits[last.number]]
    rivals = [one for one in rivals if len(fits[one.number]) == 1]
    best = (min if LOWER.search(name) else max)(
        [last, *(one for one in rivals if one.shown and not metric)], key=lambda one: seen.numbers[one.number]
    )
    return best, [one for one in [*rivals, last] if fits[one.number] != fits[best.number]]


def _metric(statements: Sequence[Statement], one: Candidate) -> str:
    """Name the function behind a number; empty where it is none that is known."""
    node: ast.AST = one.node
    if isinstance(node, ast.Name):
        behind = [part for part in statements[: one.at] if node.id in part.defines]
        node = getattr(behind[-1].node, "value", node) if behind else node
    return next((name for call in calls(node) if METRIC.search(name := called(call))), "")


def fits_in(statements: Sequence[Statement], chosen: Sequence[int]) -> list[int]:
    """Return those of some statements that fit something to answers."""
    return [at for at in chosen if any(is_fit(call) for call in calls(statements[at].node))]


def is_fit(call: ast.Call) -> bool:
    """Whether a call fits something to answers."""
    return isinstance(call.func, ast.Attribute) and call.func.attr == "fit" and len(call.args) + len(call.keywords) > 1
