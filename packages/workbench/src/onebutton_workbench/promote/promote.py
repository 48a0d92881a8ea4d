"""Make a pipeline of a notebook, whole or not at all, and see that it reaches the same number. The work of `make promote`."""

import ast
import json
import shutil
import textwrap
from dataclasses import replace
from importlib import metadata
from pathlib import Path
from typing import Any

import polars as pl

from onebutton_contracts import frames
from onebutton_contracts.errors import require
from onebutton_contracts.intake.drafting import Origin, draft
from onebutton_contracts.intake.roles import TAKEN, Roles, Task
from onebutton_contracts.sources import sha256
from onebutton_contracts.tables import HOLDOUT, SPLIT
from onebutton_models.scoring import OnnxModel
from onebutton_workbench import environment
from onebutton_workbench.data.intake import license_of, track
from onebutton_workbench.members.lockfile import lock
from onebutton_workbench.members.new import named, render, written_whole
from onebutton_workbench.promote import leaks
from onebutton_workbench.promote.kernel import Seen, run
from onebutton_workbench.promote.notebook import FUNCTION, IMPORT, Statement, calls, files_in, follow, read, walk_back
from onebutton_workbench.promote.plan import LEFT, Plan, plan, stage_of, tabled
from onebutton_workbench.runs.own_table import describe, quoted
from onebutton_workbench.workspace import ROOT, Member

CLOSE = 1e-9
BOOTSTRAP = "packages/workbench/src/onebutton_workbench/bootstrap.py"
BROUGHT = {"onebutton_contracts", "onebutton_evaluation", "onebutton_models", "pandas", "polars"}  # by the template


def promote(  # noqa: PLR0913  what may be typed
    root: Path = ROOT, *, notebook: str = "", name: str = "", metric: str = "", license_: str = "", dry: bool = False
) -> int:
    """Read a notebook, run it twice, write the pipeline, run that, and compare; or say what stands in the way.

    Raises:
        InputError: it cannot be promoted; names the cell and what mends it. Nothing was written.
    """
    path = Path(notebook).expanduser().resolve()
    require(path.is_file(), f"NOTEBOOK={notebook} is no file here; say which, as in NOTEBOOK=notebooks/churn.ipynb")
    member, license_ = named(root, "pipeline", name), license_of(license_ or "LicenseRef-internal")
    made = understand(root, path, metric)
    number = f"{made.headline.text}: {made.headline.number!r} in the notebook"
    if dry:
        print("\n".join([*tabled(made), f"promote: the headline is {number}"]))
        return 0
    seen, roles = see_tables(made)
    told = list(leaks.tell(made, seen, roles))
    with written_whole(member, root):
        write(root, member, made, seen, roles, license_, told)
        reached = run_and_compare(root, member, made)
    where = member.path.as_posix()
    loose = [f"{one.cell}, `{one}`: write random_state=0 into it" for one in made.drawn(seen)]
    for line in (
        *(f"LIKELY A LEAK: {leak}" for leak in told),
        f"wrote {where}, a draft; {path.name} stays as it is. Next: `make run test PIPELINE={name}`",
        f"{number}, {reached!r} in the pipeline",
        f"what nobody could have repeated: {'; '.join(loose) or 'nothing: both runs and the pipeline agree'}",
        f"left for a person: the guesses in {where}/contracts, limits in gates.toml, the todos in card.toml",
    ):
        print(f"promote: {line}")
    return 0


def understand(root: Path, path: Path, metric: str = "") -> Plan:
    """Read a notebook, run it, and plan, or refuse it."""
    statements = follow(read(path, root), path.parent)
    require(statements, f"{path} has no cell of code")
    seen = run(path, statements)
    made = plan(path, statements, seen, metric)
    if any("seed" in one.calls for one in statements) and (drawn := made.drawn(seen)):
        drawn[-1].cell.refuse("global-state")
    return made


