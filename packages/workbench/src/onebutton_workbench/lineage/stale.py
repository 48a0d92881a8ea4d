"""Name the stages whose code, command, parameters or files changed since they were last run. The work of `make status`.

It compares what stands in git with the committed `dvc.lock` and needs no data, so a pull request can be told that somebody forgot
to press `make run` (OB105). `dvc status` says what differs; where that may only be data that is not here, the digests that git
holds, in `.dvc` files and locks, say whether it changed. Data that was changed and not committed is not seen here.
"""

from __future__ import annotations

import json
import posixpath
import subprocess
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from onebutton_contracts.errors import InputError
from onebutton_workbench.environment import clean_environment
from onebutton_workbench.files import read_yaml
from onebutton_workbench.findings import Finding
from onebutton_workbench.git import names
from onebutton_workbench.lineage.fingerprint import write_fingerprints
from onebutton_workbench.lineage.stages import FINGERPRINTS, Plan, Stage, dvc_files
from onebutton_workbench.lineage.tracked_data import FOLDER, digest_of_file, digest_of_list, tracked

NEVER = "never"
CODE, COMMAND, PARAMETERS, OUTPUTS = ORDER = ("the code behind it", "its command", "its parameters", "what it writes")
OF_SEVERAL = {
    CODE: "the code behind them",
    COMMAND: "their commands",
    PARAMETERS: "their parameters",
    OUTPUTS: "what they write",
}


def stale_stages(plans: Sequence[Plan], root: Path) -> list[Finding]:
    """Compare the stages of some plans with what their locks say was run; what concerns several stages of one is told once.

    Fingerprints are written first, as the stage `code` would, so that DVC compares them with all else.

    Raises:
        InputError: a module has a syntax error, a stage runs none of the workspace, or DVC cannot read a plan.
    """
    locks = {plan.file: _read_lock(plan.file) for plan in plans}
    ran = [plan for plan in plans if locks[plan.file]]
    for plan in ran:
        write_fingerprints(plan.folder, root)
    status = _dvc_status([plan.file for plan in ran], root) if ran else {}
    kept = Kept.here(root) if status else None
    findings = []
    for plan in plans:
        stages = {stage.name: stage for stage in plan.stages if not stage.frozen}
        lock, facts = locks[plan.file], status.get(plan.file, {})
        groups: dict[tuple[str, ...], list[str]] = {}
        for name in facts if lock else stages:
            stage = stages.get(name.partition("@")[0])  # `code` and frozen ones are none of these
            if stage and name not in lock:
                groups.setdefault((NEVER,), []).append(name)
            elif stage and kept:
                recorded = _recorded(lock[name], plan, stage, root)
                changes = _changes(facts[name], recorded, stage, plan.folder.relative_to(root), kept)
                groups.setdefault(changes, []).append(name)
        findings += [
            Finding(
                "OB105",
                plan.file.relative_to(root).as_posix(),
                _words(changes, found),
                "`make run`, then commit the files that it names",
            )
            for changes, found in groups.items()
            if changes
        ]
    return findings


def _read_lock(dvc_yaml: Path) -> dict[str, Any]:
    file = dvc_yaml.with_name("dvc.lock")
    return (read_yaml(file).get("stages") or {}) if file.is_file() else {}


def _words(changes: Sequence[str], stages: Sequence[str]) -> str:
    several = len(stages) > 1
    which = f"stages {_listed(list(map(repr, stages)))} were" if several else f"stage {stages[0]!r} was"
    results = "their results are" if several else "its results are"
    if NEVER in changes:
        return f"{which} never run, so {results} missing"
    what = _listed([OF_SEVERAL.get(one, one) if several else one for one in changes])
    return f"{which} not run since {what} changed, so {results} of another time"


def _listed(words: Sequence[str]) -> str:
    return " and ".join(filter(None, [", ".join(words[:-1]), words[-1]]))


