"""A commit checked out beside the person's own tree, with its environment and data, and its stages run by force."""

from __future__ import annotations

import hashlib
import os
import re
import shutil
import subprocess
import tempfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

from onebutton_contracts.errors import InputError
from onebutton_tracking.commit import git, git_environment
from onebutton_tracking.record import Record
from onebutton_tracking.results import file_digest

_RUNNING = re.compile(r"^Running stage '(?:.+:)?(?P<stage>[^:']+)':")


class NotReproducedError(InputError):
    """The results could not be made again; the message says where it stopped."""


def check_possible(record: Record, root: Path) -> None:
    """Refuse what cannot be gone back to.

    Raises:
        NotReproducedError: there is no commit, it is not here, or the patch that it needs was not kept.
    """
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
    raise NotReproducedError(message)


@contextmanager
def worktree(root: Path, sha: str) -> Iterator[Path]:
    """Check a commit out into a temporary folder, and remove it again whatever happens."""
    git("worktree", "prune", folder=root)  # what a killed press left behind
    with tempfile.TemporaryDirectory(prefix="onebutton-reproduce-", ignore_cleanup_errors=True) as scratch:
        tree = Path(scratch, root.name)
        try:
            call(["git", "worktree", "add", "--quiet", "--detach", str(tree), sha], root, "git made no worktree")
            yield tree
        finally:
            git("worktree", "remove", "--force", str(tree), folder=root)
    git("worktree", "prune", folder=root)


def call(command: list[str], folder: Path, trouble: str, more: Mapping[str, str] | None = None) -> None:
    """Call a program that must succeed.

    Raises:
        NotReproducedError: it did not; what it printed stands above.
    """
    foreign = ("VIRTUAL_ENV", "PYTHONPATH", "PYTHONHOME", "UV_PROJECT_ENVIRONMENT")
    environment = {key: text for key, text in git_environment(more).items() if key not in foreign}
    if subprocess.run(command, cwd=folder, env=environment, check=False).returncode:
        message = f"{trouble}, and says why above"
        raise NotReproducedError(message)


def prepare(record: Record, tree: Path, root: Path) -> list[str]:
    """Bring sources, environment and data of a record into a worktree.

    Returns:
        What is not as it was recorded, in words.

    Raises:
        NotReproducedError: a piece of it cannot be had.
    """
    notes = []
    folder = tree / "pipelines" / record.pipeline
    if record.patch:
        file = tree.parent / "patch.diff"
        file.write_text(record.patch, encoding="utf-8", errors="surrogateescape")
        call(["git", "apply", "--whitespace=nowarn", str(file)], tree, "the patch does not fit its commit")
    if not (folder / "dvc.yaml").is_file():
        message = f"commit {record.sha[:12]} has no pipelines/{record.pipeline}/dvc.yaml"
        raise NotReproducedError(message)
    if record.lock_digest and file_digest(folder / "dvc.lock") != record.lock_digest:
        notes += bring_lock(record, folder / "dvc.lock")
    if record.uv_lock and file_digest(tree / "uv.lock") != record.uv_lock:
        notes.append(f"uv.lock of commit {record.sha[:12]} is another than that of {record.name}")
    call(["uv", "sync", "--frozen", "--all-packages", "--quiet"], tree, "uv did not make the environment")
    settings = root / ".dvc/config.local"
    if settings.is_file():
        shutil.copy2(settings, tree / ".dvc/config.local")  # how to reach the remote
    cache = subprocess.run(
        ["dvc", "cache", "dir"], cwd=root, capture_output=True, text=True, check=False
    ).stdout.strip()
    program = str(tree / ".venv/bin/dvc")
    call([program, "cache", "dir", "--quiet", "--local", str(root / cache)], tree, "DVC did not take the cache")
    tracked = git("ls-files", "*.dvc", folder=tree).split("\n")[:-1]
    if tracked:
        _bring_data(program, tracked, tree)
    return notes


def bring_lock(record: Record, file: Path) -> list[str]:
    """Put the `dvc.lock` of a run in place of its commit's, which is older where code was committed first and run then.

    Returns:
        What is wrong with it, in words: nobody kept it, or the one that was kept is another.
    """
    kept = record.lock.encode("utf-8", "surrogateescape")
    if hashlib.sha256(kept).hexdigest() != record.lock_digest:
        return [
            f"dvc.lock of commit {record.sha[:12]} is another than that of {record.name}, which MLflow does not hold"
        ]
    file.write_bytes(kept)
    return []


def _bring_data(program: str, tracked: list[str], tree: Path) -> None:
    """Take the data that DVC tracks out of the cache, and what is not there from the remote."""
    try:
        call([program, "checkout", "--quiet", *tracked], tree, "")
    except NotReproducedError:
        call([program, "pull", "--quiet", *tracked], tree, "DVC did not bring the data that it tracks")


def run_stages(record: Record, tree: Path) -> set[str]:
    """Run every stage of the pipeline by force, whatever the cache holds; return the names of those that ran.

    Raises:
        NotReproducedError: one failed.
    """
    path = f"{tree / '.venv/bin'}{os.pathsep}{os.environ['PATH']}"
    environment = git_environment({"PATH": path, "PYTHONUNBUFFERED": "1"})
    for foreign in ("VIRTUAL_ENV", "PYTHONPATH", "PYTHONHOME", "UV_PROJECT_ENVIRONMENT"):
        environment.pop(foreign, None)
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
        raise NotReproducedError(message)
    return ran
