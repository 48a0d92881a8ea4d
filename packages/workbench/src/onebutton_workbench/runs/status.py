"""Say which stages somebody forgot to run, and which data nobody else can have. The work of `make status`."""

from __future__ import annotations

import sys

from onebutton_workbench.data.storage import UnreachableError, configured
from onebutton_workbench.findings import tell
from onebutton_workbench.lineage.stages import dvc_files
from onebutton_workbench.lineage.stale import unrun
from onebutton_workbench.pressed import press, value
from onebutton_workbench.workspace import ROOT, WorkbenchError

BEFORE_DEPLOYMENT = "before-deployment"  # said by the button `deploy`


def status() -> int:
    """Print every stage that somebody forgot to run, and data that nobody else can have.

    What the remote has is NOT RUN when it does not answer: told, and with STRICT=1 refused.
    """
    findings = [finding for file in dvc_files(ROOT) for finding in unrun(file, ROOT)]
    remote = configured(ROOT)
    unasked = False
    if remote and remote.shared:
        from onebutton_workbench.data.storage_rules import check

        try:
            findings += check(ROOT, remote)
        except UnreachableError as reason:
            unasked = True
            print(f"NOT RUN OB304 {remote.url}, so nobody knows whether it has the data that dvc.lock names: {reason}")
    failed = tell(findings, "status: every stage was run with the code, command, parameters and files that stand here")
    return 1 if failed or (unasked and value("STRICT")) else 0


def before_deployment() -> int:
    """Refuse results of another time: their release would name a commit and parameters that never made them.

    A release that is there already (TO=) is not made of what stands here. Without PIPELINE the only one that makes releases is
    meant; what else is missing the deployment says itself.
    """
    if value("STATUS") or value("TO"):
        return 0
    plans = [file.with_name("dvc.yaml") for file in ROOT.glob(f"pipelines/{value('PIPELINE') or '*'}/release.toml")]
    findings = [finding for plan in plans if len(plans) == 1 and plan.is_file() for finding in unrun(plan, ROOT)]
    for finding in findings:
        print(finding)
    if findings:
        raise WorkbenchError("nothing was deployed: the model that is here was not made of what stands here")
    return 0


if __name__ == "__main__":
    if BEFORE_DEPLOYMENT in sys.argv[1:]:
        press("deploy", before_deployment)
    else:
        press("status", status)
