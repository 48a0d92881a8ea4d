"""Write the report as a site, with what git knows of each pipeline. The work of `make report`."""

import sys
from pathlib import Path

from onebutton_evaluation.report import INDEX, Around, write_site
from onebutton_tracking.store import is_server, tracking_uri
from onebutton_workbench.git import call
from onebutton_workbench.workspace import ROOT, pipelines_named, unnamed_drafts

TARGET = Path("report")
MLFLOW = "http://127.0.0.1:5000"  # where `make ui` opens it


def around(name: str, root: Path = ROOT) -> Around:
    """Say where a pipeline's runs are, and the commit and date of its results."""
    lock = f"pipelines/{name}/dvc.lock"
    made = call("log", "-1", "--format=commit %h of %cs", "--", lock, folder=root).stdout.strip()
    changed = call("status", "--porcelain", "--", lock, folder=root).stdout
    uri = tracking_uri(root)
    links = {"MLflow (make ui)": uri if is_server(uri) else MLFLOW}
    return Around(links, made if made and not changed else "not committed yet")


def report(pipeline: str = "") -> int:
    """Write every page, and say where to open them."""
    names = pipelines_named(pipeline)
    refused = write_site({ROOT / "pipelines" / name: around(name) for name in names}, ROOT / TARGET)
    for line in refused:
        print(f"report: no page for {line}", file=sys.stderr)
    print(f"report: {len(names) - len(refused)} of {len(names)} pipelines -> {TARGET / INDEX}. Open it in a browser")
    lenient = unnamed_drafts("")  # they may lack what a page shows
    return 0 if {line.partition(":")[0] for line in refused} <= {*lenient} else 1
