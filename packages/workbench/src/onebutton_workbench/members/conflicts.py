"""Settle what git could not merge by itself, by whose file it is.

Git has marked a file when both sides changed the same lines. Some such lines differ in nothing but the team's name, so each
file is merged once more with the team's name on all three sides. What still conflicts then is settled to upstream's side or
to the team's, as the manifest says, or left to a person.
"""

from __future__ import annotations

import subprocess
import tempfile
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from onebutton_workbench.environment import clean_environment
from onebutton_workbench.git import git, names
from onebutton_workbench.members.manifest import Owner

BASE, TEAM, UPSTREAM = 1, 2, 3  # the stages of git's index
GIT_NAMES = {"team": "ours", "upstream": "theirs"}
MOST_CONFLICTS = 127  # more than that is how `git merge-file` says that it failed
Side = Literal["team", "upstream", "person", "both"]
Naming = Callable[[str, str], str]  # from a path and a text of upstream's to that text with the team's name in it


@dataclass(frozen=True)
class Conflict:
    """One file that git could not merge.

    Attributes:
        path: of the file.
        blobs: git's object for each stage. A stage that is missing was deleted, or never there.
        plain: whether it is a plain file in every stage, and no link.
    """

    path: str
    blobs: dict[int, str]
    plain: bool


def collect(root: Path) -> list[Conflict]:
    """List what git could not merge."""
    entries: dict[str, list[list[str]]] = {}
    for entry in names("ls-files", "--unmerged", "-z", folder=root):
        facts, _, path = entry.partition("\t")
        entries.setdefault(path, []).append(facts.split())
    return [
        Conflict(
            path, {int(stage): blob for _, blob, stage in facts}, all(mode.startswith("100") for mode, *_ in facts)
        )
        for path, facts in entries.items()
    ]


def winner(conflict: Conflict, owner: Owner) -> Side:
    """Say whose side a file is settled to.

    Left to a person is a shared file, and one that both sides added under one name: neither is a version of the other.
    """
    if owner == "shared" or BASE not in conflict.blobs or len(conflict.blobs) == 1:
        return "person"
    return owner


def settle(root: Path, conflict: Conflict, owner: Owner, naming: Naming) -> Side:
    """Settle one file in the working tree and in git's index; one that is left to a person keeps its marks.

    Returns:
        Whose side it was settled to; `both` where nothing but the name differed.
    """
    side = winner(conflict, owner)
    if conflict.plain and len(conflict.blobs) == len((BASE, TEAM, UPSTREAM)):
        texts = [_named(conflict.path, _content(root, conflict.blobs[stage]), naming) for stage in (BASE, UPSTREAM)]
        base, upstream = texts
        team = _content(root, conflict.blobs[TEAM])
        merged, conflicts = merge(base, team, upstream)
        if 0 < conflicts <= MOST_CONFLICTS and side != "person":
            merged, _ = merge(base, team, upstream, f"--{GIT_NAMES[side]}")
        if conflicts <= MOST_CONFLICTS:
            (root / conflict.path).write_bytes(merged)
            if not conflicts or side != "person":
                git("add", "--", conflict.path, folder=root)
            return side if conflicts else "both"
    if side != "person":
        take(root, conflict, side)
    return side


def merge(base: bytes, team: bytes, upstream: bytes, *options: str) -> tuple[bytes, int]:
    """Merge three contents by lines, and say how many conflicts are left; over 127 means that they are no text."""
    with tempfile.TemporaryDirectory() as folder:
        for name, content in (("yours", team), ("before", base), ("upstream", upstream)):
            Path(folder, name).write_bytes(content)
        command = ["git", "merge-file", "--quiet", "--stdout", *options, "yours", "before", "upstream"]
        done = subprocess.run(command, cwd=folder, env=clean_environment(), capture_output=True, check=False)
    return done.stdout, done.returncode


def take(root: Path, conflict: Conflict, side: Side) -> None:
    """Take a file as one side has it: also gone, where that side deleted it."""
    if (TEAM if side == "team" else UPSTREAM) in conflict.blobs:
        git("checkout", "--quiet", f"--{GIT_NAMES[side]}", "--", conflict.path, folder=root)
        git("add", "--", conflict.path, folder=root)
    else:
        git("rm", "--quiet", "--force", "--", conflict.path, folder=root)


def _named(path: str, content: bytes, naming: Naming) -> bytes:
    try:
        return naming(path, content.decode("utf-8")).encode("utf-8")
    except UnicodeDecodeError:
        return content


def _content(root: Path, blob: str) -> bytes:
    command = ["git", "cat-file", "blob", blob]
    return subprocess.run(command, cwd=root, env=clean_environment(), capture_output=True, check=True).stdout
