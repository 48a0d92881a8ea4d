"""Which files differ from another commit, as git tells it: commits since the two parted, edits not committed, files not added."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from onebutton_workbench.git import git
from onebutton_workbench.workspace import WorkbenchError

MAIN = "main"


class NothingToCompareError(WorkbenchError):
    """There is no commit to compare with; the message says why."""


@dataclass(frozen=True)
class Changes:
    """The files that differ.

    Attributes:
        since: what they are compared with, in words.
        files: their paths, relative to the root, in order; deleted ones and both names of renamed ones included.
        commit: the one that they are compared with.
    """

    since: str
    files: tuple[str, ...]
    commit: str


def is_commit(name: str, root: Path) -> bool:
    """Whether a branch, a tag or a hash names a commit that is here."""
    try:
        git("rev-parse", "--verify", "--quiet", f"{name}^{{commit}}", folder=root)
    except WorkbenchError:
        return False
    return True


def check_base(base: str, root: Path) -> None:
    """Refuse a BASE that names no commit.

    Raises:
        WorkbenchError: it names none.
    """
    if not is_commit(base, root):
        message = f"{base!r} is no commit here. BASE takes a branch, a tag or a commit, such as BASE=main"
        raise WorkbenchError(message)


def default_base(root: Path, environment: Mapping[str, str]) -> str:
    """Choose what to compare with where nobody typed BASE: the branch that the work will go into.

    Args:
        root: of the checkout.
        environment: in GitHub Actions a pull request names its branch here; any other event compares with nothing.

    Raises:
        NothingToCompareError: there is no such branch here.
        WorkbenchError: this is no checkout.
    """
    git("rev-parse", "--is-inside-work-tree", folder=root)
    event = environment.get("GITHUB_EVENT_NAME", "")
    if event and event != "pull_request":
        message = f"GitHub runs this for {event}, and only a pull request is compared with its branch"
        raise NothingToCompareError(message)
    target = f"origin/{environment.get('GITHUB_BASE_REF', '') if event else MAIN}"
    if is_commit(target, root):
        return target
    if event or not is_commit(MAIN, root):
        message = f"{target} is not here to compare with; `git fetch origin` may bring it"
        raise NothingToCompareError(message)
    if git("branch", "--show-current", folder=root) == MAIN:
        raise NothingToCompareError("this is main, with no origin/main to compare it with; BASE=HEAD~1 takes a commit")
    return MAIN


def changes_since(base: str, root: Path) -> Changes:
    """List the files that differ from where this branch and another parted.

    Raises:
        NothingToCompareError: the two have no commit in common.
        WorkbenchError: git refuses.
    """
    try:
        parted = git("merge-base", base, "HEAD", folder=root)
    except WorkbenchError:
        message = f"{base} and this branch have no commit in common here; in a shallow clone `git fetch --unshallow` brings it"
        raise NothingToCompareError(message) from None
    edited = git("diff", "--name-only", "--no-renames", "--no-ext-diff", "--relative", "-z", parted, folder=root)
    added = git("ls-files", "--others", "--exclude-standard", "-z", folder=root)
    files = {name for name in f"{edited}\0{added}".split("\0") if name}
    return Changes(f"{base} ({parted[:8]})", tuple(sorted(files)), parted)
