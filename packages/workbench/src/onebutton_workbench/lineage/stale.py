"""Name the stages whose code, command, parameters or files changed since they were last run. The work of `make status`.

It compares what stands in git with the committed `dvc.lock` and needs no data, so a pull request can be told that somebody forgot
to press `make run` (OB105). `dvc status` says what differs; where that may only be data that is not here, the digests that git
holds, in `.dvc` files and locks, say whether it changed. Data that was changed and not committed is not seen here.
"""

import hashlib
import json
import posixpath
import sys
from collections import defaultdict
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from functools import partial
from pathlib import Path
from typing import Any

from onebutton_contracts.dvc_files import Plan, Stage, read_yaml
from onebutton_contracts.errors import InputError
from onebutton_workbench.environment import call
from onebutton_workbench.findings import Finding
from onebutton_workbench.git import names
from onebutton_workbench.lineage.fingerprint import write_fingerprints
from onebutton_workbench.lineage.tracked_data import tracked
from onebutton_workbench.workspace import dvc_files

FOLDER = ".dir"  # how DVC's digest of a folder ends
IN_GIT = "git"  # in place of a digest
NEVER = "never"


def stale_stages(plans: Sequence[Plan], root: Path, overlook: str = "") -> list[Finding]:
    """Compare the stages of some plans with what their locks say was run; what concerns several stages of one is told once.

    Fingerprints are written first, as the stage `code` would, so that DVC compares them with all else.

    Args:
        plans: which to compare.
        root: of the repo.
        overlook: a file or folder beside `dvc.yaml` whose change alone makes no stage stale.

    Raises:
        InputError: a module has a syntax error, a stage runs none of the workspace, or DVC cannot read a plan.
    """
    locks = {plan.file: _read_lock(plan.file) for plan in plans}
    ran = [plan for plan in plans if locks[plan.file]]
    for plan in ran:
        write_fingerprints(plan.file.parent, root)
    status = _dvc_status([plan.file.relative_to(root).as_posix() for plan in ran], root) if ran else {}
    digest = partial(_digest, known=_named_in_git(root) if status else {}, root=root)
    findings = []
    for plan in plans:
        place, lock = plan.file.relative_to(root).as_posix(), locks[plan.file]
        folder, facts = posixpath.dirname(place), status.get(place, {})
        stages = {stage.name: stage for stage in plan.stages if not stage.frozen}
        groups: dict[tuple[str, ...], list[str]] = defaultdict(list)
        for name in facts if lock else stages:
            stage = stages.get(name.partition("@")[0])  # `code` and frozen ones are none of these
            if stage and name not in lock:
                groups[(NEVER,)].append(repr(name))
            elif stage:
                recorded = _recorded(lock[name], posixpath.join(folder, str(stage.body.get("wdir", ""))))
                groups[_changes(facts[name], recorded, stage, folder, digest)].append(repr(name))
        for what, which in groups.items():
            words = f"{', '.join(what)} changed since {', '.join(which)} ran, so results are of another time"
            if NEVER in what:
                words = f"{', '.join(which)} never ran, so results are missing"
            if {*what} - {overlook}:
                findings.append(Finding("OB105", place, words, "`make run`, then commit the files that it names"))
    return findings


def _read_lock(dvc_yaml: Path) -> dict[str, Any]:
    file = dvc_yaml.with_name("dvc.lock")
    return (read_yaml(file).get("stages") or {}) if file.is_file() else {}


def _dvc_status(plans: Sequence[str], root: Path) -> dict[str, dict[str, dict[str, Any]]]:
    """Ask DVC what differs from the locks of some plans: by plan and stage."""
    command = [sys.executable, "-m", "dvc", "--wait-for-lock", "status", "--json", *plans]
    done = call(*command, folder=root)
    if done.returncode:
        raise InputError(f"DVC cannot compare the stages with what was run: {' '.join(done.stderr.split())}")
    found: dict[str, dict[str, dict[str, Any]]] = defaultdict(lambda: defaultdict(dict))
    for address, facts in json.loads(done.stdout).items():
        place, _, name = address.rpartition(":")
        for fact in facts:
            found[place or "dvc.yaml"][name] |= fact if isinstance(fact, dict) else {fact: {}}
    return found


def _recorded(locked: Mapping[str, Any], folder: str) -> dict[str, str]:
    """Read the digest that a lock has of each file that a stage reads or writes, by its path from the root."""
    entries = [*locked.get("deps", []), *locked.get("outs", [])]
    return {posixpath.normpath(posixpath.join(folder, one["path"])): one.get("md5") or "" for one in entries}


def _changes(
    facts: Mapping[str, Any], recorded: Mapping[str, str], stage: Stage, folder: str, digest: Callable[[str], str]
) -> tuple[str, ...]:
    """Name what differs between a stage as it was run and as it stands here."""
    deps = {posixpath.normpath(path): how for path, how in facts.get("changed deps", {}).items()}
    told = {
        "code": any(path.endswith(stage.fingerprint) for path in deps),
        "the command": "changed command" in facts,
        "parameters": any(isinstance(how, dict) for how in deps.values()),
        "what is written": any(path not in recorded for path in facts.get("changed outs", ())),
    }
    files = [
        posixpath.relpath(path, folder or ".")
        for path, how in sorted(deps.items())
        if not isinstance(how, dict) and not path.endswith(stage.fingerprint)
        if path not in recorded or digest(path) not in {"", recorded[path]}
    ]
    return (*(what for what, changed in told.items() if changed), *files)


def _named_in_git(root: Path) -> dict[str, str]:
    """Map data that git only names, in `.dvc` files and as outputs in a `dvc.lock`, to its digest, and what git has to IN_GIT."""
    data: dict[str, str] = {}
    for file in dvc_files(root):
        with suppress(InputError):  # of a draft: the lock of a plan that is compared was read before
            for stage in _read_lock(file).values():
                data |= _recorded({"outs": stage.get("outs", [])}, file.parent.relative_to(root).as_posix())
    data |= {one.path: one.md5 for one in tracked(root)}
    files = names("ls-files", "-z", "--cached", "--others", "--exclude-standard", "--deduplicate", folder=root)
    return data | dict.fromkeys(files, IN_GIT)


def _digest(path: str, known: Mapping[str, str], root: Path) -> str:
    """Digest a file or a folder as DVC does; empty when nobody can say without the data."""

    def of_file(name: str) -> str:
        if known[name] != IN_GIT:
            return known[name]
        file = root / name
        return hashlib.md5(file.read_bytes()).hexdigest() if file.is_file() else "gone"  # noqa: S324  DVC's own hash

    if path in known:
        return of_file(path)
    inside = sorted(name for name in known if name.startswith(f"{path}/"))
    listed = [{"md5": of_file(name), "relpath": name.removeprefix(f"{path}/")} for name in inside]
    unsaid = any(not one["md5"] or one["md5"].endswith(FOLDER) for one in listed)
    if unsaid or IN_GIT not in {known[name] for name in inside}:
        return ""  # only a list that is with the data says what is in a folder
    return hashlib.md5(json.dumps(listed, sort_keys=True).encode()).hexdigest() + FOLDER  # noqa: S324
