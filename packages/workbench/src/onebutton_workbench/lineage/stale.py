"""Name the stages whose code, command, parameters or files changed since they were last run. The work of `make status`.

It compares what stands in git with the committed `dvc.lock` and needs no data, so a pull request can be told that somebody forgot
to press `make run` (OB105). Of data it knows the digests that git holds, in `.dvc` files and locks; data that was changed and not
committed it cannot see: that is `dvc status`. Once a shared remote is set, it asks there whether
what was committed can be had by others (OB304).
"""

from __future__ import annotations

import hashlib
import posixpath
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from onebutton_workbench.files import read_yaml
from onebutton_workbench.findings import Finding
from onebutton_workbench.git import names
from onebutton_workbench.lineage.fingerprint import fingerprint, read_lock
from onebutton_workbench.lineage.stages import FINGERPRINTS, dvc_files, paths, read_stages, resolved
from onebutton_workbench.lineage.tracked_data import FOLDER, digest_of_file, digest_of_list, tracked

OUTPUTS = ("outs", "metrics", "plots")
BEFORE_DEPLOYMENT = "before-deployment"  # said by the button `deploy`
PARAMS = "params.yaml"  # where parameters without the name of a file stand
MISSING = object()  # equal to nothing that a file may hold


def unrun(dvc_yaml: Path, root: Path) -> list[Finding]:
    """Compare the stages of one `dvc.yaml` with its `dvc.lock`.

    Raises:
        InputError: a module has a syntax error, a stage runs none of the workspace, or DVC cannot fill a `${…}` in.
    """
    place = dvc_yaml.relative_to(root).as_posix()
    lock_file = dvc_yaml.with_name("dvc.lock")
    locked: dict[str, Any] = (read_yaml(lock_file).get("stages") or {}) if lock_file.is_file() else {}
    plan = resolved(dvc_yaml, root)
    versions = read_lock(root)
    kept = Kept.here(root) if locked else Kept(frozenset(), {})
    press_run = "`make run`, then commit the files that it names"
    findings = []
    for stage in (one for one in read_stages(dvc_yaml) if not one.frozen):
        code = fingerprint(stage.modules, root, versions) if locked else ""
        for name in (one for one in plan if one == stage.name or one.startswith(f"{stage.name}@")):
            before = locked.get(name)
            if before is None:
                words = f"stage {name!r} was never run, so its results are missing"
                findings.append(Finding("OB105", place, words, press_run))
                continue
            changes = ["the code behind it"] if _locked_digest(before, stage.name) != _md5_of_text(code) else []
            changes += _changes(before, plan[name], dvc_yaml.parent, root, kept)
            if changes:
                words = f"stage {name!r} was not run since {' and '.join(changes)} changed, so its results are of another time"
                findings.append(Finding("OB105", place, words, press_run))
    return findings


def _changes(locked: dict[str, Any], plan: dict[str, Any], place: Path, root: Path, kept: Kept) -> list[str]:
    """Name what differs between a stage as it was run and as the plan in a folder has it, its code aside."""
    folder = place / plan.get("wdir", "")
    differing = (
        ("its command", locked["cmd"] != plan["cmd"]),
        ("its parameters", _params_differ(locked.get("params", {}), plan.get("params"), folder)),
        ("what it writes", bool(_added(locked, plan, OUTPUTS))),
    )
    found = [what for what, differs in differing if differs]
    return [*found, *_added(locked, plan, ("deps",)), *_changed_files(locked, plan, folder, root, kept)]


def _locked_digest(locked: dict[str, Any], stage: str) -> str:
    entries = {entry["path"]: entry["md5"] for entry in locked.get("deps", [])}
    return str(entries.get(f"{FINGERPRINTS}/{stage}", ""))


def _added(locked: dict[str, Any], plan: dict[str, Any], kinds: Sequence[str]) -> list[str]:
    """Name the paths of a plan that its lock does not know yet; what a plan no longer names, DVC does not ask for either."""
    known = {posixpath.normpath(entry["path"]) for kind in ("deps", "outs") for entry in locked.get(kind, [])}
    named = (posixpath.normpath(path) for kind in kinds for path in paths(plan.get(kind)))
    return [path for path in dict.fromkeys(named) if path not in known and "://" not in path]