def _dvc_status(files: Sequence[Path], root: Path) -> dict[Path, dict[str, dict[str, Any]]]:
    """Ask DVC what differs from the locks of some plans: by plan and stage."""
    command = [sys.executable, "-m", "dvc", "--wait-for-lock", "status", "--json"]
    command += [file.relative_to(root).as_posix() for file in files]
    done = subprocess.run(command, cwd=root, env=clean_environment(), capture_output=True, text=True, check=False)
    if done.returncode:
        message = f"DVC cannot compare the stages with what was run: {' '.join(done.stderr.split())}"
        raise InputError(message)
    found: dict[Path, dict[str, dict[str, Any]]] = {file: {} for file in files}
    for address, facts in json.loads(done.stdout).items():
        place, _, name = address.rpartition(":")
        named = (fact if isinstance(fact, dict) else {fact: {}} for fact in facts)
        found[root / (place or "dvc.yaml")][name] = {key: what for one in named for key, what in one.items()}
    return found


def _recorded(locked: Mapping[str, Any], plan: Plan, stage: Stage, root: Path) -> dict[str, str]:
    """Read the digest that a lock has of each file that a stage reads or writes, by its path from the root."""
    folder = plan.folder.relative_to(root).joinpath(stage.wdir).as_posix()
    entries = [*locked.get("deps", []), *locked.get("outs", [])]
    return {posixpath.normpath(posixpath.join(folder, one["path"])): str(one.get("md5", "")) for one in entries}


def _changes(
    facts: Mapping[str, Any], recorded: Mapping[str, str], stage: Stage, folder: Path, kept: Kept
) -> tuple[str, ...]:
    """Name what differs between a stage as it was run and as it stands here."""
    found = [COMMAND] if "changed command" in facts else []
    if any(path not in recorded for path in facts.get("changed outs", ())):
        found.append(OUTPUTS)
    for path, how in facts.get("changed deps", {}).items():
        if posixpath.normpath(path).endswith(f"{FINGERPRINTS}/{stage.name}"):
            found.append(CODE)  # other files there are outputs of stages, which a fresh clone lacks
        elif isinstance(how, dict):  # each parameter of a file
            found.append(PARAMETERS)
        elif path not in recorded or kept.has_changed(path, recorded[path]):
            found.append(posixpath.relpath(path, folder.as_posix()))
    return tuple(sorted(set(found), key=lambda what: (ORDER.index(what) if what in ORDER else len(ORDER), what)))


@dataclass(frozen=True)
class Kept:
    """What can be said of files without having the data.

    Attributes:
        root: of the checkout.
        in_git: the files that git has or is about to have, relative to the root.
        digests: of the data that git only names, in `.dvc` files and as outputs in any `dvc.lock`, by its path.
    """

    root: Path
    in_git: frozenset[str]
    digests: Mapping[str, str]

    @classmethod
    def here(cls, root: Path) -> Kept:
        """Read it from the checkout."""
        digests = {}
        for file in dvc_files(root):
            folder = file.parent.relative_to(root).as_posix()
            try:
                lock = _read_lock(file)
            except InputError:  # of a draft; whose plan is compared has a lock that was read before
                continue
            for stage in lock.values():
                for entry in stage.get("outs", []):
                    digests[posixpath.normpath(posixpath.join(folder, entry["path"]))] = str(entry.get("md5", ""))
        digests |= {one.path: one.md5 for one in tracked(root, new=True)}
        listed = ("ls-files", "-z", "--cached", "--others", "--exclude-standard", "--deduplicate")
        in_git = frozenset(names(*listed, folder=root))
        return cls(root, in_git, {path: md5 for path, md5 in digests.items() if path not in in_git})

    def has_changed(self, path: str, before: str) -> bool:
        """Whether what DVC finds another is so in git, too, and not only data that is not here."""
        return path in self.in_git or self._digest(path) not in {"", before}

    def _digest(self, path: str) -> str:
        """Digest data that is not in git, or a folder of which a part is; empty when nobody can say without the data."""
        if path in self.digests:
            return self.digests[path]
        begin = f"{path}/"
        inside = {name.removeprefix(begin): self.root / name for name in self.in_git if name.startswith(begin)}
        data = {name.removeprefix(begin): md5 for name, md5 in self.digests.items() if name.startswith(begin)}
        if not inside or any(md5.endswith(FOLDER) or not md5 for md5 in data.values()):
            return ""  # only a list that is with the data says what is in a folder
        digests = {name: digest_of_file(file) if file.is_file() else "gone" for name, file in inside.items()}
        return digest_of_list(digests | data)
