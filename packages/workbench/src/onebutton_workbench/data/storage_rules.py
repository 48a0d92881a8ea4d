"""Find data that a committed `dvc.lock` names and that only one machine has (OB304): a part of `make status`.

It asks the shared remote. What it does not have must follow, stage by stage, from what it has, from git, and from sources
whose SHA-256 a contract pins. While the remote is a folder in the checkout, nothing is shared and nothing is asked.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from posixpath import dirname, join, normpath
from typing import Any

from onebutton_contracts.contract import load_contract
from onebutton_contracts.errors import InputError
from onebutton_workbench.data.storage import Remote, absent
from onebutton_workbench.files import parse_yaml
from onebutton_workbench.findings import Finding
from onebutton_workbench.git import git, names
from onebutton_workbench.lineage.stages import FINGERPRINTS, dvc_files
from onebutton_workbench.lineage.tracked_data import tracked


@dataclass(frozen=True)
class Made:
    """A stage as a `dvc.lock` has it; paths are relative to the root. Data that no stage makes is one without a name."""

    lock: str  # the file that names it, or a `.dvc` file
    name: str
    deps: Mapping[str, str]  # the digest of each data set that it reads and git does not hold
    outs: Mapping[str, str]  # the same of what it writes
    pinned: bool = False  # whether it reads contracts, and each names a source and its SHA-256


def read_made(lock: str, content: Mapping[str, Any], in_git: Collection[str], root: Path) -> Iterator[Made]:
    """Read the stages of one `dvc.lock`; fingerprints, and files and folders in git, are no data to keep."""

    def paths(entries: list[dict[str, Any]]) -> dict[str, str]:
        return {normpath(join(dirname(lock), one["path"])): str(one.get("md5", "")) for one in entries}

    def data(found: dict[str, str]) -> dict[str, str]:
        return {path: md5 for path, md5 in found.items() if path not in in_git and FINGERPRINTS not in path.split("/")}

    for name, stage in (content.get("stages") or {}).items():
        deps, outs = paths(stage.get("deps", [])), paths(stage.get("outs", []))
        pinned = [_pinned(root / path) for path in deps if path.endswith(".odcs.yaml")]
        yield Made(lock, name, data(deps), data(outs), pinned=bool(pinned) and all(pinned))


def lost(stages: list[Made], gone: Collection[str]) -> list[tuple[Made, str]]:
    """Name the data sets that are on no remote, whose digest is gone, and that nothing can make again.

    Each with the stage that writes it, or reads it when no stage writes it.
    """
    safe = {path for stage in stages for path, digest in {**stage.deps, **stage.outs}.items() if digest not in gone}
    for _ in stages:  # so often that what the last one makes is reached, whatever their order
        for stage in stages:
            # A stage that reads no data begins a pipeline: it must say where its own come from.
            if stage.deps.keys() <= safe if stage.deps else stage.pinned:
                safe.update(stage.outs)
    written = {path for stage in stages for path in stage.outs}
    return [
        (stage, path)
        for stage in stages
        for path in (*stage.outs, *(dep for dep in stage.deps if dep not in written))
        if path not in safe
    ]


def check(root: Path, remote: Remote) -> Iterator[Finding]:
    """Compare what is committed with what the remote has.

    Raises:
        UnreachableError: the remote does not answer, so it is not known.
        InputError: a committed file cannot be read.
    """
    in_git = set(names("ls-tree", "-r", "-t", "-z", "--name-only", "HEAD", folder=root))
    locks = [file.with_name("dvc.lock").relative_to(root).as_posix() for file in dvc_files(root)]
    stages = [Made(one.file, "", {}, {one.path: one.md5}) for one in tracked(root) if one.file in in_git and one.md5]
    for lock in (one for one in locks if one in in_git):
        stages += read_made(lock, parse_yaml(git("show", f"HEAD:./{lock}", folder=root), lock), in_git, root)
    digests = {digest for stage in stages for digest in (*stage.deps.values(), *stage.outs.values()) if digest}
    for stage, path in lost(stages, absent(remote, digests, root) | {""}):
        of = f" of stage {stage.name!r}" if stage.name else ""
        cause = "no source with a SHA-256 can make it again" if stage.name else "no stage makes it"
        words = f"{path}{of} is not on {remote.url}, and {cause}, so it is lost with the machine that has it"
        yield Finding("OB304", stage.lock, words, "`make push` on the machine that has it")


def _pinned(contract: Path) -> bool:
    try:
        facts = load_contract(contract).properties
    except InputError:
        return False
    return bool(facts.get("sourceSha256")) and bool(facts.get("sourceDistribution") or facts.get("sourceUrl"))
