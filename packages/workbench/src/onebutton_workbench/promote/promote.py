"""Make a pipeline of a notebook, whole or not at all, and see that it reaches the same number. The work of `make promote`."""

from __future__ import annotations

import ast
import json
from pathlib import Path
from typing import Any

import polars as pl

from onebutton_contracts.errors import require
from onebutton_contracts.frames import facts
from onebutton_contracts.intake.roles import TAKEN, Roles, Task
from onebutton_contracts.tables import HOLDOUT, SPLIT
from onebutton_models.scoring import OnnxModel
from onebutton_workbench.data.intake import license_of
from onebutton_workbench.environment import call
from onebutton_workbench.members.new import named, written_whole
from onebutton_workbench.promote import leaks, refusals
from onebutton_workbench.promote.headline import candidates, choose
from onebutton_workbench.promote.kernel import Notebook, Seen, run
from onebutton_workbench.promote.notebook import follow, read, refuse
from onebutton_workbench.promote.plan import Plan, plan, tabled
from onebutton_workbench.promote.write import write
from onebutton_workbench.workspace import ROOT, Member

CLOSE = 1e-9
BOOTSTRAP = "packages/workbench/src/onebutton_workbench/bootstrap.py"


def promote(  # noqa: PLR0913  what may be typed
    root: Path = ROOT, *, notebook: str = "", name: str = "", metric: str = "", license_: str = "", dry: bool = False
) -> int:
    """Read a notebook, run it twice, write the pipeline, run that, and compare; or say what stands in the way.

    Args:
        root: of the repository.
        notebook: its file.
        name: of the pipeline.
        metric: which number counts, as docs/promote.md has it; the last that is printed where it is left out.
        license_: of the data, as SPDX names it.
        dry: print the plan alone.

    Raises:
        InputError: it cannot be promoted; names the cell and what mends it. Nothing was written.
    """
    path = Path(notebook).expanduser().resolve()
    require(path.is_file(), f"NOTEBOOK={notebook} is no file here; say which, as in NOTEBOOK=notebooks/churn.ipynb")
    member, license_ = named(root, "pipeline", name), license_of(license_ or "LicenseRef-internal")
    made = understand(root, path, metric)
    words = ast.unparse(made.headline.node)
    if dry:
        print("\n".join([*tabled(made), f"promote: the headline is `{words}`, {made.number!r}"]))
        return 0
    seen, roles = see_tables(made)
    told = list(leaks.tell(made, seen, roles))
    with written_whole(member, root):
        write(root, member, made, seen, roles, license_, told)
        number = run_and_compare(root, member, made)
    loose = refusals.unseeded(made.notebook.statements[at] for at in made.needed)
    mends = "; ".join(f"{cell}, `{what}`: write random_state=0 into it" for cell, what in loose)
    where = member.path.as_posix()
    for leak in told:
        print(f"promote: LIKELY A LEAK: {leak}")
    print(f"promote: wrote {where}, a draft; {made.notebook.shown} stays as it is. ", end="")
    print(f"Next: `make run PIPELINE={name}`, `make test PIPELINE={name}`")
    print(f"promote: {words}: {made.number!r} in the notebook, {number!r} in the pipeline")
    print(f"promote: what nobody could have repeated: {mends or 'nothing: both runs and the pipeline agree'}")
    print(f"promote: left for a person: the guesses in {where}/contracts, limits in gates.toml, the todos in card.toml")
    return 0


def understand(root: Path, path: Path, metric: str = "") -> Plan:
    """Read a notebook, refuse what the page shows, run it, and plan.

    Raises:
        InputError: it is refused.
    """
    cells = read(path)
    refusals.before_reading(cells, root)
    statements = follow(cells)
    require(statements, f"{path} has no cell of code")
    refusals.before_running(statements)
    found = candidates(statements)
    shown = path.relative_to(root).as_posix() if path.is_relative_to(root) else path.name
    page = Notebook(path, shown, statements)
    seen = run(page)
    return plan(page, *choose(statements, found, seen, metric), seen)


def see_tables(made: Plan) -> tuple[Seen, Roles]:
    """Run the notebook once more, keep the tables that go from stage to stage, and say which column is what.

    Raises:
        InputError: the number is another now, or a column is none that a stage could have.
    """
    seen = run(made.notebook, {made.features_from: [made.table], made.train_from: made.sides}, made.model)
    second, statements = seen.numbers[made.headline.number], made.notebook.statements
    if made.number != second:
        both = {"first": repr(made.number), "second": repr(second)}
        for cell, name in refusals.unseeded(statements[at] for at in made.needed):
            refuse(cell, "unseeded", name=name, **both)
        refuse(statements[made.headline.at].cell, "other-number", **both)
    answer, key, values = (seen.facts[one] for one in ("answer", "key", "classes"))
    inputs = seen.features.drop(key, answer, SPLIT)
    for name in sorted({*inputs.columns, answer} & TAKEN):
        refuse(statements[made.fit].cell, "column-taken", name=name)
    task: Task = "regression" if not values else "binary" if len(values) == 2 else "multiclass"  # noqa: PLR2004
    in_words = task == "multiclass" or (task == "binary" and isinstance(values[0], str))
    if task == "binary" and not in_words and values != [0, 1]:
        refuse(statements[made.fit].cell, "two-numbers", name=answer, values=f"{values[0]} or {values[1]}")
    classes = tuple(f"{one:g}" if isinstance(one, float) else str(one) for one in values) if in_words else ()
    words = tuple(name for name, kind in inputs.schema.items() if kind == pl.String)
    numbers = tuple(name for name in inputs.columns if name not in words)
    return seen, Roles(task, answer, classes, (), (key,), "", "", numbers, words, ())


def run_and_compare(root: Path, member: Member, made: Plan) -> float:
    """Run the pipeline, hold it to the notebook's number, and write down what its tests hold it to.

    Raises:
        InputError: a stage fails, or the number is another.
    """
    folder, cell = root / member.path, made.notebook.statements[made.fit].cell
    done = call("python3", BOOTSTRAP, folder=root)
    if not done.returncode:
        done = call("dvc", "repro", f"{member.path.as_posix()}/dvc.yaml", folder=root)
    if done.returncode:
        lines = [line for line in done.stderr.splitlines() if line.strip() and "failed to repro" not in line]
        refuse(cell, "does-not-run", why=" ".join(lines[-1:])[:500])
    (number,) = map(float, json.loads((folder / "headline.json").read_text(encoding="utf-8")).values())
    if abs(number - made.number) > CLOSE * max(1, abs(made.number)):
        refuse(cell, "pipeline-differs", first=repr(made.number), second=repr(number))
    tables = {name: pl.read_parquet(folder / f"data/{name}.parquet") for name in ("rows", "train", "holdout")}
    answers = OnnxModel(folder / "model/model.onnx").predict(tables["holdout"])
    tables["holdout"] = tables["holdout"].with_columns(pl.lit(HOLDOUT).alias(SPLIT))
    was: dict[str, Any] = {name: facts(table) for name, table in tables.items()}
    was |= {"headline": made.number, "answers": [float(answers.mean()), float(answers.std())]}
    (folder / "tests/characterisation.json").write_text(json.dumps(was, indent=2) + "\n", encoding="utf-8")
    return number
