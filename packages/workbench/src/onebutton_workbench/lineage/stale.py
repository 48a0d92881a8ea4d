"""Name the stages whose code, command, parameters or files changed since they were last run. The work of `make status`.

It compares what stands in git with the committed `dvc.lock` and needs no data, so a pull request can be told that somebody forgot
to press `make run` (OB105). `dvc status` says what differs; where that may only be data that is not here, the digests that git
holds, in `.dvc` files and locks, say whether it changed. Data that was changed and not committed is not seen here.
"""

import hashlib
import json
import sys
from collections import defaultdict
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from functools import partial
from pathlib import Path
from posixpath import dirname, join, normpath, relpath
from typing import Any

from onebutton_contracts.dvc_files import Plan, Stage, read_yaml
from onebutton_contracts.errors import InputError, require
from onebutton_workbench.environment import call
from onebutton_workbench.findings import Finding
from onebutton_workbench.git import names
from onebutton_workbench.lineage.fingerprint import write_fingerprints
from onebutton_workbench.lineage.tracked_data import md5_of, tracked
from onebutton_workbench.workspace import dvc_files

FOLDER = ".dir"  # how DVC's digest of a folder ends
NEVER = ("never",)


def stale_stages(plans: Sequence[Plan], root: Path, overlook: str = "") -> list[Finding]:
    """Compare the stages of some plans with what their locks say was run; what concerns several stages of one is told once.

    Fingerprints are written first, as the stage `code` would, so that DVC compares them with all else. `overlook` is a file or a
    folder beside `dvc.yaml` whose change alone makes no stage stale.

    Raises:
        InputError: a module has a syntax error, a stage runs none of the workspace, or DVC cannot read a plan.
    """
    locks = {plan.file: _read_lock(plan.file) for plan in plans}
    ran = [file for file, lock in locks.items() if lock]
    for file in ran:
        write_fingerprints(file.parent, root)
    status = _dvc_status([file.relative_to(root).as_posix() for file in ran], root) if ran else {}
    digest = partial(_digest, known=_named_in_git(root) if status else {}, root=root)
    findings = []
    for plan in plans:
        place, lock = plan.file.relative_to(root).as_posix(), locks[plan.file]
        facts = status.get(place, {})
        stages = {stage.name: stage for stage in plan.stages if not stage.frozen}
        groups: dict[tuple[str, ...], list[str]] = defaultdict(list)
        for name in facts if lock else stages:
            if stage := stages.get(name.partition("@")[0]):  # `code` and frozen ones are none of these
                what = _changes(facts[name], lock[name], stage, dirname(place), digest) if name in lock else NEVER
                groups[what].append(repr(name))
        for what, which in groups.items():
            words = f"{', '.join(what)} changed since {', '.join(which)} ran, so results are of another time"
            if what == NEVER:
                words = f"{', '.join(which)} never ran, so results are missing"
            if {*what} - {overlook}:
                findings.append(Finding("OB105", place, words, "`make run`, then commit the files that it names"))
    return findings


def _read_lock(dvc_yaml: Path) -> dict[str, Any]:
    file = dvc_yaml.with_name("dvc.lock")
    return (read_yaml(file).get("stages") or {}) if file.is_file() else {}


def _dvc_status(plans: Sequence[str], root: Path) -> dict[str, dict[str, dict[str, Any]]]:
    """Ask DVC what differs from the locks of some plans: by plan and stage."""
    done = call(sys.executable, "-m", "dvc", "--wait-for-lock", "status", "--json", *plans, folder=root)
    failed = f"DVC cannot compare the stages with what was run: {' '.join(done.stderr.split())}"
    require(not done.returncode, failed)
    found: dict[str, dict[str, dict[str, Any]]] = defaultdict(lambda: defaultdict(dict))
    for address, facts in json.loads(done.stdout).items():
        place, _, name = address.rpartition(":")
        for fact in facts:
            found[place or "dvc.yaml"][name] |= fact if isinstance(fact, dict) else {fact: {}}
    return found


def _recorded(entries: Sequence[Mapping[str, str]], folder: str) -> dict[str, str]:
    """Read the digests that a lock has of what stages read or write, by path from the root."""
    return {normpath(join(folder, one["path"])): one.get("md5") or "" for one in entries}


def _changes(
    facts: Mapping[str, Any], locked: Mapping[str, Any], stage: Stage, folder: str, digest: Callable[[str], str]
) -> tuple[str, ...]:
    """Name what differs between a stage as it was run and as it stands here."""
    entries = [*locked.get("deps", []), *locked.get("outs", [])]
    recorded = _recorded(entries, join(folder, str(stage.body.get("wdir", ""))))
    deps = facts.get("changed deps", {})
    code = {path for path in deps if path.endswith(stage.fingerprint)}
    parameters = {path for path, how in deps.items() if isinstance(how, dict)}
    told = {
        "code": code,
        "the command": "changed command" in facts,
        "parameters": parameters,
        "what is written": facts.get("changed outs", {}).keys() - recorded.keys(),
    }
    others = sorted(deps.keys() - code - parameters)
    changed = [path for path in others if path not in recorded or digest(path) not in {"", recorded[path]}]
    return (*(what for what, found in told.items() if found), *(relpath(path, folder or ".") for path in changed))


def _named_in_git(root: Path) -> dict[str, str | None]:
    """Map data that git only names, in `.dvc` files and as outputs in a `dvc.lock`, to its digest, and what git has to None."""
    data: dict[str, str | None] = {}
    for file in dvc_files(root):
        with suppress(InputError):  # of a draft: the lock of a plan that is compared was read before
            for stage in _read_lock(file).values():
                data |= _recorded(stage.get("outs", []), file.parent.relative_to(root).as_posix())
    data |= {one.path: one.md5 for one in tracked(root)}
    files = names("ls-files", "-z", "--cached", "--others", "--exclude-standard", "--deduplicate", folder=root)
    return data | dict.fromkeys(files)


def _digest(path: str, known: Mapping[str, str | None], root: Path) -> str:
    """Digest a file or a folder as DVC does; empty when nobody can say without the data."""
    if path in known:
        named = known[path]
        return md5_of(root / path) if named is None else named
    inside = {name: _digest(name, known, root) for name in sorted(known) if name.startswith(f"{path}/")}
    unsaid = any(not one or one.endswith(FOLDER) for one in inside.values())
    if unsaid or None not in map(known.get, inside):
        return ""  # only a list that is with the data says what is in a folder
    listed = [{"md5": md5, "relpath": name.removeprefix(f"{path}/")} for name, md5 in inside.items()]
    return hashlib.md5(json.dumps(listed, sort_keys=True).encode()).hexdigest() + FOLDER  # noqa: S324
