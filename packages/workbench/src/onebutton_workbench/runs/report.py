"""Write the report as a site, with what git and MLflow know of each pipeline. The work of `make report`."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

from onebutton_evaluation.report_data import INDEX, Around
from onebutton_evaluation.site import write_site
from onebutton_tracking.lookup import run_of_lock
from onebutton_tracking.results import ResultsError, lock_digest
from onebutton_tracking.store import StoreError, is_server, tracking_uri
from onebutton_workbench.git import call
from onebutton_workbench.lineage.changes import MAIN, check_base, is_commit
from onebutton_workbench.workspace import ROOT, members, pipelines, the_pipeline

TARGET = Path("report")
MLFLOW = "http://127.0.0.1:5000"  # where `make ui` opens it


def around(name: str, base: str, root: Path = ROOT) -> Around:
    """Collect a pipeline's metrics on another commit, its MLflow run, and the commit and date of its results."""
    folder = f"pipelines/{name}"
    return Around(
        base, _metrics_on(base, f"{folder}/metrics.json", root), _links(root / folder, root), _made(folder, root)
    )


def _made(folder: str, root: Path) -> str:
    """Say which commit holds a pipeline's results, and of what date it is."""
    lock = f"{folder}/dvc.lock"
    committed = call("log", "-1", "--format=commit %h of %cs", "--", lock, folder=root).stdout.strip()
    changed = call("status", "--porcelain", "--", lock, folder=root).stdout.strip()
    return "not committed yet" if changed or not committed else committed


def _metrics_on(base: str, file: str, root: Path) -> dict[str, Any] | None:
    shown = call("show", f"{base}:{file}", folder=root)
    try:
        found: dict[str, Any] = json.loads(shown.stdout)
    except ValueError:
        return None
    return found


def _links(folder: Path, root: Path) -> dict[str, str]:
    uri = tracking_uri(root)
    server = uri if is_server(uri) else MLFLOW
    try:
        run = run_of_lock(uri, folder.name, lock_digest(folder))
    except (ResultsError, StoreError):
        run = ""
    return {f"MLflow run {run[:8]} (make ui)": f"{server}/#/runs/{run}"} if run else {"MLflow": server}


def report(pipeline: str, base: str) -> int:
    """Write every page, and say where to open them.

    Raises:
        InputError: the pipeline or BASE is unknown.
    """
    if base:
        check_base(base, ROOT)
    base = base or (f"origin/{MAIN}" if is_commit(f"origin/{MAIN}", ROOT) else MAIN)
    names = [the_pipeline(pipeline)] if pipeline else pipelines()
    refused = write_site({ROOT / "pipelines" / name: around(name, base) for name in names}, ROOT / TARGET)
    for line in refused:
        print(f"report: no page for {line}", file=sys.stderr)
    print(f"report: {len(names) - len(refused)} of {len(names)} pipelines -> {TARGET / INDEX}. Open it in a browser")
    drafts = {member.path.name for member in members(ROOT) if member.draft}  # they may lack what a page shows
    return 0 if {line.partition(":")[0] for line in refused} <= drafts else 1
