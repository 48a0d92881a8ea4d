"""Write a pipeline out of the notebook's own statements: names and comments stay, literals become parameters."""

from __future__ import annotations

import ast
import shutil
import textwrap
from collections.abc import Iterator, Sequence
from contextlib import suppress
from dataclasses import replace
from importlib import metadata
from itertools import accumulate
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
from onebutton_workbench.promote.notebook import Statement, called, calls, refuse
from onebutton_workbench.promote.plan import LEFT, STAGES, Plan, stage_of
from onebutton_workbench.promote.refusals import packages_of
from onebutton_workbench.runs.own_table import describe, quoted
from onebutton_workbench.workspace import Member, distribution

LONG = 200  # letters: no file is called so
BROUGHT = {"onebutton_contracts", "onebutton_evaluation", "onebutton_models", "pandas", "polars"}  # by the template
INSTALLED = "site-packages"


def write(root: Path, member: Member, plan: Plan, seen: Seen, roles: Roles, license_: str, told: Sequence[str]) -> None:  # noqa: PLR0913, PLR0917
    """Write the pipeline, `told` being the likely leaks; the caller takes back what a failure leaves.

    Raises:
        InputError: a file that the notebook reads cannot be followed, or uv cannot lock the member.
    """
    folder, statements = plan.notebook.path.parent, plan.notebook.statements
    needed = [statements[at] for at in plan.needed]
    parts = (part for one in needed for part in ast.walk(one.node))
    beside = list(dict.fromkeys(name for part in parts if (name := _file(part, folder))))
    origin, features = _origin(plan, seen, beside, license_, member.path.name), seen.features.drop(SPLIT)
    packages, given = {name for one in needed for name in packages_of(one.node)}, metadata.packages_distributions()
    left = (f"cell {one.cell.number} (`{one}`): {LEFT}" for one in statements if stage_of(plan, one) == LEFT)
    expression = ast.unparse(plan.headline.node)
    code = {stage: _code(plan, stage) for stage in STAGES} | {
        "notebook": plan.notebook.shown,
        "expression": expression,
        "quoted_label": quoted(expression),
        "files": [f"source/{Path(one).name}" for one in beside],
        **{name: repr(seen.facts[name]) if seen.facts[name] else "" for name in ("types", "input_types")},
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
        text = text if beside else text.replace("property: source\n", "property: sourceDistribution\n")
        (root / member.path / f"contracts/{name}.odcs.yaml").write_text(text, encoding="utf-8")
    for one in beside:
        copy = root / member.path / "source" / Path(one).name
        copy.parent.mkdir(exist_ok=True)
        shutil.copyfile(folder / one, copy)
        track(copy, root)
    lock(root)


def _code(plan: Plan, stage: str) -> dict[str, Any]:
    """Write what a template puts into the module of a stage; of features and training numbers become parameters."""
    statements, part, folder = plan.notebook.statements, plan.parts[stage], plan.notebook.path.parent
    chosen = [statements[at] for at in part.statements]
    needs, outer = {name for one in chosen if one.is_function for name in one.uses}, list[Statement]()
    for one in reversed(chosen):  # functions, and what they read
        if one.is_function or (one.defines & needs and not one.is_import):
            outer.insert(0, one)
            needs |= one.uses
    body = [one for one in chosen if not one.is_import and one not in outer]
    shown = [statements[plan.headline.at]] if stage == "headline" else []
    cells = sorted({one.cell.number for one in [*body, *shown]})
    name = "settings" if any("params" in one.uses | one.defines for one in chosen) else "params"
    params: dict[str, float] = {}
    lines = [f"{name} = {value!r}  # as the notebook made it" for name, value in part.carried.items()]
    lines += [_replaced(one, folder, params if stage in {"features", "train"} else None, name) for one in body]
    return {
        "imports": "\n".join(ast.unparse(one.node) for one in chosen if one.is_import),
        "functions": "\n\n\n".join(_replaced(one, folder) for one in outer),
        "body": textwrap.indent("\n".join(lines), "    "),
        "cells": f"cell{'s' if len(cells) > 1 else ''} {', '.join(map(str, cells))}",
        "params": params,
        "params_name": name,
    }


def _file(node: ast.AST, folder: Path) -> str:
    """Return the name of a file beside the notebook where a text is one."""
    text = node.value if isinstance(node, ast.Constant) else None
    fits = isinstance(text, str) and 0 < len(text) < LONG and text.isprintable() and (folder / text).is_file()
    return str(text) if fits else ""


def _replaced(one: Statement, folder: Path, params: dict[str, float] | None = None, params_name: str = "") -> str:
    """Write a statement with its files in `source/`, and with its numbers as parameters where these are collected."""
    text = textwrap.dedent(one.text)
    tree = ast.parse(text)
    named = [(node, f'SOURCE / "{Path(name).name}"') for node in ast.walk(tree) if (name := _file(node, folder))]
    if params is not None:
        named += [(node, f"{params_name}.{name}") for node, name in _parameters(tree, params)]
    content = text.encode()
    for node, words in sorted(named, key=lambda found: _place(found[0], text), reverse=True):
        first, last = _place(node, text)
        content = content[:first] + words.encode() + content[last:]
    written = content.decode()
    whole = ast.unparse(ast.parse(written))
    with suppress(SyntaxError):  # a text over several lines would change with its indentation
        if ast.unparse(ast.parse(f"if 1:\n{textwrap.indent(written, '    ')}").body[0].body) == whole:  # type: ignore[attr-defined]
            return written
    return whole


def _parameters(tree: ast.Module, params: dict[str, float]) -> Iterator[tuple[ast.AST, str]]:
    """Find and name numbers that are given by name to an estimator or to the split, or have a name of their own."""
    named: list[tuple[str, str, ast.expr]] = []
    match tree.body[0]:
        case ast.Assign(targets=[ast.Name(name)], value=given):
            named.append((name.lower(), "", given))
    for call in calls(tree):
        if called(call)[:1].isupper() or called(call) == "train_test_split":
            named += [(word.arg or "", called(call).lower(), word.value) for word in call.keywords]
    for name, owner, node in named:
        value: Any = getattr(node, "value", None)
        if type(value) not in {int, float} or not name.isidentifier() or name.startswith("_"):
            continue
        free = name if params.get(name, value) == value else f"{owner}_{name}".lstrip("_")
        if params.setdefault(free, value) == value:
            yield node, free


def _place(node: Any, text: str) -> tuple[int, int]:
    """Return where an expression begins and ends, in bytes, as Python counts columns."""
    starts = [0, *accumulate(len(line.encode()) for line in text.splitlines(keepends=True))]
    return starts[node.lineno - 1] + node.col_offset, starts[node.end_lineno - 1] + node.end_col_offset


def _origin(plan: Plan, seen: Seen, beside: Sequence[str], license_: str, name: str) -> Origin:
    """Say of which file the rows are: the first that was read, beside the notebook or of an installed distribution."""
    folder, statements = plan.notebook.path.parent, plan.notebook.statements
    known = {(folder / other).resolve() for other in beside}
    found = {folder / file: statements[at].cell for file, at in seen.files.items() if at in plan.needed}
    for one, cell in found.items():
        if INSTALLED not in one.parts and one.resolve() not in known:
            refuse(cell, "path-put-together", file=one.name)
    if not beside and not found:
        refuse(statements[0].cell, "no-file")
    file = folder / beside[0] if beside else next(iter(found))
    source = inside = file.name
    if not beside:
        package, *within = file.parts[file.parts.index(INSTALLED) + 1 :]
        source = distribution(metadata.packages_distributions().get(package, [package])[0])
        inside = "/".join((package, *within))
    return Origin("rows", name, source, inside, sha256(file), license_)
