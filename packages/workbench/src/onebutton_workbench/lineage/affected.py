"""Say which members a change reaches, and why. The work of `make status AFFECTED=1`.

A file belongs to a member; a member reaches all that declare it. Where that cannot be said, everything counts as reached: a
change may be tested too much, never too little. Which stages are stale, `make status` says.
"""

import re
from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from fnmatch import fnmatch
from pathlib import Path

from onebutton_contracts.errors import InputError, require
from onebutton_workbench.git import shortened
from onebutton_workbench.lineage.changes import Changes, changes_since, check_base, owner_of
from onebutton_workbench.workspace import ROOT, Member, member_paths, members

PAGE = re.compile(r"((packages|pipelines)/[^/]+/)?(README\.md|(docs|notebooks)/.+)|[^/]+\.md")
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

    @property
    def table(self) -> list[str]:
        """Members and reasons in two columns."""
        width = max((len(str(path)) for path in self.members), default=0)
        return [f"{path!s:<{width}}  {why}" for path, why in self.members.items()]


def affected(root: Path = ROOT, base: str = "") -> Affected:
    """Find what the change reaches since BASE, which must be known, or since it left the branch that the work will go into."""
    check_base(base, root)
    try:
        changes = changes_since(base, root)
        workspace = members(root)
        reached = _members_reached(changes, workspace)
    except InputError as error:
        why = str(error)
        return Affected(dict.fromkeys(member_paths(root), why), why, everything=True)
    words = f"{len(reached)} of {len(workspace)} members, since {changes.since}"
    if not reached:
        what = "only documentation or results" if changes.files else "nothing"
        seen = f": {shortened(changes.files, SHOWN)}" if changes.files else ""
        words = f"no member: {what} changed since {changes.since}{seen}"
    others = [member for member in workspace if changes.files and member.path not in reached]
    return Affected(reached, words, repo_tests=tuple(test for member in others for test in member.repo_tests))


def _members_reached(changes: Changes, workspace: Sequence[Member]) -> dict[Path, str]:
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
    for file in changes.files:
        owner, inside = owner_of(file)
        if PAGE.fullmatch(file) or (file == LOCK and not _lock_moved(changes)):
            continue
        require(owner in by_path, f"{file} belongs to no member, so it concerns all")
        is_test = fnmatch(inside, "tests/*.py")  # others' tests read the data in tests/, too
        (tests if is_test else code)[by_path[owner]].append(inside)
    reasons = {member: f"changed: {shortened(names, SHOWN)}" for member, names in (tests | code).items()}
    reached = list(code)
    for below in reached:  # grows while it is read: the nearest comes first
        for member in workspace:
            if below.name in member.requires and member not in reached:
                reached.append(member)
                reasons.setdefault(member, f"imports {below.name}")
    return {member.path: reasons[member] for member in sorted(reasons, key=lambda member: member.path)}


def _lock_moved(changes: Changes) -> bool:
    """Say whether a change of uv.lock may change what somebody already uses, beside members that came, went or declare more.

    What came is used by those alone who ask for it, and what went by nobody.
    """
    heads, locked = [], []
    for text in changes.texts(LOCK):
        head, *blocks = text.split("[[package]]\n")
        heads.append(head.partition("[manifest]")[0].split())  # without the list of members
        locked.append({block.strip() for block in blocks if not any(one in block for one in OURS)})
    moved, *known = ({block.partition("\n")[0] for block in blocks} for blocks in (locked[0] ^ locked[1], *locked))
    return heads[0] != heads[1] or bool(moved.intersection(*known))


def report(root: Path = ROOT, *, base: str = "") -> int:
    """Print each member reached by the change since a commit, with the reason."""
    found = affected(root, base)
    next_press = ". Next: make test AFFECTED=1" if found.members else ""
    print(*found.table, f"status: {'everything: ' if found.everything else ''}{found.words}{next_press}", sep="\n")
    return 0
