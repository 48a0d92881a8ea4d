"""A copy of a pipeline that runs on dummy data: the work of `make run DATA=dummy`.

It stands in `.dummy/<pipeline>-dummy`, a DVC repository of its own, so nothing that it makes mixes with results of real data.
"""

from __future__ import annotations

import json
import shutil
import subprocess
from pathlib import Path
from typing import Any

import polars as pl

from onebutton_contracts.contract import load_contract
from onebutton_contracts.dummy.plan import contracts_of, load_plan
from onebutton_contracts.dummy.tables import describe, generate, read_description, write_description
from onebutton_contracts.dvc_files import paths
from onebutton_contracts.errors import InputError
from onebutton_contracts.tables import read_parquet, write_parquet
from onebutton_tracking.results import produced_files
from onebutton_workbench.environment import clean_environment
from onebutton_workbench.files import edit_yaml
from onebutton_workbench.git import listed
from onebutton_workbench.lineage.stages import FINGERPRINTS
from onebutton_workbench.workspace import ROOT

PLACE = ROOT / ".dummy"
DESCRIPTION = "dummy.json"
DEFAULT_ROWS = 50_000


def with_plan() -> list[str]:
    """List the pipelines that have a plan for dummy data."""
    return sorted(file.parent.name for file in ROOT.glob("pipelines/*/dummy.yaml"))


def folder_of(pipeline: str) -> Path:
    """Return where the dummy copy of a pipeline is; its name says so wherever it is shown, in MLflow too."""
    return PLACE / f"{pipeline}-dummy"


def run(pipeline: str, rows: int | None, *, fit: bool) -> bool:
    """Draw the tables, run the copy's stages, and say whether the tables resemble the real ones as they must.

    Args:
        pipeline: its name.
        rows: of each table; None for `DEFAULT_ROWS`.
        fit: whether to describe the real tables first and to judge the resemblance at the end.

    Raises:
        InputError: a table or the plan is not here, or a stage failed.
    """
    source, target = ROOT / "pipelines" / pipeline, folder_of(pipeline)
    if fit:
        describe_tables(source)
        print(f"run: described in pipelines/{pipeline}/{DESCRIPTION}; read it before you commit it", flush=True)
    rows = rows or DEFAULT_ROWS
    make(source, target, rows)
    print(f"run: {rows:,} rows a table in {target.relative_to(ROOT)}", flush=True)
    call_dvc("repro", folder=target)
    print(f"run: {pipeline} ran on DUMMY data in {target.relative_to(ROOT)}", flush=True)
    return judge(source, target) if fit else True


def describe_tables(source: Path) -> None:
    """Fit the description of a pipeline's tables; needs the real ones."""
    plan = load_plan(source)
    contracts = contracts_of(plan, source)
    tables = {
        name: read_parquet(source / table.file, contracts[name].name, contracts[name].major)
        for name, table in plan.tables.items()
    }
    write_description(describe(plan, tables, contracts), source / DESCRIPTION)


def make(source: Path, target: Path, rows: int) -> None:
    """Copy a pipeline without the stage that takes real data in, and draw the tables that it would have taken."""
    plan = load_plan(source)
    tables = generate(plan, read_description(source / DESCRIPTION), contracts_of(plan, source), rows)
    copy_sources(source, target)
    drop_stage(target / "dvc.yaml", plan.replaces)
    for file in (target / "contracts").glob("*.odcs.yaml"):
        relax(file)
    for name, contract in contracts_of(plan, target).items():
        write_parquet(tables[name], target / plan.tables[name].file, contract)
    if not (target / ".dvc").is_dir():
        call_dvc("init", "--quiet", "--no-scm", folder=target)


def copy_sources(source: Path, target: Path) -> None:
    """Copy what stages read of a pipeline in git, not their code and results; what was copied before goes first."""
    shutil.rmtree(target / "contracts", ignore_errors=True)
    results = {path.as_posix() for path in produced_files(source)}
    for name in listed(source):
        if not name.startswith(("src/", "tests/")) and name not in results:
            (target / name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copy(source / name, target / name)


def drop_stage(dvc_yaml: Path, stage: str) -> None:
    """Take a stage out of a `dvc.yaml`; what it wrote is then a file like any other."""

    def change(content: Any) -> None:
        if stage not in content["stages"]:
            message = f"{dvc_yaml} has no stage {stage!r}, which dummy.yaml says is replaced"
            raise InputError(message)
        del content["stages"][stage]
        code = content["stages"]["code"]
        code["outs"] = [out for out in code["outs"] if paths([out]) != [f"{FINGERPRINTS}/{stage}"]]

    dvc_yaml.write_text(edit_yaml(dvc_yaml.read_text(encoding="utf-8"), change), encoding="utf-8")


def relax(file: Path) -> None:
    """Let a contract of dummy data hold for any number of rows; every other rule stays."""

    def change(content: Any) -> None:
        for rule in (rule for table in content["schema"] for rule in table.get("quality", [])):
            if rule.get("metric") == "rowCount":
                for key in [key for key in rule if key.startswith("mustBe")]:
                    del rule[key]
                rule["mustBeGreaterOrEqualTo"] = 1

    file.write_text(edit_yaml(file.read_text(encoding="utf-8"), change), encoding="utf-8")


def call_dvc(*words: str, folder: Path) -> None:
    """Call DVC in the copy; what it says is shown as it comes."""
    if subprocess.run(["dvc", *words], cwd=folder, env=clean_environment(), check=False).returncode:
        message = f"dvc {' '.join(words)} failed in {folder} and says why above"
        raise InputError(message)


def judge(source: Path, target: Path) -> bool:
    """Compare dummy data with the real data; print the report, keep it as JSON, and say whether every gate is kept."""
    from onebutton_evaluation.fidelity import measure

    plan = load_plan(source)
    judged = plan.fidelity
    call_dvc("repro", "--quiet", judged.stage, folder=target)
    contract = load_contract(source / judged.contract)
    columns = [*dict.fromkeys([*judged.inputs, judged.target, judged.split])]
    real, dummy = (
        pl.concat(read_parquet(place / file, contract.name, contract.major).select(columns) for file in judged.files)
        for place in (source, target)
    )
    found = measure(real, dummy, judged, plan.seed)
    report = {name: round(number, 4) for name, number in vars(found).items()}
    (source / "dummy-fidelity.json").write_text(json.dumps(report, indent=2) + "\n", encoding="utf-8")
    for name, number in report.items():
        print(f"  {name:12} {number:.4f}")
    for gate, holds in found.gates.items():
        print(f"  {'passed' if holds else 'failed'}  {gate}")
    return all(found.gates.values())
