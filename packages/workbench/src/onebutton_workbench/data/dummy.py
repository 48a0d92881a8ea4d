"""A copy of a pipeline that runs on dummy data: the work of `make run DATA=dummy`.

It stands in `.dummy/<pipeline>-dummy`, a DVC repository of its own, so nothing that it makes mixes with results of real data.
"""

import re
import shutil
import subprocess
from pathlib import Path

from onebutton_contracts.dummy.tables import Plan, describe, generate, read_description, write_description
from onebutton_contracts.errors import require
from onebutton_contracts.tables import read_parquet, write_parquet
from onebutton_tracking.commit import git_environment
from onebutton_tracking.results import produced_files
from onebutton_workbench.environment import call
from onebutton_workbench.git import listed
from onebutton_workbench.workspace import ROOT

DESCRIPTION = "dummy.json"
DEFAULT_ROWS = 50_000


def folder_of(pipeline: str) -> Path:
    """Return where the dummy copy of a pipeline is; its name says so wherever it is shown, in MLflow too."""
    return ROOT / ".dummy" / f"{pipeline}-dummy"


def run(pipeline: str, rows: int) -> None:
    """Draw the tables, of so many rows each, and run the stages of the copy."""
    source, target = ROOT / "pipelines" / pipeline, folder_of(pipeline)
    plan, description = Plan.load(source / "dummy.yaml"), read_description(source / DESCRIPTION)
    copy_sources(source, target)
    contracts = plan.contracts(target)
    for name, table in generate(plan, description, contracts, rows).items():
        write_parquet(table, target / plan.tables[name].file, contracts[name])
    if not (target / ".dvc").is_dir():
        call("dvc", "init", "--quiet", "--no-scm", folder=target).check_returncode()
    frozen = call("dvc", "freeze", plan.replaces, folder=target)  # what it would write is here
    require(not frozen.returncode, f"dummy.yaml replaces {plan.replaces!r}: {' '.join(frozen.stderr.split())}")
    print(f"run: {rows:,} rows a table in {target.relative_to(ROOT)}", flush=True)
    done = subprocess.run(["dvc", "repro"], cwd=target, env=git_environment(), check=False)
    require(not done.returncode, f"a stage failed in {target.relative_to(ROOT)} and says why above")
    print(f"run: {pipeline} ran on DUMMY data in {target.relative_to(ROOT)}", flush=True)


def describe_tables(pipeline: str) -> None:
    """Fit the description of a pipeline's tables; needs the real ones."""
    source = ROOT / "pipelines" / pipeline
    plan = Plan.load(source / "dummy.yaml")
    contracts = plan.contracts(source)
    tables = {
        name: read_parquet(source / table.file, contracts[name].name, contracts[name].major)
        for name, table in plan.tables.items()
    }
    write_description(describe(plan, tables, contracts), source / DESCRIPTION)
    print(f"run: described in pipelines/{pipeline}/{DESCRIPTION}; read it before you commit it. Is it near enough?")
    print(f"Next: make test SLOW=1 MEMBER={pipeline}")


def copy_sources(source: Path, target: Path) -> None:
    """Copy what stages read of a pipeline in git, not their code and results; contracts hold for any number of rows."""
    shutil.rmtree(target / "contracts", ignore_errors=True)  # one may be gone
    results = {path.as_posix() for path in produced_files(source)}
    for name in listed(source):
        if not name.startswith(("src/", "tests/")) and name not in results:
            (target / name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copy(source / name, target / name)
    for file in (target / "contracts").glob("*.odcs.yaml"):
        relax(file)


def relax(file: Path) -> None:
    """Let a contract of dummy data hold for any number of rows; every other rule stays."""
    text = file.read_text(encoding="utf-8")
    file.write_text(re.sub(r"(\bmustBeGreaterOrEqualTo: )\d+", r"\g<1>1", text), encoding="utf-8")
