"""Make a pipeline of a notebook, whole or not at all, and see that it reaches the same number. The work of `make promote`."""

from __future__ import annotations

import ast
import json
from pathlib import Path
from typing import Any

import polars as pl

from onebutton_contracts.errors import InputError
from onebutton_contracts.intake.roles import TAKEN, Roles, Task
from onebutton_contracts.pandas_frames import facts
from onebutton_contracts.tables import HOLDOUT, SPLIT
from onebutton_models.scoring import OnnxModel
from onebutton_workbench.data.intake import license_of
from onebutton_workbench.environment import call
from onebutton_workbench.members.new import named, written_whole
from onebutton_workbench.promote import cells, flow, leaks, refusals
from onebutton_workbench.promote.cells import Cell
from onebutton_workbench.promote.headline import candidates, choose
from onebutton_workbench.promote.plan import Plan, plan, tabled
from onebutton_workbench.promote.run import Notebook, Seen, run
from onebutton_workbench.promote.write import write
from onebutton_workbench.workspace import ROOT, Member

CLOSE = 1e-9
SHIP = {"sklearn", "lightgbm", "xgboost"}
BOOTSTRAP = "packages/workbench/src/onebutton_workbench/bootstrap.py"


def promote(  # noqa: PLR0913  what may be typed
    root: Path = ROOT, *, notebook: str = "", name: str = "", metric: str = "", license_: str = "", dry: bool = False
) -> int:
    """Read a notebook, run it twice, write the pipeline, run that, and compare; or say what stands in the way.

    Args:
        root: of the repository.
        notebook: its file.
        name: of the pipeline.
        metric: which number is the headline; where it is left out the last that is printed.
        license_: of the data, as SPDX names it.
        dry: print the plan alone.

    Raises:
        InputError: it cannot be promoted; names the cell and what mends it. Nothing was written.
    """
    path = Path(notebook).expanduser().resolve()
    if not notebook or not path.is_file():
        message = f"NOTEBOOK={notebook} is no file here; say which, as in NOTEBOOK=notebooks/churn.ipynb"
        raise InputError(message)
    member, license_ = named(root, "pipeline", name), license_of(license_ or "LicenseRef-internal")
    made = understand(root, path, metric)
    words = ast.unparse(made.headline.node)
    if dry:
        print("\n".join([*tabled(made), f"promote: the headline is `{words}`, {made.number!r}"]))
        return 0
    seen, roles = see_tables(made)
    told = list(leaks.tell(made, seen, roles))
    with written_whole(member, root):
        write(root, member, made, seen, roles, license_=license_, told=told)
        number = run_and_compare(root, member, made, seen)
    loose = refusals.unrepeatable(made.notebook.statements, made.needed)
    mends = "; ".join(f"{cell}, `{what}`: write random_state=0 into it" for cell, what in loose)
    where, shown = member.path.as_posix(), made.notebook.shown
    for line in (
        *(f"LIKELY A LEAK: {one}" for one in told),
        f"wrote {where}, a draft; {shown} stays as it is. Next: `make run PIPELINE={name}`, `make test PIPELINE={name}`",
        f"{words}: {made.number!r} in the notebook, {number!r} in the pipeline",
        f"what nobody could have repeated: {mends or 'nothing: both runs and the pipeline agree'}",
        f"left for a person: the guesses in {where}/contracts, limits in gates.toml, the todos in card.toml",
    ):
        print(f"promote: {line}")
    return 0


def understand(root: Path, path: Path, metric: str = "") -> Plan:
    """Read a notebook, refuse what the page shows, run it, and plan.

    Raises:
        InputError: it is refused.
    """
    page = cells.read(path)
    refusals.before_reading(page, root)
    statements = flow.follow(page)
    refusals.before_running(statements)
    found = candidates(statements)
    shown = path.relative_to(root).as_posix() if path.is_relative_to(root) else path.name
    notebook = Notebook(path, shown, page, statements)
    seen = run(notebook)
    chosen, rivals = choose(statements, found, seen, metric)
    return plan(notebook, chosen, rivals, seen)


