"""Make a pipeline of a notebook, whole or not at all, and see that it reaches the same number. The work of `make promote`."""

from __future__ import annotations

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
from onebutton_workbench.promote import leaks
from onebutton_workbench.promote.kernel import Seen, run
from onebutton_workbench.promote.notebook import called_in, follow, hold_page, read, refuse
from onebutton_workbench.promote.plan import Plan, plan, tabled
from onebutton_workbench.promote.write import write
from onebutton_workbench.workspace import ROOT, Member

CLOSE = 1e-9
BOOTSTRAP = "packages/workbench/src/onebutton_workbench/bootstrap.py"


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
    words, number = made.headline.text, made.headline.number
    if dry:
        print("\n".join([*tabled(made), f"promote: the headline is `{words}`, {number!r}"]))
        return 0
    seen, roles = see_tables(made)
    told = list(leaks.tell(made, seen, roles))
    with written_whole(member, root):
        write(root, member, made, seen, roles, license_, told)
        reached = run_and_compare(root, member, made)
    where = member.path.as_posix()
    loose = [f"{one.cell}, `{one}`: write random_state=0 into it" for one in made.drawn(seen)]
    for leak in told:
        print(f"promote: LIKELY A LEAK: {leak}")
    print(f"promote: wrote {where}, a draft; {path.name} stays as it is. Next: `make run test PIPELINE={name}`")
    print(f"promote: {words}: {number!r} in the notebook, {reached!r} in the pipeline")
    print(
        f"promote: what nobody could have repeated: {'; '.join(loose) or 'nothing: both runs and the pipeline agree'}"
    )
    print(f"promote: left for a person: the guesses in {where}/contracts, limits in gates.toml, the todos in card.toml")
    return 0


def understand(root: Path, path: Path, metric: str = "") -> Plan:
    """Read a notebook, refuse what the page shows, run it, and plan.

    Raises:
        InputError: it is refused.
    """
    cells = read(path)
    hold_page(cells, root)
    statements = follow(cells, path.parent)
    require(statements, f"{path} has no cell of code")
    seen = run(path, statements)
    made = plan(path, statements, seen, metric)
    if any("seed" in called_in(one.node) for one in statements) and (drawn := made.drawn(seen)):
        refuse(drawn[-1].cell, "global-state")
    return made


def see_tables(made: Plan) -> tuple[Seen, Roles]:
    """Run the notebook once more, keep the tables that go from stage to stage, and say which column is what.

    Raises:
        InputError: the number is another now, or a column is none that a stage could have.
    """
    seen = run(made.notebook, made.statements, made.keep)
    headline, cell = made.headline, made.statements[made.fit].cell
    first, second = headline.number, seen.numbers[headline.at, headline.text]
    if first != second:
        drawn = made.drawn(seen)
        where = drawn[0] if drawn else made.statements[headline.at]
        refuse(where.cell, "unseeded" if drawn else "other-number", name=where, first=repr(first), second=repr(second))
    answer, values = seen.answer, seen.classes
    inputs = seen.features.drop(seen.key, answer, SPLIT)
    for name in sorted({*inputs.columns, answer} & TAKEN):
        refuse(cell, "column-taken", name=name)
    task: Task = "regression" if not values else "binary" if len(values) == 2 else "multiclass"  # noqa: PLR2004
    in_words = task == "multiclass" or (task == "binary" and isinstance(values[0], str))
    if task == "binary" and not in_words and values != [0, 1]:
        refuse(cell, "two-numbers", name=answer, values=f"{values[0]} or {values[1]}")
    classes = tuple(f"{one:g}" if isinstance(one, float) else str(one) for one in values) if in_words else ()
    words = tuple(name for name, kind in inputs.schema.items() if kind == pl.String)
    numbers = tuple(name for name in inputs.columns if name not in words)
    return seen, Roles(task, answer, classes, (), (seen.key,), "", "", numbers, words, ())


def run_and_compare(root: Path, member: Member, made: Plan) -> float:
    """Run the pipeline, hold it to the notebook's number, and write down what its tests hold it to.

    Raises:
        InputError: a stage fails, or the number is another.
    """
    folder, cell, was = root / member.path, made.statements[made.fit].cell, made.headline.number
    done = call("python3", BOOTSTRAP, folder=root)
    if not done.returncode:
        done = call("dvc", "repro", f"{member.path.as_posix()}/dvc.yaml", folder=root)
    if done.returncode:
        lines = [line for line in done.stderr.splitlines() if line.strip() and "failed to repro" not in line]
        refuse(cell, "does-not-run", why=" ".join(lines[-1:])[:500])
    (number,) = map(float, json.loads((folder / "headline.json").read_text(encoding="utf-8")).values())
    if abs(number - was) > CLOSE * max(1, abs(was)):
        refuse(cell, "pipeline-differs", first=repr(was), second=repr(number))
    tables = {name: pl.read_parquet(folder / f"data/{name}.parquet") for name in ("rows", "train", "holdout")}
    answers = OnnxModel(folder / "model/model.onnx").predict(tables["holdout"])
    tables["holdout"] = tables["holdout"].with_columns(pl.lit(HOLDOUT).alias(SPLIT))
    held: dict[str, Any] = {name: facts(table) for name, table in tables.items()}
    held |= {"headline": was, "answers": [float(answers.mean()), float(answers.std())]}
    (folder / "tests/characterisation.json").write_text(json.dumps(held, indent=2) + "\n", encoding="utf-8")
    return number
