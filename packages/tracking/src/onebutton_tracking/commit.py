"""What git says of the sources behind a run: the commit, and how the working tree differs from it.

Sources are what can change a result: the pipeline's folder, the shared packages, the lock. What a run itself writes does not
count, and neither does a page of documentation or another pipeline.
"""

from __future__ import annotations

import hashlib
import os
import subprocess
import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

SHARED = ("packages/*/src/**", "packages/*/pyproject.toml", "pyproject.toml", "uv.lock", ".python-version")
CANDIDATES = 50  # commits after the one that brought a `dvc.lock`, in which its sources are looked for


@dataclass(frozen=True)
class Commit:
    """The state of the sources.

    Attributes:
        sha: of the commit; empty outside git or before the first commit.
        branch: its branch; empty when detached.
        dirty: whether a source differs from that commit.
        sources: SHA-256 over the names and contents of all sources, equal exactly where they are; empty without a commit.
    """

    sha: str
    branch: str
    dirty: bool
    sources: str = ""


def git_environment(more: Mapping[str, str] | None = None) -> dict[str, str]:
    """Drop `GIT_*`: inside a hook they point at somebody else's index. Make's own values are dropped with them."""
    foreign = ("GIT_", "MAKE", "MFLAGS")
    return {key: value for key, value in os.environ.items() if not key.startswith(foreign)} | dict(more or {})


def git(*arguments: str, folder: Path, text: str = "", more: Mapping[str, str] | None = None) -> str:
    """Ask git; an empty string when it cannot answer."""
    try:
        answer = subprocess.run(
            ["git", *arguments],
            cwd=folder,
            env=git_environment(more),
            input=text.encode("utf-8", "surrogateescape"),
            capture_output=True,
            check=False,
        )
    except OSError:
        return ""
    return answer.stdout.decode("utf-8", "surrogateescape") if answer.returncode == 0 else ""


def source_patterns(folder: Path, produced: Sequence[Path]) -> list[str]:
    """Write git's patterns for the sources of a pipeline, relative to the root of the repo.

    Args:
        folder: of the pipeline, two levels below the root.
        produced: what a run writes, relative to `folder`.
    """
    own = folder.relative_to(folder.parents[1]).as_posix()
    results = [f":(exclude,top){path}" for path in _from_top(folder, produced)]
    return [f":(glob){pattern}" for pattern in (*SHARED, f"{own}/**")] + results


def _from_top(folder: Path, paths: Sequence[Path]) -> list[str]:
    """Name paths from the top of the checkout: git takes no `..` in an exclusion."""
    prefix = git("rev-parse", "--show-prefix", folder=folder).strip()
    return [os.path.normpath(os.path.join(prefix, path)) for path in paths]  # noqa: PTH118  git's path, not a file's


class Index:
    """A git index of its own, so that neither the person's index nor their object database is touched."""

    def __init__(self, folder: Path, patterns: Sequence[str], scratch: str) -> None:
        """Prepare an empty one.

        Args:
            folder: the root of the repo.
            patterns: the files that count.
            scratch: a folder that is thrown away.
        """
        self.folder, self.patterns = folder, patterns
        objects = git("rev-parse", "--path-format=absolute", "--git-path", "objects", folder=folder).strip()
        self.more = {
            "GIT_INDEX_FILE": f"{scratch}/index",
            "GIT_OBJECT_DIRECTORY": scratch,
            "GIT_ALTERNATE_OBJECT_DIRECTORIES": objects,
        }

    def digest(self, commit: str) -> str:
        """Digest the sources of a commit; they stay in the index."""
        git("read-tree", commit, folder=self.folder, more=self.more)
        return self._digest()

    def digest_working_tree(self) -> str:
        """Bring in the sources as they stand in the folder, new ones included, and digest them."""
        listed = ("ls-files", "-z", "--cached", "--others", "--exclude-standard", "--", *self.patterns)
        names = git(*listed, folder=self.folder, more=self.more)
        git("update-index", "--add", "--remove", "-z", "--stdin", folder=self.folder, text=names, more=self.more)
        return self._digest()

    def patch(self, commit: str) -> str:
        """Write what leads from a commit to the index, as `git apply` reads it."""
        arguments = ("diff", "--cached", "--binary", "--full-index", "--no-color", "--no-ext-diff", "--no-renames")
        return git(*arguments, commit, "--", *self.patterns, folder=self.folder, more=self.more)

    def _digest(self) -> str:
        listing = git("ls-files", "--stage", "-z", "--", *self.patterns, folder=self.folder, more=self.more)
        return hashlib.sha256(listing.encode("utf-8", "surrogateescape")).hexdigest()


def read_commit(folder: Path, produced: Sequence[Path] = ()) -> tuple[Commit, str]:
    """Read the state of a pipeline's sources.

    Args:
        folder: of the pipeline.
        produced: paths, relative to `folder`, that a run writes: they are results, not sources.

    Returns:
        The commit, and where it is dirty the patch that leads from it to the working tree.
    """
    sha = git("rev-parse", "--verify", "--quiet", "HEAD", folder=folder).strip()
    branch = git("branch", "--show-current", folder=folder).strip()
    if not sha:
        return Commit("", branch, dirty=False), ""
    with tempfile.TemporaryDirectory(prefix="onebutton-index-") as scratch:
        index = Index(folder.parents[1], source_patterns(folder, produced), scratch)
        committed, here = index.digest(sha), index.digest_working_tree()
        dirty = committed != here
        return Commit(sha, branch, dirty, here), index.patch(sha) if dirty else ""


def committed_lock(folder: Path, commit: str = "HEAD") -> str:
    """Return the digest of a pipeline's `dvc.lock` in a commit; empty when it holds none."""
    content = git("show", f"{commit}:./dvc.lock", folder=folder)
    return hashlib.sha256(content.encode("utf-8", "surrogateescape")).hexdigest() if content else ""


def holding_commit(folder: Path, lock_digest: str, sources: str, produced: Sequence[Path] = ()) -> Commit | None:
    """Find the first commit on this branch that holds a `dvc.lock`, and the sources where those are given.

    Args:
        folder: of the pipeline.
        lock_digest: of the `dvc.lock`.
        sources: their digest, as `Commit.sources`; empty when nobody wrote it down: the commit
            that brought the lock is taken then.
        produced: as for `read_commit`.
    """
    first = git("log", "-1", "--format=%H", "--", "dvc.lock", folder=folder).strip()
    if not first or committed_lock(folder, first) != lock_digest:
        return None
    later = git("rev-list", "--reverse", "--ancestry-path", f"{first}..HEAD", folder=folder).split()
    branch = git("branch", "--show-current", folder=folder).strip()
    with tempfile.TemporaryDirectory(prefix="onebutton-index-") as scratch:
        index = Index(folder.parents[1], source_patterns(folder, produced), scratch)
        for commit in [first, *later][:CANDIDATES]:
            found = index.digest(commit)
            if found == sources or not sources:
                return Commit(commit, branch, dirty=False, sources=found)
    return None