def see_tables(made: Plan) -> tuple[Seen, Roles]:
    """Run the notebook once more, and keep the tables that go from stage to stage.

    Raises:
        InputError: the number is another now, or a table or the model is none that a pipeline can have.
    """
    seen = run(made.notebook, {made.features_from: made.table, made.train_from: made.sides}, made.model)
    second, statements = seen.numbers[made.headline.number], made.notebook.statements
    if made.number != second:
        numbers = {"first": repr(made.number), "second": repr(second)}
        for cell, name in refusals.unrepeatable(statements, made.needed):
            refusals.refuse(cell, "unseeded", name=name, **numbers)
        refusals.refuse(statements[made.headline.at].cell, "other-number", **numbers)
    return seen, find_roles(seen, statements[made.fit].cell)


def find_roles(seen: Seen, cell: Cell) -> Roles:
    """Say which column is what; `cell` fits the model.

    Raises:
        InputError: no pipeline could have such a table or model.
    """
    answer, key = seen.table["answer"], seen.table["key"]
    if seen.model["module"] not in SHIP:
        refusals.refuse(cell, "no-onnx", name=f"a model of {seen.model['module']}", instead=refusals.EXPORTED)
    inputs = seen.features.drop(key, answer, SPLIT)
    for name in sorted({*inputs.columns, answer} & TAKEN):
        refusals.refuse(cell, "column-taken", name=name)
    for name in [name for name, kind in inputs.schema.items() if kind.is_temporal()]:
        refusals.refuse(cell, "time-input", name=name)
    values = seen.model["classes"]
    task: Task = "regression" if not values else "binary" if len(values) == 2 else "multiclass"  # noqa: PLR2004
    in_words = task == "multiclass" or (task == "binary" and isinstance(values[0], str))
    if task == "binary" and not in_words and values != [0, 1]:
        refusals.refuse(cell, "two-numbers", name=answer, values=f"{values[0]} or {values[1]}")
    classes = tuple(f"{one:g}" if isinstance(one, float) else str(one) for one in values) if in_words else ()
    words = tuple(name for name, kind in inputs.schema.items() if kind == pl.String)
    numbers = tuple(name for name in inputs.columns if name not in words)
    return Roles(task, answer, classes, (), (key,), "", "", numbers, words, ())


def run_and_compare(root: Path, member: Member, made: Plan, seen: Seen) -> float:
    """Run the pipeline, hold it to the notebook's tables and number, and write down what its tests hold it to.

    Raises:
        InputError: a stage fails, or gives something else than the notebook.
    """
    folder, statements = root / member.path, made.notebook.statements
    done = call("python3", BOOTSTRAP, folder=root)
    if not done.returncode:
        done = call("dvc", "repro", f"{member.path.as_posix()}/dvc.yaml", folder=root)
    if done.returncode:
        lines = [line for line in done.stderr.splitlines() if line.strip() and "failed to repro" not in line]
        refusals.refuse(statements[made.fit].cell, "does-not-run", why=" ".join(lines[-1:])[:500])
    first, was = made.number, dict[str, Any]()
    for name, stage, frame in (
        ("rows", "ingest", seen.rows),
        ("train", "features", seen.features.filter(pl.col(SPLIT) != HOLDOUT)),
        ("holdout", "features", seen.features.filter(pl.col(SPLIT) == HOLDOUT)),
    ):
        was[name] = facts(frame)
        written = pl.read_parquet(folder / f"data/{name}.parquet")
        written = written.with_columns(pl.lit(HOLDOUT).alias(SPLIT)) if name == "holdout" else written
        if facts(written) != was[name]:
            numbers = sorted({statements[at].cell.number for at in made.parts[stage].statements})
            refusals.refuse(made.notebook.cells[numbers[-1] - 1], "other-table", stage=stage, cells=numbers)
    (number,) = map(float, json.loads((folder / "headline.json").read_text(encoding="utf-8")).values())
    if abs(number - first) > CLOSE * max(1, abs(first)):
        refusals.refuse(statements[made.fit].cell, "pipeline-differs", first=repr(first), second=repr(number))
    answers = OnnxModel(folder / "model/model.onnx").predict(pl.read_parquet(folder / "data/holdout.parquet"))
    was |= {"headline": first, "answers": [float(answers.mean()), float(answers.std())]}
    (folder / "tests/characterisation.json").write_text(json.dumps(was, indent=2) + "\n", encoding="utf-8")
    return number