def see_tables(made: Plan) -> tuple[Seen, Roles]:
    """Run the notebook once more, hold it to its number, keep the tables between stages, and say which column is what."""
    seen = run(made.notebook, made.statements, made.keep)
    headline, cell = made.headline, made.fit.cell
    first, second = headline.number, seen.numbers[headline.at.index, headline.text]
    if first != second:
        drawn = made.drawn(seen)
        where = drawn[0] if drawn else headline.at
        where.cell.refuse("unseeded" if drawn else "other-number", name=where, first=first, second=second)
    answer, values = seen.answer, seen.classes
    inputs = seen.features.drop(seen.key, answer, SPLIT)
    for name in sorted({*inputs.columns, answer} & TAKEN):
        cell.refuse("column-taken", name=name)
    task: Task = "regression" if not values else "binary" if len(values) == 2 else "multiclass"  # noqa: PLR2004
    in_words = task == "multiclass" or (task == "binary" and isinstance(values[0], str))
    known = task != "binary" or in_words or values == [0, 1]
    cell.require(known, "two-numbers", name=answer, values=" or ".join(map(str, values)))
    classes = tuple(f"{one:g}" if isinstance(one, float) else str(one) for one in values) if in_words else ()
    words = tuple(name for name, kind in inputs.schema.items() if kind == pl.String)
    numbers = tuple(name for name in inputs.columns if name not in words)
    return seen, Roles(task, answer, classes, (), (seen.key,), "", "", numbers, words, ())


def write(root: Path, member: Member, plan: Plan, seen: Seen, roles: Roles, license_: str, told: list[str]) -> None:  # noqa: PLR0913, PLR0917
    """Write the pipeline, `told` being the likely leaks; the caller takes back what a failure leaves."""
    path, needed, features = plan.notebook, plan.needed, seen.features.drop(SPLIT)
    beside = {name: path.parent / name for one in needed for name in one.files}
    file = next(iter(beside.values()))
    origin = Origin("rows", member.path.name, file.name, file.name, sha256(file), license_)
    imports = [part for one in needed for part in ast.walk(one.node) if isinstance(part, ast.Import | ast.ImportFrom)]
    packages = {(getattr(one, "module", None) or name.name).partition(".")[0] for one in imports for name in one.names}
    given = metadata.packages_distributions()
    left = (f"cell {one.cell.number} (`{one}`): {LEFT}" for one in plan.statements if stage_of(plan, one) == LEFT)
    code = {stage: _code(plan, stage) for stage in plan.stages} | {
        "notebook": path.relative_to(root) if path.is_relative_to(root) else path.name,
        "expression": plan.headline.text,
        "quoted_label": quoted(plan.headline.text),
        "files": [f"source/{one.name}" for one in beside.values()],
        "types": seen.types or "",
        "input_types": seen.input_types or "",
        "inputs": [quoted(one) for one in features.columns if one not in {*roles.key, roles.answer}],
        "key": quoted(roles.key[0]),
        "packages": sorted({given[name][0] for name in packages - BROUGHT if name in given}),
        "notes": [*(f"likely a leak: {one}" for one in told), *left],
        "table": plan.stages["features"].given[0],
        "passed": [name for name in plan.stages["headline"].given if name not in {plan.model, *plan.sides}],
        **{name: getattr(plan, name) for name in ("sides", "model", "steps")},
    }
    facts = describe(features, origin, roles, seen.features, []) | {"code": code, "split": {}, "musts": []}
    render(member, root, roles.task, facts, "promoted")
    folder = root / member.path
    for name, frame, key in (("rows", seen.rows, None), ("features", features, roles.key)):
        text = draft(frame, replace(origin, name=name), {}, key).replace("make data-add", "make promote")
        (folder / f"contracts/{name}.odcs.yaml").write_text(text, encoding="utf-8")
    (folder / "source").mkdir(exist_ok=True)
    for one in beside.values():
        track(Path(shutil.copy(one, folder / "source")), root)
    lock(root)


