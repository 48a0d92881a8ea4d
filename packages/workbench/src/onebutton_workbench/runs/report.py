"""Write the report as a site, with what git and MLflow know of each pipeline. The work of `make report`."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

from onebutton_evaluation.report_data import INDEX, Around
from onebutton_evaluation.site import write_site
from onebutton_tracking.results import ResultsError, lock_digest
from onebutton_tracking.store import StoreError, find_runs, is_server, tracking_uri
from onebutton_workbench.git import call
from onebutton_workbench.lineage.changes import MAIN, check_base, is_commit
from onebutton_workbench.workspace import ROOT, members, pipelines, the_pipeline

TARGET = Path("report")
MLFLOW = "http://127.0.0.1:5000"  # where `make ui` opens it


def around(name: str, base: str, root: Path = ROOT) -> Around:
    """Collect a pipeline's metrics on another commit, and the address of its MLflow run."""
    return Around(
        base, _metrics_on(base, f"pipelines/{name}/metrics.json", root), _links(root / "pipelines" / name, root)
    )


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
        runs = find_runs(uri, folder.name, lock_digest(folder)) or []
    except (ResultsError, StoreError):
        runs = []
    ids = [run.run_id for run in runs if run.finished]
    return {f"MLflow run {one[:8]} (make ui)": f"{server}/#/runs/{one}" for one in ids[:1]} or {"MLflow": server}


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
