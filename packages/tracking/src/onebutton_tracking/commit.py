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


@dataclass(frozen=True)
class Commit:
    """The state of the sources."""

    sha: str  # empty outside git or before the first commit
    branch: str  # empty when detached
    dirty: bool  # whether a source differs from that commit
    sources: str = ""  # SHA-256 over the names and contents of all sources, equal exactly where they are


def git_environment(more: Mapping[str, str] | None = None) -> dict[str, str]:
    """Drop `GIT_*`: inside a hook they point at somebody else's index. Make's own values are dropped with them."""
    foreign = ("GIT_", "MAKE", "MFLAGS")
    return {key: value for key, value in os.environ.items() if not key.startswith(foreign)} | dict(more or {})


def git(*arguments: str, folder: Path, text: str = "", more: Mapping[str, str] | None = None) -> str:
    """Ask git; an empty string when it cannot answer."""
    answer = subprocess.run(
        ["git", *arguments],
        cwd=folder,
        env=git_environment(more),
        input=text.encode("utf-8", "surrogateescape"),
        capture_output=True,
        check=False,
    )
    return answer.stdout.decode("utf-8", "surrogateescape") if answer.returncode == 0 else ""


class _Sources:
    """The sources of a pipeline in a git index of their own: the person's is not touched."""

    def __init__(self, folder: Path, produced: Sequence[Path], scratch: str) -> None:
        self.root, self.index = folder.parents[1], {"GIT_INDEX_FILE": f"{scratch}/index"}
        prefix = git("rev-parse", "--show-prefix", folder=folder).strip()
        results = [os.path.normpath(os.path.join(prefix, path)) for path in produced]  # noqa: PTH118  git's path, not a file's
        wanted = (*SHARED, f"{folder.relative_to(self.root).as_posix()}/**")
        # Results are named from the top: git takes no `..` in an exclusion.
        self.patterns = [*(f":(glob){path}" for path in wanted), *(f":(exclude,top){path}" for path in results)]

    def _git(self, *arguments: str, text: str = "") -> str:
        return git(*arguments, folder=self.root, text=text, more=self.index)

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
        return _sha256(self._git("ls-files", "--stage", "-z", "--", *self.patterns))


def _sha256(text: str) -> str:
    return hashlib.sha256(text.encode("utf-8", "surrogateescape")).hexdigest()


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


def brought_lock(folder: Path, lock_digest: str) -> Commit | None:
    """Return the commit that brought a pipeline's `dvc.lock`; None when it is in none."""
    sha = git("log", "-1", "--format=%H", "--", "dvc.lock", folder=folder).strip()
    if not sha or _sha256(git("show", f"{sha}:./dvc.lock", folder=folder)) != lock_digest:
        return None
    return Commit(sha, git("branch", "--show-current", folder=folder).strip(), dirty=False)


def holding_commit(
    folder: Path, lock_digest: str, sources: str, produced: Sequence[Path], *, just_run: bool
) -> Commit | None:
    """Return the last commit when it holds a `dvc.lock` and the sources that made it; None when it does not.

    Args:
        folder: of the pipeline.
        lock_digest: of the `dvc.lock`.
        sources: their digest, as `Commit.sources`.
        produced: as for `read_commit`.
        just_run: DVC has just found sources and lock to agree, so a clean tree is proof enough: a formatter may have changed
            the text of the sources since, and not their meaning.
    """
    if not sources or _sha256(git("show", "HEAD:./dvc.lock", folder=folder)) != lock_digest:
        return None
    here, _ = read_commit(folder, produced)
    with _sources(folder, produced) as known:
        held = known.digest("HEAD")
    agree = held == sources or (just_run and not here.dirty)
    return Commit(here.sha, here.branch, dirty=False, sources=held) if agree else None
