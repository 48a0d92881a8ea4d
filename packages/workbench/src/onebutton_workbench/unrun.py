"""Name the stages whose code, command, parameters or files changed since they were last run. The work of `make status`.

It compares what stands in git with the committed `dvc.lock` and needs no data, so a pull request can be told that somebody forgot
to press `make run` (OB105). Changed data it cannot see: that is `dvc status`. Once a shared remote is set, it asks there whether
what was committed can be had by others (OB304).
"""

from __future__ import annotations

import hashlib
import json
import posixpath
from pathlib import Path
from typing import Any

from onebutton_workbench.checkout import names
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
    in_git = frozenset(names("ls-files", "-z", folder=root)) if locked else frozenset()
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
        ] + _changed_files(before, dvc_yaml.parent, root, in_git)
        if changes:
            words = f"stage {stage.name!r} was not run since {' and '.join(changes)} changed, so its results are of another time"
            findings.append(Finding("OB105", place, words, press_run))
    return findings


def _locked_digest(locked: dict[str, Any], stage: str) -> str:
    entries = {entry["path"]: entry["md5"] for entry in locked.get("deps", [])}
    return str(entries.get(f"{FINGERPRINTS}/{stage}", ""))


def _changed_files(locked: dict[str, Any], folder: Path, root: Path, in_git: frozenset[str]) -> list[str]:
    """Name what a stage reads, git has, and is no longer as it was when the stage ran."""
    changed = []
    for entry in locked.get("deps", []):
        name = posixpath.normpath(posixpath.join(folder.relative_to(root).as_posix(), entry["path"]))
        inside = sorted(file for file in in_git if file.startswith(f"{name}/"))
        if name in in_git:
            now = _md5(root / name)
        elif inside and not any(file.endswith(".dvc") for file in inside):  # with one, DVC keeps a part of the folder
            now = _md5_of_folder(name, inside, root)
        else:
            continue
        if now != entry["md5"]:
            changed.append(entry["path"])
    return changed


def _md5(file: Path) -> str:
    return hashlib.md5(file.read_bytes()).hexdigest() if file.is_file() else ""  # noqa: S324  DVC's own hash


def _md5_of_folder(folder: str, files: list[str], root: Path) -> str:
    """Digest a folder as DVC does: the list of its files with their digests."""
    listed = [{"md5": _md5(root / file), "relpath": posixpath.relpath(file, folder)} for file in files]
    return hashlib.md5(json.dumps(listed, sort_keys=True).encode()).hexdigest() + ".dir"  # noqa: S324  DVC's own hash


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
    failed = tell(findings, "status: every stage was run with the code, command, parameters and files that stand here")
    return 1 if failed or (unasked and value("STRICT")) else 0


if __name__ == "__main__":
    press("status", status)
