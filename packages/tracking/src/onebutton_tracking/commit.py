"""What git says of the sources behind a run: the commit, and how the working tree differs from it.

Sources are what can change a result: the pipeline's folder, the shared packages, the lock. What a run itself writes does not
count, and neither does a page of documentation or another pipeline.
"""

from __future__ import annotations

import hashlib
import os
import subprocess
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
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


class _Sources:
    """The sources of a pipeline in a git index of their own: neither the person's index nor their objects are touched."""

    def __init__(self, folder: Path, produced: Sequence[Path], scratch: str) -> None:
        self.root = folder.parents[1]
        prefix = git("rev-parse", "--show-prefix", folder=folder).strip()
        results = [os.path.normpath(os.path.join(prefix, path)) for path in produced]  # noqa: PTH118  git's path, not a file's
        wanted = (*SHARED, f"{folder.relative_to(self.root).as_posix()}/**")
        # Results are named from the top: git takes no `..` in an exclusion.
        self.patterns = [*(f":(glob){path}" for path in wanted), *(f":(exclude,top){path}" for path in results)]
        objects = git("rev-parse", "--path-format=absolute", "--git-path", "objects", folder=self.root).strip()
        self.more = {
            "GIT_INDEX_FILE": f"{scratch}/index",
            "GIT_OBJECT_DIRECTORY": scratch,
            "GIT_ALTERNATE_OBJECT_DIRECTORIES": objects,
        }

    def _git(self, *arguments: str, text: str = "") -> str:
        return git(*arguments, folder=self.root, text=text, more=self.more)

    def digest(self, commit: str) -> str:
        """Digest the sources of a commit; they stay in the index."""
        self._git("read-tree", commit)
        return self._digest()

    def digest_working_tree(self) -> str:
        """Bring in the sources as they stand in the folder, new ones included, and digest them."""
        names = self._git("ls-files", "-z", "--cached", "--others", "--exclude-standard", "--", *self.patterns)
        self._git("update-index", "--add", "--remove", "-z", "--stdin", text=names)
        return self._digest()

    def patch(self, commit: str) -> str:
        """Write what leads from a commit to the index, as `git apply` reads it."""
        exact = ("--binary", "--full-index", "--no-color", "--no-ext-diff", "--no-renames")
        return self._git("diff", "--cached", *exact, commit, "--", *self.patterns)

    def _digest(self) -> str:
        listing = self._git("ls-files", "--stage", "-z", "--", *self.patterns)
        return hashlib.sha256(listing.encode("utf-8", "surrogateescape")).hexdigest()


@contextmanager
def _sources(folder: Path, produced: Sequence[Path]) -> Iterator[_Sources]:
    with tempfile.TemporaryDirectory(prefix="onebutton-index-") as scratch:
        yield _Sources(folder, produced, scratch)


def read_commit(folder: Path, produced: Sequence[Path] = ()) -> tuple[Commit, str]:
    """Read the state of a pipeline's sources.

    Args:
        folder: of the pipeline, two levels below the root of the repo.
        produced: paths, relative to `folder`, that a run writes: they are results, not sources.

    Returns:
        The commit, and where it is dirty the patch that leads from it to the working tree.
    """
    sha = git("rev-parse", "--verify", "--quiet", "HEAD", folder=folder).strip()
    branch = git("branch", "--show-current", folder=folder).strip()
    if not sha:
        return Commit("", branch, dirty=False), ""
    with _sources(folder, produced) as sources:
        dirty = sources.digest(sha) != (here := sources.digest_working_tree())
        return Commit(sha, branch, dirty, here), sources.patch(sha) if dirty else ""


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
    with _sources(folder, produced) as known:
        for commit in [first, *later][:CANDIDATES]:
            if (found := known.digest(commit)) == sources or not sources:
                return Commit(commit, branch, dirty=False, sources=found)
    return None
