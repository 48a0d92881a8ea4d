"""Say which stages somebody forgot to run, and which data nobody else can have. The work of `make status`."""

from pathlib import Path

from onebutton_contracts.dvc_files import read_plan
from onebutton_contracts.errors import InputError, require
from onebutton_workbench.data.storage import check_remote, configured
from onebutton_workbench.findings import TOLD, Finding, tell
from onebutton_workbench.lineage.affected import report
from onebutton_workbench.lineage.stale import stale_stages
from onebutton_workbench.workspace import ROOT, drafts, dvc_files


def status(root: Path = ROOT, *, affected: bool = False, base: str = "", strict: bool = False) -> int:
    """Print every stage that somebody forgot to run, and data that nobody else can have; or what a change reaches.

    Drafts are told and stop nobody. What the remote has is NOT RUN when it does not answer: told, and refused where it is asked
    strictly.
    """
    if affected:
        return report(root, base=base)
    folders = drafts(root)
    plans = {file.parent.relative_to(root).as_posix(): file for file in dvc_files(root)}
    findings = stale_stages([read_plan(file) for folder, file in plans.items() if folder not in folders], root)
    for folder in [folder for folder in plans if folder in folders]:
        try:
            findings += stale_stages([read_plan(plans[folder])], root)
        except InputError as error:
            words = f"cannot be compared with what was run: {str(error).replace(f'{root}/', '')}"
            mend = f"what it names, then `make run PIPELINE={plans[folder].parent.name}`"
            findings.append(Finding("OB105", f"{folder}/dvc.yaml", words, mend))
    remote, unasked = configured(root), ""
    if remote and remote.shared:
        lost, unasked = check_remote(root, remote)
        findings += lost
        if unasked:
            print(f"NOT RUN OB304 {remote.url}, so nobody knows whether it has the data that dvc.lock names: {unasked}")
    words = "status: every stage was run with the code, command, parameters and files that stand here"
    found = tell(findings, words, folders)
    if found == TOLD:
        print(f"status: the lines above are about drafts ({', '.join(folders)}), so they stop nobody")
    return 1 if found == 1 or (unasked and strict) else 0


def before_deployment(root: Path = ROOT, *, pipeline: str = "") -> None:
    """Refuse results of another time: their release would name a commit and parameters that never made them.

    Without a pipeline the only one that makes releases is meant; what else is missing the deployment says itself.
    """
    plans = [file.with_name("dvc.yaml") for file in root.glob(f"pipelines/{pipeline or '*'}/release.toml")]
    # The champion alone is no part of a model: a deployment writes it, and pressing again may not be refused for that. What was
    # compared with another champion is refused by the gate that compares.
    read = [read_plan(plan) for plan in plans if plan.is_file()] if len(plans) == 1 else []
    findings = stale_stages(read, root, overlook="champion")
    print("".join(f"{finding}\n" for finding in findings), end="")
    require(not findings, "nothing was deployed: the model that is here was not made of what stands here")
