"""Make a pipeline of a notebook, whole or not at all, and see that it reaches the same number. The work of `make promote`."""

from __future__ import annotations

import ast
import json
from collections.abc import Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import polars as pl

from onebutton_contracts.errors import InputError
from onebutton_contracts.pandas_frames import facts
from onebutton_contracts.tables import HOLDOUT, SPLIT
from onebutton_evaluation.splits import FIT
from onebutton_models.scoring import OnnxModel
from onebutton_workbench.data.intake import license_of
from onebutton_workbench.environment import call
from onebutton_workbench.members.new import named, written_whole
from onebutton_workbench.promote import cells, flow, leaks, refusals
from onebutton_workbench.promote.notebook import Read, run
from onebutton_workbench.promote.plan import Plan, behind, headline, plan, tabled
from onebutton_workbench.promote.tables import Tables, collect
from onebutton_workbench.promote.write import write
from onebutton_workbench.workspace import Member

CLOSE = 1e-9
BOOTSTRAP = "packages/workbench/src/onebutton_workbench/bootstrap.py"


@dataclass(frozen=True)
class Request:
    """What was typed.

    Attributes:
        notebook: its file.
        name: of the pipeline.
        metric: which number is the headline; where it is left out the last that is printed.
        license: of the data, as SPDX names it.
        dry: print the plan alone.
    """

    notebook: str
    name: str
    metric: str = ""
    license: str = ""
    dry: bool = False


def promote(root: Path, asked: Request) -> int:
    """Read a notebook, run it twice, write the pipeline, run that, and compare; or say what stands in the way.

    Raises:
        InputError: it cannot be promoted; names the cell and what mends it. Nothing was written.
    """
    path = Path(asked.notebook).expanduser().resolve()
    if not asked.notebook or not path.is_file():
        message = f"NOTEBOOK={asked.notebook} is no file here; say which, as in NOTEBOOK=notebooks/churn.ipynb"
        raise InputError(message)
    member, license_ = named(root, "pipeline", asked.name), license_of(asked.license or "LicenseRef-internal")
    with ExitStack() as stack:
        read, made, rivals = understand(root, path, asked.metric, stack)
        words = ast.unparse(made.headline.node)
        if asked.dry:
            lines = [*tabled(made, read.statements), f"promote: the headline is `{words}`, {number_of(read, made)!r}"]
            print("\n".join(lines))
            return 0
        read, tables = see_tables(read, made, stack)
        times = leaks.times_of(tables.rows)
        told = [
            *leaks.in_cells(made, read.statements, read.seen, rivals, times),
            *leaks.in_tables(tables.features, tables.roles),
        ]
        with written_whole(member, root):
            write(root, member, read, made, tables, (license_, told))
            number = run_and_compare(root, member, read, made, tables)
    loose = [
        f"{cell}, `{name}`: write random_state=0 into it"
        for cell, name in refusals.unrepeatable(read.statements, made.needed)
    ]
    where, name = member.path.as_posix(), asked.name
    for line in (
        *(f"LIKELY A LEAK: {one}" for one in told),
        f"wrote {where}, a draft; {read.shown} stays as it is. Next: `make run PIPELINE={name}`, `make test PIPELINE={name}`",
        f"{words}: {number_of(read, made)!r} in the notebook, {number!r} in the pipeline",
        f"what nobody could have repeated: {'; '.join(loose) or 'nothing: both runs and the pipeline agree'}",
        f"left for a person: the guesses in {where}/contracts, limits in gates.toml, the todos in card.toml",
    ):
        print(f"promote: {line}")
    return 0


def number_of(read: Read, made: Plan) -> float:
    """Return the headline as the notebook had it."""
    return read.seen.numbers[made.headline.number]


def understand(root: Path, path: Path, metric: str, stack: ExitStack) -> tuple[Read, Plan, Sequence[flow.Candidate]]:
    """Read a notebook, refuse what the page shows, run it, and plan; return the same number of other models, too.

    Raises:
        InputError: it is refused.
    """
    page = cells.read(path)
    refusals.before_reading(page, root)
    try:
        statements = flow.follow(page)
    except SyntaxError as error:
        refusals.refuse(page[int(error.filename or 1) - 1], "syntax", why=error.msg)
    refusals.before_running(statements)
    found = flow.candidates(statements)
    shown = path.relative_to(root).as_posix() if path.is_relative_to(root) else path.name
    read = run(Read(path, shown, page, statements), stack)
    chosen, rivals = headline(statements, found, read.seen, metric)
    if draws := refusals.without_seed(statements, behind(statements, chosen)):
        first, second = (one.seen.numbers[chosen.number] for one in (read, run(read, stack)))
        refusals.other_number(draws[0][0], draws, first, second)
    return read, plan(statements, chosen, read.seen), rivals


def see_tables(read: Read, made: Plan, stack: ExitStack) -> tuple[Read, Tables]:
    """Run the notebook once more, and keep the tables that go from stage to stage.

    Raises:
        InputError: the number is another now, or a table or the model is none that a pipeline can have.
    """
    again = run(read, stack, {made.features_from: [made.table], made.train_from: made.sides}, made.model)
    first, second = number_of(read, made), number_of(again, made)
    if first != second:
        draws = refusals.unrepeatable(read.statements, made.needed)
        refusals.other_number(read.statements[made.headline.at].cell, draws, first, second)
    return again, collect(again.seen, again.tables, made, read.statements[made.fit].cell)


def run_and_compare(root: Path, member: Member, read: Read, made: Plan, tables: Tables) -> float:
    """Run the pipeline, hold it to the notebook's tables and number, and write down what its tests hold it to.

    Raises:
        InputError: a stage fails, or gives something else than the notebook.
    """
    folder, cell = root / member.path, read.statements[made.fit].cell
    done = call("python3", BOOTSTRAP, folder=root)
    if not done.returncode:
        done = call("dvc", "repro", f"{member.path.as_posix()}/dvc.yaml", folder=root)
    if done.returncode:
        lines = [line for line in done.stderr.splitlines() if line.strip() and "failed to repro" not in line]
        refusals.refuse(cell, "does-not-run", why=" ".join(lines[-1:])[:500])
    was: dict[str, Any] = {
        "rows": facts(tables.rows),
        "train": facts(tables.part(FIT)),
        "holdout": facts(tables.part(HOLDOUT)),
    }
    for name, stage in (("rows", "ingest"), ("train", "features"), ("holdout", "features")):
        frame = pl.read_parquet(folder / f"data/{name}.parquet")
        frame = frame.with_columns(pl.lit(HOLDOUT).alias(SPLIT)) if name == "holdout" else frame
        if facts(frame) != was[name]:
            numbers = sorted({read.statements[at].cell.number for at in made.parts[stage].statements})
            refusals.refuse(read.cells[numbers[-1] - 1], "other-table", stage=stage, cells=numbers)
    number = float(next(iter(json.loads((folder / "headline.json").read_text(encoding="utf-8")).values())))
    first = number_of(read, made)
    if abs(number - first) > CLOSE * max(1, abs(first)):
        refusals.refuse(cell, "pipeline-differs", first=repr(first), second=repr(number))
    answers = OnnxModel(folder / "model/model.onnx").predict(pl.read_parquet(folder / "data/holdout.parquet"))
    was |= {"headline": first, "answers": [float(answers.mean()), float(answers.std())]}
    (folder / "tests/characterisation.json").write_text(json.dumps(was, indent=2) + "\n", encoding="utf-8")
    return number
