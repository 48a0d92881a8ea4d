"""A commit checked out beside the person's own tree, with its environment and data, and its stages run by force."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from onebutton_contracts.errors import InputError
from onebutton_tracking.commit import git, git_environment
from onebutton_tracking.results import file_digest

_RUNNING = re.compile(r"^Running stage '(?:.+:)?(?P<stage>[^:']+)':")
_FOREIGN = ("VIRTUAL_ENV", "PYTHONPATH", "PYTHONHOME", "UV_PROJECT_ENVIRONMENT")  # they lead to another environment


@dataclass(frozen=True)
class Record:
    """What is to be made again: a run as MLflow keeps it, or what the last commit holds."""

    name: str  # for people: a run, a model version or a commit
    pipeline: str
    sha: str  # of the commit
    patch: str = ""  # from the commit to the sources; empty unless the run was dirty
    dirty: bool = False  # whether its sources were in no commit
    lock: str = ""  # the text of its `dvc.lock`; empty for a commit, and where nobody kept it
    lock_digest: str = ""  # of that text; empty for a commit
    uv_lock: str = ""  # digest of its `uv.lock`; empty where nobody wrote it down
    metrics: dict[str, float] | None = None  # by dotted name; None for those of the commit


def check_possible(record: Record, root: Path) -> None:
    """Refuse what cannot be gone back to."""
    if not record.sha:
        message = f"{record.name} was made outside git: there is no commit to go back to"
    elif not git("cat-file", "-t", f"{record.sha}^{{commit}}", folder=root):
        message = (
            f"commit {record.sha[:12]} of {record.name} is not in this clone. `git fetch --all` may bring it; "
            "if it was never pushed, only the machine that made the run has it"
        )
    elif record.dirty and not record.patch:
        message = f"{record.name} was made from sources that are in no commit, and MLflow holds no patch of it"
    else:
        return
    raise InputError(message)


@contextmanager
def worktree(root: Path, sha: str) -> Iterator[Path]:
    """Check a commit out into a temporary folder, and remove it again whatever happens."""
    git("worktree", "prune", folder=root)  # what a killed press left behind
    with tempfile.TemporaryDirectory(prefix="onebutton-reproduce-", ignore_cleanup_errors=True) as scratch:
        tree = Path(scratch, root.name)
        try:
            _call(["git", "worktree", "add", "--quiet", "--detach", str(tree), sha], root, "git made no worktree")
            yield tree
        finally:
            git("worktree", "remove", "--force", str(tree), folder=root)


def _environment(**more: str) -> dict[str, str]:
    return {key: text for key, text in git_environment(more).items() if key not in _FOREIGN}


def _call(command: list[str], folder: Path, trouble: str) -> None:
    if subprocess.run(command, cwd=folder, env=_environment(), check=False).returncode:
        message = f"{trouble}, and says why above"
        raise InputError(message)


def prepare(record: Record, tree: Path, root: Path) -> list[str]:
    """Bring sources, environment and data of a record into a worktree; return in words what is not as it was recorded."""
    notes, folder, commit = [], tree / "pipelines" / record.pipeline, f"commit {record.sha[:12]}"
    if record.patch:
        file = tree.parent / "patch.diff"
        file.write_text(record.patch, encoding="utf-8", errors="surrogateescape")
        _call(["git", "apply", "--whitespace=nowarn", str(file)], tree, "the patch does not fit its commit")
    if not (folder / "dvc.yaml").is_file():
        message = f"{commit} has no pipelines/{record.pipeline}/dvc.yaml"
        raise InputError(message)
    lock = folder / "dvc.lock"
    if record.lock:  # the commit's own is older where code was committed first and run then
        lock.write_bytes(record.lock.encode("utf-8", "surrogateescape"))
    if record.lock_digest and file_digest(lock) != record.lock_digest:
        notes.append(f"dvc.lock of {commit} is another than that of {record.name}, which MLflow does not hold")
    if record.uv_lock and file_digest(tree / "uv.lock") != record.uv_lock:
        notes.append(f"uv.lock of {commit} is another than that of {record.name}")
    _call(["uv", "sync", "--frozen", "--all-packages", "--quiet"], tree, "uv did not make the environment")
    settings = root / ".dvc/config.local"
    if settings.is_file():
        shutil.copy2(settings, tree / ".dvc/config.local")  # how to reach the remote
    dvc = str(tree / ".venv/bin/dvc")
    cache = subprocess.run(["dvc", "cache", "dir"], cwd=root, capture_output=True, text=True, check=False).stdout
    _call([dvc, "cache", "dir", "--quiet", "--local", str(root / cache.strip())], tree, "DVC did not take the cache")
    if tracked := git("ls-files", "*.dvc", folder=tree).splitlines():
        try:
            _call([dvc, "checkout", "--quiet", *tracked], tree, "")
        except InputError:  # what is not in the cache
            _call([dvc, "pull", "--quiet", *tracked], tree, "DVC did not bring the data that it tracks")
    return notes


def run_stages(record: Record, tree: Path) -> set[str]:
    """Run every stage of the pipeline by force, whatever the cache holds; return the names of those that ran."""
    environment = _environment(PATH=f"{tree / '.venv/bin'}{os.pathsep}{os.environ['PATH']}", PYTHONUNBUFFERED="1")
    command = ["dvc", "repro", "--force", f"pipelines/{record.pipeline}/dvc.yaml"]
    ran = set()
    with subprocess.Popen(
        command, cwd=tree, env=environment, stdout=subprocess.PIPE, text=True, errors="replace"
    ) as dvc:
        for line in dvc.stdout or ():
            print(f"  {line}", end="", flush=True)
            if match := _RUNNING.match(line):
                ran.add(match["stage"])
    if dvc.returncode:
        message = f"a stage of {record.name} does not run any more, and says why above"
        raise InputError(message)
    return ran
