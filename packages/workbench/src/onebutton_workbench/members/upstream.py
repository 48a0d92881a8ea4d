"""Upstream, the repo that this one was made from: fetch it, and find the commit of it that is in here.

A fork shares upstream's history, so git itself knows. A repo made with GitHub's "Use this template" begins with one commit that
shares nothing, and a squashed upgrade leaves no trace in the history either: there the manifest knows, and where it does
not yet, the first commit here has the very content of one of upstream's.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from onebutton_contracts.errors import InputError
from onebutton_workbench.git import call, git, holds
from onebutton_workbench.members.manifest import MANIFEST


@dataclass(frozen=True)
class Baseline:
    """The upstream commit that is in here.

    Attributes:
        commit: its full name.
        in_history: whether git knows it for an ancestor; where not, a merge must be told.
    """

    commit: str
    in_history: bool


def fetch(root: Path, source: str, seconds: float | None = None) -> str:
    """Bring upstream's commits here, without touching a branch, and return the newest.

    Args:
        root: the repo to bring them to.
        source: an address or a folder.
        seconds: how long to wait for an answer; for ever when None.

    Raises:
        InputError: there is no answer, or no repo.
    """
    place = str(Path(source).expanduser()) if source.startswith("~") else source
    done = call("fetch", "--quiet", "--no-tags", "--", place, "HEAD", folder=root, seconds=seconds)
    if done.returncode:
        why = next((line for line in done.stderr.splitlines() if line.strip()), "git does not say why")
        why = why.removeprefix("fatal: ").removeprefix(f"unable to access '{place}/': ")
        message = f"upstream {source} cannot be reached: {why}"
        raise InputError(message)
    return git("rev-parse", "FETCH_HEAD^{commit}", folder=root)


def find_baseline(root: Path, tip: str, recorded: str) -> Baseline:
    """Find the newest upstream commit that is in here.

    Args:
        root: this repo.
        tip: upstream's newest commit, fetched.
        recorded: what the manifest says; may be empty.

    Raises:
        InputError: neither the manifest nor the history knows one.
    """
    in_upstream, in_here = is_in(root, recorded, tip), is_in(root, recorded, "HEAD")
    if recorded and not in_upstream and is_in(root, tip, recorded):
        return Baseline(tip, in_history=in_here)  # a mirror that lags behind
    if recorded and not in_upstream and not in_here:
        message = f"{MANIFEST} says that commit {recorded[:12]} of upstream is in here, but upstream has no such commit"
        raise InputError(message)
    if in_upstream and not in_here:
        return Baseline(git("rev-parse", f"{recorded}^{{commit}}", folder=root), in_history=False)
    if shared := call("merge-base", "HEAD", tip, folder=root).stdout.split():
        return Baseline(shared[0], in_history=True)
    if twin := _twin(root, tip):
        return Baseline(twin, in_history=False)
    message = (
        "no commit here has the content of one of upstream's, so nobody knows where this repo began: write the upstream "
        f"commit that you started from into `commit` of {MANIFEST}, commit that, and press the button again"
    )
    raise InputError(message)


def is_in(root: Path, commit: str, branch: str) -> bool:
    """Whether a commit is part of a branch's history; not if there is no such commit."""
    return bool(commit) and holds("merge-base", "--is-ancestor", commit, branch, folder=root)


def _twin(root: Path, tip: str) -> str:
    """Find the newest upstream commit that has the very content of a commit here; empty when there is none."""
    ours = set(git("log", "--no-show-signature", "--format=%T", "HEAD", folder=root).splitlines())
    theirs = (
        line.split() for line in git("log", "--no-show-signature", "--format=%H %T", tip, folder=root).splitlines()
    )
    return next((commit for commit, tree in theirs if tree in ours), "")