def _params_differ(recorded: dict[str, dict[str, Any]], asked: Any, folder: Path) -> bool:
    """Compare the parameters that a plan asks for with what a lock recorded of them."""
    files: dict[str, list[str] | None] = {}
    for entry in asked or []:
        for file, keys in entry.items() if isinstance(entry, dict) else [(PARAMS, [entry])]:
            files[file] = [*(files.get(file) or []), *keys] if keys else None  # without keys it asks for all
    for file, wanted_keys in files.items():
        before = recorded.get(file, {})
        wanted = before if wanted_keys is None else {key: before.get(key, MISSING) for key in wanted_keys}
        if _read(folder / file, wanted, whole=wanted_keys is None) != wanted:
            return True
    return False


@dataclass(frozen=True)
class Kept:
    """What can be said of files without having the data.

    Attributes:
        in_git: those that git has or is about to have, relative to the root.
        digests: of the data that git only names, in `.dvc` files and as outputs in any `dvc.lock`, by its path.
    """

    in_git: frozenset[str]
    digests: Mapping[str, str]

    @classmethod
    def here(cls, root: Path) -> Kept:
        """Read it from the checkout."""
        digests = {}
        for lock in (file.with_name("dvc.lock") for file in dvc_files(root)):
            folder = lock.parent.relative_to(root).as_posix()
            for stage in (read_yaml(lock).get("stages") or {}).values() if lock.is_file() else ():
                for entry in stage.get("outs", []):
                    digests[posixpath.normpath(posixpath.join(folder, entry["path"]))] = str(entry.get("md5", ""))
        digests |= {one.path: one.md5 for one in tracked(root, new=True)}
        listed = ("ls-files", "-z", "--cached", "--others", "--exclude-standard", "--deduplicate")
        in_git = frozenset(names(*listed, folder=root))
        return cls(in_git, {path: md5 for path, md5 in digests.items() if path not in in_git})


def _changed_files(locked: dict[str, Any], plan: dict[str, Any], folder: Path, root: Path, kept: Kept) -> list[str]:
    """Name what a stage reads, git has or names, and is no longer as it was when the stage ran."""
    changed = []
    asked = {posixpath.normpath(path) for path in paths(plan.get("deps"))}
    for entry in (one for one in locked.get("deps", []) if posixpath.normpath(one["path"]) in asked):
        name = posixpath.normpath(posixpath.join(folder.relative_to(root).as_posix(), entry["path"]))
        now = _md5(root / name) if name in kept.in_git else _named(name, root, kept)
        if now and now != entry.get("md5"):
            changed.append(entry["path"])
    return changed


def _named(name: str, root: Path, kept: Kept) -> str:
    """Digest data that is not in git, or a folder of which a part is; empty when nobody can say without the data."""
    if FINGERPRINTS in name.split("/"):
        return ""
    if name in kept.digests:
        return kept.digests[name]
    begin = f"{name}/"
    digests = {file.removeprefix(begin): _md5(root / file) for file in kept.in_git if file.startswith(begin)}
    if not digests:
        return ""
    for path, md5 in kept.digests.items():
        if not path.startswith(begin):
            continue
        if md5.endswith(FOLDER) or not md5:
            return ""  # only a list that is with the data says what is in a folder
        digests[path.removeprefix(begin)] = md5
    return digest_of_list(digests)


def _md5_of_text(text: str) -> str:
    return hashlib.md5(text.encode()).hexdigest()  # noqa: S324  DVC's own hash


def _md5(file: Path) -> str:
    return digest_of_file(file) if file.is_file() else "gone"


def _read(file: Path, wanted: Mapping[str, Any], *, whole: bool) -> dict[str, Any]:
    """Read parameters as they stand now: by dotted name, a whole file by its top-level keys."""
    content = read_yaml(file) if file.is_file() else {}
    now: dict[str, Any] = {}
    for name in {*wanted, *(content if whole else ())}:
        found: Any = content
        for part in name.split("."):
            found = found.get(part) if isinstance(found, dict) else None
        now[name] = found
    return now
