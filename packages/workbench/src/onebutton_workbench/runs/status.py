"""Say which stages somebody forgot to run, and which data nobody else can have. The work of `make status`."""

from __future__ import annotations

from onebutton_contracts.errors import InputError
from onebutton_workbench.data.storage import UnreachableError, configured
from onebutton_workbench.findings import tell
from onebutton_workbench.lineage.stages import dvc_files
from onebutton_workbench.lineage.stale import unrun
from onebutton_workbench.workspace import ROOT


def status(*, strict: bool) -> int:
    """Print every stage that somebody forgot to run, and data that nobody else can have.

    Args:
        strict: refuse, and not only tell, that the remote does not answer: what it has is then NOT RUN.
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
    return 1 if failed or (unasked and strict) else 0


def before_deployment(pipeline: str) -> None:
    """Refuse results of another time: their release would name a commit and parameters that never made them.

    Without a name the only pipeline that makes releases is meant; what else is missing the deployment says itself.
    """
    plans = [file.with_name("dvc.yaml") for file in ROOT.glob(f"pipelines/{pipeline or '*'}/release.toml")]
    findings = [finding for plan in plans if len(plans) == 1 and plan.is_file() for finding in unrun(plan, ROOT)]
    for finding in findings:
        print(finding)
    if findings:
        raise InputError("nothing was deployed: the model that is here was not made of what stands here")
