"""Which files differ from another commit, as git tells it: commits since the two parted, edits not committed, files not added."""

import os
import re
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from onebutton_contracts.errors import InputError
from onebutton_workbench.git import at_commit, call, git, holds, names

MAIN = "main"


class NothingToCompareError(InputError):
    """There is no commit to compare with; the message says why."""


@dataclass(frozen=True)
class Changes:
    """The files that differ."""

    since: str  # what they are compared with, in words
    files: tuple[str, ...]  # from the root, in order; deleted ones and both names of renamed ones included
    commit: str  # the one that they are compared with
    root: Path

    def texts(self, path: str) -> tuple[str, str]:
        """Read a file as the other commit has it, and as it stands; empty where it is not there."""
        file = self.root / path
        here = file.read_text(encoding="utf-8", errors="backslashreplace") if file.is_file() else ""
        return at_commit(self.commit, path, self.root) or "", here


def owner_of(path: str) -> tuple[str, str]:
    """Split a path into the folder of its member and the rest; the folder is empty where it belongs to none."""
    found = re.fullmatch(r"((?:packages|pipelines)/[^/]+)/(.+)", path)
    return (found[1], found[2]) if found else ("", path)


def is_commit(name: str, root: Path) -> bool:
    """Whether a branch, a tag or a hash names a commit that is here."""
    return holds("rev-parse", "--verify", "--quiet", f"{name}^{{commit}}", folder=root)


def cut_off(root: Path) -> str:
    """Say of a shallow clone that it is one, and what brings the rest; empty of a whole one."""
    rest = "`git fetch --unshallow origin '+refs/heads/*:refs/remotes/origin/*'` brings the rest"
    shallow = git("rev-parse", "--is-shallow-repository", folder=root) == "true"
    return f"this clone is shallow: {rest}, in a workflow `fetch-depth: 0`" if shallow else ""


def check_base(base: str, root: Path) -> None:
    """Refuse a BASE that was typed and names no commit."""
    if base and not is_commit(base, root):
        remedy = cut_off(root) or "BASE takes a branch, a tag or a commit, such as BASE=main"
        raise InputError(f"{base!r} is no commit here. {remedy}")


def target_branch() -> str:
    """Name the branch that a workflow's commit will go into; empty where it goes nowhere.

    A pull request names its branch; what is pushed to a branch goes into main.
    """
    event = os.environ.get("GITHUB_EVENT_NAME", "")
    if event == "push":
        return MAIN if os.environ.get("GITHUB_REF_NAME", MAIN) != MAIN else ""
    return os.environ.get("GITHUB_BASE_REF", "") if event == "pull_request" else ""


def choose_base(root: Path) -> str:
    """Name the branch that the work will go into, which is compared with where nobody typed a BASE.

    Raises:
        NothingToCompareError: there is no such branch here, or GitHub Actions runs this for none that waits.
        InputError: this is no checkout.
    """
    event = os.environ.get("GITHUB_EVENT_NAME", "")
    branch = target_branch() if event else MAIN
    if not branch:
        raise NothingToCompareError(f"GitHub runs this for {event} on a commit that goes into no other branch")
    own = call("branch", "--show-current", folder=root).stdout.strip()
    for one in [f"origin/{branch}"] if event or own == MAIN else [f"origin/{branch}", MAIN]:
        if is_commit(one, root):
            return one
    if own == MAIN and not event:
        raise NothingToCompareError("this is main, with no origin/main to compare it with; BASE=HEAD~1 takes a commit")
    mend = cut_off(root) or "`git fetch origin` may bring it"
    raise NothingToCompareError(f"origin/{branch} is not here to compare with; {mend}")


def parted(base: str, root: Path) -> str:
    """Name the commit where this branch and another parted; refuse one that is not here, and two that have none in common."""
    check_base(base, root)
    if found := call("merge-base", base, "HEAD", folder=root).stdout.strip():
        return found
    message = f"{base} and this branch have no commit in common here"
    raise NothingToCompareError("; ".join(filter(None, [message, cut_off(root)])))


def changes_since(base: str, root: Path) -> Changes:
    """List the files that differ from where this branch and BASE parted, when empty the branch that the work will go into.

    Raises:
        NothingToCompareError: as `choose_base` and `parted`.
    """
    base = base or choose_base(root)
    commit = parted(base, root)
    edited = names("diff", "--name-only", "--no-renames", "--no-ext-diff", "--relative", "-z", commit, folder=root)
    added = names("ls-files", "--others", "--exclude-standard", "-z", folder=root)
    return Changes(f"{base} ({commit[:8]})", tuple(sorted({*edited, *added})), commit, root)


def write_summary(lines: Iterable[str]) -> None:
    """Add to the summary of the job, where GitHub runs this for a commit that goes into another branch."""
    file = os.environ.get("GITHUB_STEP_SUMMARY")
    if file and target_branch():
        with Path(file).open("a", encoding="utf-8") as stream:
            stream.write("\n".join([*lines, ""]))
