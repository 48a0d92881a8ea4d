"""Name the stages whose code, command, parameters or files changed since they were last run. The work of `make status`.

It compares what stands in git with the committed `dvc.lock` and needs no data, so a pull request can be told that somebody forgot
to press `make run` (OB105). `dvc status` says what differs; where that may only be data that is not here, the digests that git
holds, in `.dvc` files and locks, say whether it changed. Data that was changed and not committed is not seen here.
"""

from __future__ import annotations

import hashlib
import json
import posixpath
import sys
from collections import defaultdict
from collections.abc import Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any

from onebutton_contracts.dvc_files import read_yaml
from onebutton_contracts.errors import InputError
from onebutton_workbench.environment import call
from onebutton_workbench.findings import Finding
from onebutton_workbench.git import names
from onebutton_workbench.lineage.fingerprint import write_fingerprints
from onebutton_workbench.lineage.stages import FINGERPRINTS, Plan, Stage, dvc_files
from onebutton_workbench.lineage.tracked_data import tracked

FOLDER = ".dir"  # how DVC's digest of a folder ends
NEVER = "never"
CODE, COMMAND, PARAMETERS, OUTPUTS = "the code behind it", "its command", "its parameters", "what it writes"
OF_SEVERAL = {
    CODE: "the code behind them",
    COMMAND: "their commands",
    PARAMETERS: "their parameters",
    OUTPUTS: "what they write",
}


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
    committed = Committed(root) if status else None
    findings = []
    for plan in plans:
        place, lock = plan.file.relative_to(root).as_posix(), locks[plan.file]
        folder, facts = posixpath.dirname(place), status.get(place, {})
        stages = {stage.name: stage for stage in plan.stages if not stage.frozen}
        groups: dict[tuple[str, ...], list[str]] = defaultdict(list)
        for name in facts if lock else stages:
            stage = stages.get(name.partition("@")[0])  # `code` and frozen ones are none of these
            if stage and name not in lock:
                groups[(NEVER,)].append(name)
            elif stage and committed:
                recorded = _recorded(lock[name], posixpath.join(folder, stage.wdir))
                groups[_changes(facts[name], recorded, stage, folder, committed)].append(name)
        mend = "`make run`, then commit the files that it names"
        findings += [
            Finding("OB105", place, _words(what, which), mend) for what, which in groups.items() if {*what} - {overlook}
        ]
    return findings


def _read_lock(dvc_yaml: Path) -> dict[str, Any]:
    file = dvc_yaml.with_name("dvc.lock")
    return (read_yaml(file).get("stages") or {}) if file.is_file() else {}


def _words(changes: Sequence[str], stages: Sequence[str]) -> str:
    several = len(stages) > 1
    which = f"stages {_listed([repr(stage) for stage in stages])} were" if several else f"stage {stages[0]!r} was"
    results = "their results are" if several else "its results are"
    if NEVER in changes:
        return f"{which} never run, so {results} missing"
    what = _listed([OF_SEVERAL.get(one, one) if several else one for one in changes])
    return f"{which} not run since {what} changed, so {results} of another time"


def _listed(words: Sequence[str]) -> str:
    return " and ".join(filter(None, [", ".join(words[:-1]), words[-1]]))


def _dvc_status(plans: Sequence[str], root: Path) -> dict[str, dict[str, dict[str, Any]]]:
    """Ask DVC what differs from the locks of some plans: by plan and stage."""
    command = [sys.executable, "-m", "dvc", "--wait-for-lock", "status", "--json", *plans]
    done = call(*command, folder=root)
    if done.returncode:
        message = f"DVC cannot compare the stages with what was run: {' '.join(done.stderr.split())}"
        raise InputError(message)
    found: dict[str, dict[str, dict[str, Any]]] = defaultdict(lambda: defaultdict(dict))
    for address, facts in json.loads(done.stdout).items():
        place, _, name = address.rpartition(":")
        for fact in facts:
            found[place or "dvc.yaml"][name] |= fact if isinstance(fact, dict) else {fact: {}}
    return found


def _recorded(locked: Mapping[str, Any], folder: str) -> dict[str, Any]:
    """Read the digest that a lock has of each file that a stage reads or writes, by its path from the root."""
    entries = [*locked.get("deps", []), *locked.get("outs", [])]
    return {posixpath.normpath(posixpath.join(folder, one["path"])): one.get("md5") for one in entries}


def _changes(
    facts: Mapping[str, Any], recorded: Mapping[str, Any], stage: Stage, folder: str, committed: Committed
) -> tuple[str, ...]:
    """Name what differs between a stage as it was run and as it stands here."""
    deps = {posixpath.normpath(path): how for path, how in facts.get("changed deps", {}).items()}
    code = f"{FINGERPRINTS}/{stage.name}"  # other files there are outputs of stages, which a fresh clone lacks
    told = {
        CODE: any(path.endswith(code) for path in deps),
        COMMAND: "changed command" in facts,
        PARAMETERS: any(isinstance(how, dict) for how in deps.values()),
        OUTPUTS: any(path not in recorded for path in facts.get("changed outs", ())),
    }
    files = [
        posixpath.relpath(path, folder or ".")
        for path, how in sorted(deps.items())
        if not isinstance(how, dict) and not path.endswith(code)
        if path not in recorded or committed.digest(path) not in {"", recorded[path]}
    ]
    return (*(what for what, changed in told.items() if changed), *files)


class Committed:
    """What git says of files whose data may not be here.

    Attributes:
        root: of the checkout.
        files: that git has or is about to have, relative to the root.
        data: the digests of data that git only names, in `.dvc` files and as outputs in any `dvc.lock`, by its path.
    """

    def __init__(self, root: Path) -> None:
        """Read it from the checkout."""
        self.root = root
        listed = ("ls-files", "-z", "--cached", "--others", "--exclude-standard", "--deduplicate")
        self.files = frozenset(names(*listed, folder=root))
        data: dict[str, str] = {}
        for file in dvc_files(root):
            with suppress(InputError):  # of a draft: the lock of a plan that is compared was read before
                for stage in _read_lock(file).values():
                    data |= _recorded({"outs": stage.get("outs", [])}, file.parent.relative_to(root).as_posix())
        data |= {one.path: one.md5 for one in tracked(root, new=True)}
        self.data = {path: md5 or "" for path, md5 in data.items() if path not in self.files}

    def digest(self, path: str) -> str:
        """Digest a file or a folder as DVC does; empty when nobody can say without the data."""
        if path in self.data or path in self.files:
            return self._digest_of_file(path)
        inside = [name for name in (*self.files, *self.data) if name.startswith(f"{path}/")]
        found = {name.removeprefix(f"{path}/"): self._digest_of_file(name) for name in inside}
        if self.files.isdisjoint(inside) or any(md5.endswith(FOLDER) or not md5 for md5 in found.values()):
            return ""  # only a list that is with the data says what is in a folder
        listed = [{"md5": found[name], "relpath": name} for name in sorted(found)]
        return hashlib.md5(json.dumps(listed, sort_keys=True).encode()).hexdigest() + FOLDER  # noqa: S324  DVC's own hash

    def _digest_of_file(self, path: str) -> str:
        if path in self.data:
            return self.data[path]
        file = self.root / path
        return hashlib.md5(file.read_bytes()).hexdigest() if file.is_file() else "gone"  # noqa: S324
