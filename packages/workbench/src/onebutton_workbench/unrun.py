"""Name the stages whose code, command or parameters have changed since they were last run. The work of `make status`.

It compares the sources with the committed `dvc.lock` and needs no data, so a pull request can be told that somebody forgot to
press `make run` (OB105). Changed data it cannot see: that is `dvc status`. Once a shared remote is set, it asks there whether
what was committed can be had by others (OB304).
"""

from __future__ import annotations

import hashlib
from pathlib import Path
from typing import Any

from onebutton_workbench.findings import Finding, tell
from onebutton_workbench.fingerprint import fingerprint, read_lock
from onebutton_workbench.pressed import press, value
from onebutton_workbench.stage_rules import dvc_files
from onebutton_workbench.stages import FINGERPRINTS, read_stages, read_yaml
from onebutton_workbench.storage import UnreachableError, configured
from onebutton_workbench.workspace import ROOT


def unrun(dvc_yaml: Path, root: Path) -> list[Finding]:
    """Compare the stages of one `dvc.yaml` with its `dvc.lock`.

    Raises:
        WorkbenchError: a module has a syntax error, or a stage runs none of the workspace.
    """
    place = dvc_yaml.relative_to(root).as_posix()
    lock_file = dvc_yaml.with_name("dvc.lock")
    locked: dict[str, Any] = read_yaml(lock_file).get("stages", {}) if lock_file.is_file() else {}
    plan = read_yaml(dvc_yaml)["stages"]
    versions = read_lock(root)
    press_run = "`make run`, then commit the files that it names"
    findings = []
    for stage in read_stages(dvc_yaml):
        before = locked.get(stage.name)
        if before is None:
            findings.append(
                Finding("OB105", place, f"stage {stage.name!r} was never run, so its results are missing", press_run)
            )
            continue
        text = fingerprint(stage.modules, root, versions)
        params = {file: _read(dvc_yaml.parent / file, keys) for file, keys in before.get("params", {}).items()}
        changes = [
            what
            for what, differs in (
                ("the code behind it", _locked_digest(before, stage.name) != hashlib.md5(text.encode()).hexdigest()),  # noqa: S324  DVC's own hash
                ("its command", before["cmd"] != plan[stage.name]["cmd"]),
                ("its parameters", params != before.get("params", {})),
            )
            if differs
        ]
        if changes:
            words = f"stage {stage.name!r} was not run since {' and '.join(changes)} changed, so its results are of another time"
            findings.append(Finding("OB105", place, words, press_run))
    return findings


def _locked_digest(locked: dict[str, Any], stage: str) -> str:
    entries = {entry["path"]: entry["md5"] for entry in locked.get("deps", [])}
    return str(entries.get(f"{FINGERPRINTS}/{stage}", ""))


def _read(file: Path, recorded: dict[str, Any]) -> dict[str, Any]:
    """Read the parameters that a lock recorded as they stand now: by dotted name, a whole file by its top-level keys."""
    content = read_yaml(file) if file.is_file() else {}
    now: dict[str, Any] = {}
    for name in {*recorded, *(content if set(recorded) >= set(content) else ())}:
        found: Any = content
        for part in name.split("."):
            found = found.get(part) if isinstance(found, dict) else None
        now[name] = found
    return now


def status() -> int:
    """Print every stage that somebody forgot to run, and data that nobody else can have.

    What the remote has is NOT RUN when it does not answer: told, and with STRICT=1 refused.
    """
    findings = [finding for file in dvc_files(ROOT) for finding in unrun(file, ROOT)]
    remote = configured(ROOT)
    unasked = False
    if remote and remote.shared:
        from onebutton_workbench.storage_rules import check

        try:
            findings += check(ROOT, remote)
        except UnreachableError as reason:
            unasked = True
            print(f"NOT RUN OB304 {remote.url}, so nobody knows whether it has the data that dvc.lock names: {reason}")
    failed = tell(findings, "status: every stage was run with the code, command and parameters that stand here")
    return 1 if failed or (unasked and value("STRICT")) else 0


if __name__ == "__main__":
    press("status", status)
