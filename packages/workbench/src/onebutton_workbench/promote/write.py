"""Write a pipeline out of the notebook's own statements: names and comments stay, literals become parameters."""

from __future__ import annotations

import ast
import shutil
import textwrap
from collections.abc import Iterator, Sequence
from dataclasses import replace
from importlib import metadata
from pathlib import Path
from typing import Any

from onebutton_contracts.intake.drafting import Origin, draft
from onebutton_contracts.intake.roles import Roles
from onebutton_contracts.sources import sha256
from onebutton_contracts.tables import SPLIT
from onebutton_workbench.data.intake import track
from onebutton_workbench.members.lockfile import lock
from onebutton_workbench.members.new import render
from onebutton_workbench.promote.kernel import Seen
from onebutton_workbench.promote.notebook import FUNCTION, IMPORT, Statement, called, calls, file_of
from onebutton_workbench.promote.plan import LEFT, Plan, stage_of
from onebutton_workbench.runs.own_table import describe, quoted
from onebutton_workbench.workspace import Member

BROUGHT = {"onebutton_contracts", "onebutton_evaluation", "onebutton_models", "pandas", "polars"}  # by the template


def write(root: Path, member: Member, plan: Plan, seen: Seen, roles: Roles, license_: str, told: Sequence[str]) -> None:  # noqa: PLR0913, PLR0917
    """Write the pipeline, `told` being the likely leaks; the caller takes back what a failure leaves.

    Raises:
        InputError: uv cannot lock the member.
    """
    folder, needed = plan.notebook.parent, plan.needed
    beside = list(dict.fromkeys(name for one in needed for name in one.files))
    features, file = seen.features.drop(SPLIT), folder / beside[0]
    origin = Origin("rows", member.path.name, file.name, file.name, sha256(file), license_)
    imports = [part for one in needed for part in ast.walk(one.node) if isinstance(part, ast.Import | ast.ImportFrom)]
    packages = {(getattr(one, "module", None) or name.name).partition(".")[0] for one in imports for name in one.names}
    given = metadata.packages_distributions()
    left = (f"cell {one.cell.number} (`{one}`): {LEFT}" for one in plan.statements if stage_of(plan, one) == LEFT)
    code = {stage: _code(plan, stage) for stage in plan.stages} | {
        "notebook": plan.notebook.relative_to(root) if plan.notebook.is_relative_to(root) else plan.notebook.name,
        "expression": plan.headline.text,
        "quoted_label": quoted(plan.headline.text),
        "files": [f"source/{Path(one).name}" for one in beside],
        "types": seen.types or "",
        "input_types": seen.input_types or "",
        "inputs": [quoted(one) for one in features.columns if one not in {*roles.key, roles.answer}],
        "key": quoted(roles.key[0]),
        "packages": sorted({given[name][0] for name in packages - BROUGHT if name in given}),
        "notes": [*(f"likely a leak: {one}" for one in told), *left],
        **{name: getattr(plan, name) for name in ("table", "sides", "model", "passed", "steps")},
    }
    facts = describe(features, origin, roles, seen.features, [])
    facts |= {"code": code, "split": {}, "musts": []}
    render("pipeline", member, root, roles.task, facts, ("table", "promoted"))
    for name, frame, key in (("rows", seen.rows, None), ("features", features, roles.key)):
        text = draft(frame, replace(origin, name=name), {}, key).replace("make data-add", "make promote")
        (root / member.path / f"contracts/{name}.odcs.yaml").write_text(text, encoding="utf-8")
    for one in beside:
        copy = root / member.path / "source" / Path(one).name
        copy.parent.mkdir(exist_ok=True)
        shutil.copyfile(folder / one, copy)
        track(copy, root)
    lock(root)


def _code(plan: Plan, stage: str) -> dict[str, Any]:
    """Write what a template puts into the module of a stage; of features and training numbers become parameters."""
    part, folder = plan.stages[stage], plan.notebook.parent
    taken = [plan.statements[at] for at in part.statements]
    needs, outer = {name for one in taken if isinstance(one.node, FUNCTION) for name in one.uses}, list[Statement]()
    chosen = [one for one in taken if not isinstance(one.node, IMPORT)]
    for one in reversed(chosen):  # functions, and what they read
        if isinstance(one.node, FUNCTION) or one.defines & needs:
            outer.insert(0, one)
            needs |= one.uses
    body = [one for one in chosen if one not in outer]
    shown = [plan.statements[plan.headline.at]] if stage == "headline" else []
    cells = sorted({one.cell.number for one in [*body, *shown]})
    params: dict[str, float] = {}
    lines = [f"{name} = {names!r}  # as the notebook made it" for name, names in part.lists.items()]
    lines += [_written(one, folder, params if stage in {"features", "train"} else None) for one in body]
    return {
        "imports": "\n".join(ast.unparse(one.node) for one in taken if isinstance(one.node, IMPORT)),
        "functions": "\n\n\n".join(_written(one, folder) for one in outer),
        "body": textwrap.indent("\n".join(lines), "    "),
        "cells": f"cell{'s' if len(cells) > 1 else ''} {', '.join(map(str, cells))}",
        "params": params,
    }


def _written(one: Statement, folder: Path, params: dict[str, float] | None = None) -> str:
    """Write a statement with its files in `source/`, and with its numbers as parameters where these are collected."""
    tree = ast.parse(one.text)
    named: list[tuple[Any, str]] = [
        (node, f'SOURCE / "{Path(name).name}"') for node in ast.walk(tree) if (name := file_of(node, folder))
    ]
    if params is not None:
        named += [(node, f"settings.{name}") for node, name in _parameters(tree, params)]
    lines = [line.encode() for line in one.text.split("\n")]  # Python counts columns in bytes
    for node, words in sorted(named, key=lambda found: (found[0].lineno, found[0].col_offset), reverse=True):
        line = lines[node.lineno - 1]
        lines[node.lineno - 1] = line[: node.col_offset] + words.encode() + line[node.end_col_offset :]
    return b"\n".join(lines).decode()


def _parameters(tree: ast.Module, params: dict[str, float]) -> Iterator[tuple[ast.AST, str]]:
    """Find and name numbers that are given by name to an estimator or to the split, or have a name of their own."""
    named: list[tuple[str, ast.expr]] = []
    match tree.body:
        case [ast.Assign([ast.Name(name)], value)]:
            named.append((name.lower(), value))
    for call in calls(tree):
        if called(call)[:1].isupper() or called(call) == "train_test_split":
            named += [(word.arg or "", word.value) for word in call.keywords]
    for name, node in named:
        number: Any = getattr(node, "value", None)
        # a second one of the same name stays where it is, unless it is the same number
        if type(number) in {int, float} and not name.startswith("_") and params.setdefault(name, number) == number:
            yield node, name
