"""Find data that a committed `dvc.lock` names and nobody else can have (OB304): a part of `make status`.

It asks the shared remote. What it does not have must follow, stage by stage, from what it has, from git, and from sources
whose SHA-256 a contract pins. While the remote is a folder in the checkout, nothing is shared and nothing is asked.
"""

from __future__ import annotations

import posixpath
from collections.abc import Callable, Collection, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from onebutton_contracts.contract import load_contract
from onebutton_contracts.errors import InputError
from onebutton_workbench.data.storage import Remote, absent
from onebutton_workbench.files import parse_yaml
from onebutton_workbench.findings import Finding
from onebutton_workbench.git import call, names
from onebutton_workbench.lineage.stages import FINGERPRINTS, dvc_files
from onebutton_workbench.lineage.tracked_data import tracked

CONTRACT = ".odcs.yaml"


@dataclass(frozen=True)
class Made:
    """A stage as a `dvc.lock` has it; paths are relative to the root. Data that no stage makes is one without a name.

    Attributes:
        lock: the file that names it, or a `.dvc` file.
        deps: the digest of each data set that it reads and git does not hold.
        contracts: those that it reads.
        outs: the digest of each data set that it writes and git does not hold.
    """

    lock: str
    name: str
    deps: Mapping[str, str]
    contracts: tuple[str, ...]
    outs: Mapping[str, str]


def read_made(lock: str, content: Mapping[str, Any], in_git: Collection[str]) -> list[Made]:
    """Read the stages of one `dvc.lock`; fingerprints and files in git are no data to keep."""
    folder = posixpath.dirname(lock)
    folders = {parent for file in in_git for parent in _above(file)}

    def data(entries: list[dict[str, Any]]) -> dict[str, str]:
        paths = {
            posixpath.normpath(posixpath.join(folder, entry["path"])): str(entry.get("md5", "")) for entry in entries
        }
        return {
            path: digest
            for path, digest in paths.items()
            if path not in in_git and path not in folders and FINGERPRINTS not in path.split("/")
        }

    made = []
    for name, stage in (content.get("stages") or {}).items():
        deps = stage.get("deps", [])
        contracts = (entry["path"] for entry in deps if entry["path"].endswith(CONTRACT))
        paths = tuple(posixpath.normpath(posixpath.join(folder, path)) for path in contracts)
        made.append(Made(lock, name, data(deps), paths, data(stage.get("outs", []))))
    return made


def _above(file: str) -> Iterator[str]:
    while file := posixpath.dirname(file):
        yield file


def lost(stages: list[Made], gone: Collection[str], pinned: Callable[[str], bool]) -> list[tuple[Made, str]]:
    """Name the data sets that are on no remote and that nothing can make again.

    Args:
        stages: of every `dvc.lock`.
        gone: the digests that the remote does not have.
        pinned: whether a contract names a source and its SHA-256.

    Returns:
        Each with the stage that writes it, or reads it when no stage writes it.
    """
    safe = {path for stage in stages for path, digest in {**stage.deps, **stage.outs}.items() if digest not in gone}
    grows = True
    while grows:
        before = len(safe)
        for stage in stages:
            # A stage that reads no data begins a pipeline: it must say where its own come from.
            source = bool(stage.contracts) and all(map(pinned, stage.contracts))
            if all(path in safe for path in stage.deps) if stage.deps else source:
                safe.update(stage.outs)
        grows = len(safe) > before
    written = {path for stage in stages for path in stage.outs}
    return [
        (stage, path)
        for stage in stages
        for path in (*stage.outs, *(dep for dep in stage.deps if dep not in written))
        if path not in safe
    ]


def check(root: Path, remote: Remote) -> list[Finding]:
    """Hold what is committed to what the remote has.

    Raises:
        UnreachableError: the remote does not answer, so nobody can say.
        InputError: a committed file cannot be read.
    """
    in_git = set(names("ls-tree", "-r", "-z", "--name-only", "HEAD", folder=root))
    locks = [file.with_name("dvc.lock").relative_to(root).as_posix() for file in dvc_files(root)]
    stages = []
    for lock in (one for one in locks if one in in_git):
        shown = call("show", f"HEAD:./{lock}", folder=root)
        if shown.returncode:
            message = f"{lock} cannot be read from the last commit: {shown.stderr.strip()}"
            raise InputError(message)
        stages += read_made(lock, parse_yaml(shown.stdout, lock), in_git)
    stages += [
        Made(one.file, "", {}, (), {one.path: one.md5}) for one in tracked(root) if one.file in in_git and one.md5
    ]
    digests = {digest for stage in stages for digest in (*stage.deps.values(), *stage.outs.values()) if digest}
    gone = absent(remote, digests, root) | {""}
    return [_finding(stage, path, remote) for stage, path in lost(stages, gone, lambda file: _pinned(root / file))]


def _finding(stage: Made, path: str, remote: Remote) -> Finding:
    if not stage.name:
        words = f"{path} is not on {remote.url}, and no stage makes it, so it is lost with the machine that has it"
        return Finding("OB304", stage.lock, words, "`make push` on the machine that has it")
    words = (
        f"{path} of stage {stage.name!r} is not on {remote.url}, and no source with a SHA-256 can make it again, "
        "so it is lost with the machine that made it"
    )
    return Finding("OB304", stage.lock, words, "`make push` on the machine that has it")


def _pinned(file: Path) -> bool:
    try:
        facts = load_contract(file).properties
    except InputError:
        return False
    return bool(facts.get("sourceSha256")) and bool(facts.get("sourceDistribution") or facts.get("sourceUrl"))