def _code(plan: Plan, stage: str) -> dict[str, Any]:
    """Write what a template puts into the module of a stage; of features and training numbers become parameters."""
    part, folder = plan.stages[stage], plan.notebook.parent
    outside = {name for one in part.statements if isinstance(one.node, FUNCTION) for name in one.defines | one.uses}
    outer, _ = walk_back(part.statements, outside)  # functions, and what they read
    imports = [one for one in part.statements if isinstance(one.node, IMPORT)]
    body = [one for one in part.statements if one not in [*outer, *imports]]
    shown = [plan.headline.at] if stage == "headline" else []
    cells = sorted({one.cell.number for one in [*body, *shown]})
    params: dict[str, float] = {}
    lines = [f"{name} = {names!r}  # as the notebook made it" for name, names in part.lists.items()]
    lines += [_written(one, folder, params if stage in {"features", "train"} else None) for one in body]
    return {
        "imports": "\n".join(ast.unparse(one.node) for one in imports),
        "functions": "\n\n\n".join(_written(one, folder) for one in outer if one not in imports),
        "body": textwrap.indent("\n".join(lines), "    "),
        "cells": f"cell{'s' if len(cells) > 1 else ''} {', '.join(map(str, cells))}",
        "params": params,
    }


def _written(one: Statement, folder: Path, params: dict[str, Any] | None = None) -> str:
    """Write a statement with its files in `source/`, and with numbers as parameters where these are collected.

    Those have a name of their own, or are given by name to an estimator or to the split.
    """
    tree = ast.parse(one.text)
    named: dict[Any, str] = {node: f'SOURCE / "{Path(name).name}"' for node, name in files_in(tree, folder).items()}
    chosen = (call for call, name in calls(tree).items() if name[:1].isupper() or name == "train_test_split")
    values = [(word.arg or "_", word.value) for call in chosen for word in call.keywords]
    match tree.body:
        case [ast.Assign([ast.Name(name)], value)]:
            values.append((name.lower(), value))
    for name, node in values:
        number: Any = getattr(node, "value", None)
        if params is None or type(number) not in {int, float} or name.startswith("_"):
            continue
        if params.setdefault(name, number) == number:  # another number of the same name stays where it is
            named[node] = f"settings.{name}"
    lines = [line.encode() for line in one.text.split("\n")]  # Python counts columns in bytes
    for node, words in sorted(named.items(), key=lambda found: (-found[0].lineno, -found[0].col_offset)):
        line = lines[node.lineno - 1]
        lines[node.lineno - 1] = line[: node.col_offset] + words.encode() + line[node.end_col_offset :]
    return b"\n".join(lines).decode()


def run_and_compare(root: Path, member: Member, made: Plan) -> float:
    """Run the pipeline, hold it to the notebook's number, and write down what its tests hold it to."""
    folder, cell, was = root / member.path, made.fit.cell, made.headline.number
    for command in (("python3", BOOTSTRAP), ("dvc", "repro", f"{member.path.as_posix()}/dvc.yaml")):
        done = environment.call(*command, folder=root)
        lines = [line for line in done.stderr.splitlines() if line.strip() and "failed to repro" not in line]
        cell.require(not done.returncode, "does-not-run", why=" ".join(lines[-1:])[:500])
    (number,) = map(float, json.loads((folder / "headline.json").read_text(encoding="utf-8")).values())
    cell.require(abs(number - was) <= CLOSE * max(1, abs(was)), "pipeline-differs", first=was, second=number)
    tables = {name: pl.read_parquet(folder / f"data/{name}.parquet") for name in ("rows", "train", "holdout")}
    answers = OnnxModel(folder / "model/model.onnx").predict(tables["holdout"])
    tables["holdout"] = tables["holdout"].with_columns(pl.lit(HOLDOUT).alias(SPLIT))
    held: dict[str, Any] = {name: frames.facts(table) for name, table in tables.items()}
    held |= {"headline": was, "answers": [float(answers.mean()), float(answers.std())]}
    (folder / "tests/characterisation.json").write_text(json.dumps(held, indent=2) + "\n", encoding="utf-8")
    return number
