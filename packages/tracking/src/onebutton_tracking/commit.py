"""What git says of the sources behind a `dvc.lock`: their commit, and how the working tree differs from it.

Sources are what can change a result: the pipeline's folder, the shared packages, the lock. What a run itself writes does not
count, and neither does a page of documentation or another pipeline.

`make run` writes it down beside the fingerprints as soon as DVC is done, with the machine and what each stage took: MLflow may be
down then, and the sources edited before it is back. Where nothing was written down, git tells what brought the `dvc.lock`.
"""

import hashlib
import json
import os
import platform
import subprocess
import tempfile
import time
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path

from onebutton_tracking.results import lock_digest, produced_files

SHARED = ("packages/*/src/**", "packages/*/pyproject.toml", "pyproject.toml", "uv.lock", ".python-version")
RECORD = Path(".code/origin.json")  # ignored by git: it is about this machine


@dataclass(frozen=True)
class Commit:
    """The state of the sources."""

    sha: str  # empty outside git or before the first commit
    branch: str  # empty when detached
    sources: str = ""  # SHA-256 over the names and contents of all sources, equal exactly where they are
    patch: str = ""  # from the commit to the sources, where they differ

    @property
    def dirty(self) -> bool:
        """Whether a source differs from the commit."""
        return bool(self.patch)


@dataclass(frozen=True)
class Origin:
    """What made a `dvc.lock`."""

    lock_digest: str
    commit: Commit
    machine: str = ""  # host, system, processors and Python; empty where nobody wrote it down
    seconds: dict[str, float] = field(default_factory=dict)  # of each stage that ran then; the others were up to date
    peak_mb: dict[str, float] = field(default_factory=dict)  # the memory that each of these needed at its peak
    finished: float = 0.0  # seconds since 1970


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


def _compare(folder: Path) -> tuple[str, str, str]:
    """Digest a pipeline's sources in the last commit, and those in the folder; write the patch that leads to these.

    It is done in a git index of its own: the person's is not touched.
    """
    root = folder.parents[1]
    prefix = git("rev-parse", "--show-prefix", folder=folder).strip()
    results = [os.path.normpath(os.path.join(prefix, path)) for path in produced_files(folder)]  # noqa: PTH118  git's path
    wanted = (*SHARED, f"{folder.relative_to(root).as_posix()}/**")
    # Results are named from the top: git takes no `..` in an exclusion.
    patterns = ("--", *(f":(glob){path}" for path in wanted), *(f":(exclude,top){path}" for path in results))
    with tempfile.TemporaryDirectory(prefix="onebutton-index-") as scratch:

        def call(*arguments: str, text: str = "") -> str:
            return git(*arguments, folder=root, text=text, more={"GIT_INDEX_FILE": f"{scratch}/index"})

        call("read-tree", "HEAD")
        committed = call("ls-files", "--stage", "-z", *patterns)
        names = call("ls-files", "-z", "--cached", "--others", "--exclude-standard", *patterns)  # new ones included
        call("update-index", "--add", "--remove", "-z", "--stdin", text=names)
        here = call("ls-files", "--stage", "-z", *patterns)
        exact = ("--binary", "--full-index", "--no-color", "--no-ext-diff", "--no-renames")
        patch = call("diff", "--cached", *exact, "HEAD", *patterns) if committed != here else ""
        return _sha256(committed), _sha256(here), patch


def _sha256(text: str) -> str:
    return hashlib.sha256(text.encode("utf-8", "surrogateescape")).hexdigest()


def _branch(folder: Path) -> str:
    return git("branch", "--show-current", folder=folder).strip()


def read_commit(folder: Path) -> Commit:
    """Read the state of a pipeline's sources."""
    sha = git("rev-parse", "--verify", "--quiet", "HEAD", folder=folder).strip()
    _, here, patch = _compare(folder) if sha else ("", "", "")
    return Commit(sha, _branch(folder), here, patch)


def holding_commit(folder: Path, digest: str, sources: str, *, just_run: bool) -> Commit | None:
    """Return the last commit when it holds a `dvc.lock` and the sources that made it, by their digests; None when it does not.

    Where DVC has `just_run` and found sources and lock to agree, a clean tree is proof enough: a formatter may have changed the
    text of the sources since, and not their meaning.
    """
    if not sources or _sha256(git("show", "HEAD:./dvc.lock", folder=folder)) != digest:
        return None
    committed, here, _ = _compare(folder)
    if committed != sources and not (just_run and committed == here):
        return None
    return Commit(git("rev-parse", "HEAD", folder=folder).strip(), _branch(folder), committed)


def record(folder: Path, seconds: Mapping[str, float], peak_mb: Mapping[str, float] | None = None) -> None:
    """Write down where a pipeline's `dvc.lock` comes from, unless that was done, with seconds and megabytes of each stage.

    Raises:
        InputError: the pipeline has no `dvc.lock`.
    """
    digest = lock_digest(folder)
    if _recorded(folder, digest):
        return
    system = f"{platform.node()}, {platform.system()} {platform.machine()}"
    machine = f"{system}, {os.cpu_count()} processors, Python {platform.python_version()}"
    origin = Origin(digest, read_commit(folder), machine, dict(seconds), dict(peak_mb or {}), time.time())
    path = folder / RECORD
    path.parent.mkdir(exist_ok=True)
    path.write_text(json.dumps(asdict(origin), indent=1), encoding="utf-8")


def _recorded(folder: Path, digest: str) -> Origin | None:
    """Return what was written down about a `dvc.lock`; None when it was about another, or cannot be read."""
    try:
        content = json.loads((folder / RECORD).read_text(encoding="utf-8"))
        origin = Origin(**content | {"commit": Commit(**content["commit"])})
    except (OSError, ValueError, TypeError, KeyError):
        return None
    return origin if origin.lock_digest == digest else None


def find_origin(folder: Path, digest: str, *, just_run: bool) -> Origin:
    """Tell where a pipeline's `dvc.lock` comes from; `just_run` as for `holding_commit`."""
    if origin := _recorded(folder, digest):
        sources = origin.commit.sources if origin.commit.dirty else ""
        held = holding_commit(folder, digest, sources, just_run=just_run)
        return replace(origin, commit=held) if held else origin
    sha = git("log", "-1", "--format=%H", "--", "dvc.lock", folder=folder).strip()
    if sha and _sha256(git("show", f"{sha}:./dvc.lock", folder=folder)) == digest:
        return Origin(digest, Commit(sha, _branch(folder)))
    return Origin(digest, read_commit(folder))
