"""Say which members a change reaches, and why. The work of `make status AFFECTED=1`.

A file belongs to a member; a member reaches all that declare it. Where that cannot be said, everything counts as reached: a
change may be tested too much, never too little. Which stages are stale, `make status` says.
"""

from __future__ import annotations

import os
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

from onebutton_contracts.errors import InputError
from onebutton_workbench.git import at_commit, shortened
from onebutton_workbench.lineage.changes import Changes, changes_since, check_base, choose_base
from onebutton_workbench.workspace import ROOT, Member, member_paths, members

DOCUMENTATION = ("docs", "notebooks")  # folders, of the root or of a member
SHOWN = 2  # files, as many as fit a line
LOCK = "uv.lock"
OURS = ("source = { editable = ", "source = { virtual = ")  # what a folder here declares, its pyproject.toml says


@dataclass(frozen=True)
class Affected:
    """What a change reaches."""

    members: Mapping[Path, str]  # the folder of each member reached, relative to the root, and why
    words: str  # how that was found, for the closing line
    everything: bool = False  # whether it is every member
    repo_tests: tuple[str, ...] = ()  # tests of other members that read files of the whole repo, documentation included


def affected(root: Path = ROOT, base: str = "", environment: Mapping[str, str] = os.environ) -> Affected:
    """Find what the change reaches since BASE, when empty since it left the branch that the work will go into.

    Raises:
        InputError: the typed commit is unknown.
    """
    check_base(base, root)
    try:
        return _reach(changes_since(choose_base(base, root, environment), root), root)
    except InputError as error:
        why, paths = str(error), []
        with suppress(InputError):  # the root's own pyproject.toml may be what cannot be read
            paths = member_paths(root)
        return Affected(dict.fromkeys(paths, why), why, everything=True)


def _reach(changes: Changes, root: Path) -> Affected:
    """Find what changed files reach; an InputError says why it is everything, or cannot be said."""
    workspace = members(root)
    reached = members_reached([file for file in changes.files if file != LOCK or _lock_moved(changes, root)], workspace)
    words = f"{len(reached)} of {len(workspace)} members, since {changes.since}"
    if not reached:
        what = "only documentation or results" if changes.files else "nothing"
        seen = f": {shortened(changes.files, SHOWN)}" if changes.files else ""
        words = f"no member: {what} changed since {changes.since}{seen}"
    others = [member for member in workspace if changes.files and member.path not in reached]
    return Affected(reached, words, repo_tests=tuple(test for member in others for test in member.repo_tests))


def _lock_moved(changes: Changes, root: Path) -> bool:
    """Say whether a change of uv.lock may change what somebody already uses, beside members that came, went or declare more.

    What came is used by those alone who ask for it, and what went by nobody.
    """
    before, file = at_commit(changes.commit, LOCK, root), root / LOCK
    if not before or not file.is_file():
        return True
    old, new = (text.split("[[package]]\n") for text in (before, file.read_text(encoding="utf-8")))
    heads = [blocks.pop(0).partition("[manifest]")[0].split() for blocks in (old, new)]  # without the list of members
    locked = [{block.strip() for block in blocks if not any(one in block for one in OURS)} for blocks in (old, new)]
    known = [{block.partition("\n")[0] for block in blocks} for blocks in locked]
    moved = {block.partition("\n")[0] for block in locked[0] ^ locked[1]}
    return heads[0] != heads[1] or bool(moved & known[0] & known[1])


def members_reached(files: Iterable[str], workspace: Sequence[Member]) -> dict[Path, str]:
    """Find the members that own changed files, and those that build on them.

    Returns:
        The folder of each, in order, with the reason. Documentation reaches nobody, a test nobody but its own member, the
        data of tests all that build on it.

    Raises:
        InputError: a file belongs to no member: what stands in the root concerns all.
    """
    by_path = {member.path.as_posix(): member for member in workspace}
    code: dict[Member, list[str]] = defaultdict(list)
    tests: dict[Member, list[str]] = defaultdict(list)
    for file in files:
        owner = next((str(parent) for parent in PurePosixPath(file).parents if str(parent) in by_path), "")
        inside = file.removeprefix(f"{owner}/")
        if _is_documentation(inside, of_root=not owner):
            continue
        if not owner:
            raise InputError(f"{file} belongs to no member, so it concerns all")
        of_tests = inside.startswith("tests/") and inside.endswith(".py")  # others' tests read the data in tests/, too
        (tests if of_tests else code)[by_path[owner]].append(inside)
    reasons = {member: f"changed: {shortened(names, SHOWN)}" for member, names in (tests | code).items()}
    reasons = _dependents(code, workspace) | reasons
    return {member.path: reasons[member] for member in sorted(reasons, key=lambda member: member.path)}


def _is_documentation(file: str, *, of_root: bool) -> bool:
    path = PurePosixPath(file)
    if len(path.parts) > 1:
        return path.parts[0] in DOCUMENTATION
    return file == "README.md" or (of_root and path.suffix == ".md")


def _dependents(changed: Iterable[Member], workspace: Sequence[Member]) -> dict[Member, str]:
    """Follow declarations upwards, however many levels; the reason names the nearest member on the way."""
    reasons: dict[Member, str] = {}
    waiting = list(changed)
    while waiting:
        below = waiting.pop(0)
        for member in workspace:
            if below.name in member.requires and member not in reasons:
                reasons[member] = f"imports {below.name}"
                waiting.append(member)
    return reasons


def table(reached: Mapping[Path, str]) -> list[str]:
    """Lay out members and reasons in two columns."""
    width = max((len(str(path)) for path in reached), default=0)
    return [f"{path!s:<{width}}  {why}" for path, why in reached.items()]


def report(root: Path = ROOT, *, base: str = "") -> int:
    """Print each member reached by the change since a commit, with the reason."""
    found = affected(root, base)
    print("".join(f"{line}\n" for line in table(found.members)), end="")
    next_press = ". Next: make test AFFECTED=1" if found.members else ""
    print(f"status: {'everything: ' if found.everything else ''}{found.words}{next_press}")
    return 0
