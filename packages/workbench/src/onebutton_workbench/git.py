"""A git checkout: how git is called in it, and what in it differs from its commit."""

import os
import subprocess
from collections.abc import Sequence
from pathlib import Path

from onebutton_contracts.errors import InputError, require
from onebutton_workbench.environment import call as call_program

ADDRESS = "https://github.com/local/checkout.git"  # act takes a repository's name from there; nothing is fetched
YOURS = ("GIT_AUTHOR_", "GIT_COMMITTER_", "GIT_SSH", "GIT_ASKPASS")  # who you are, and how you reach other machines


def call(*arguments: str, folder: Path) -> subprocess.CompletedProcess[str]:
    """Call git and return what became of it; it never stops to ask for a password."""
    yours = {name: text for name, text in os.environ.items() if name.startswith(YOURS)}
    try:
        return call_program("git", *arguments, folder=folder, GIT_TERMINAL_PROMPT="0", **yours)
    except OSError as error:
        raise InputError(f"git did not start: {error}") from None


def git(*arguments: str, folder: Path) -> str:
    """Call git and return what it prints; where it fails, the refusal is git's own words."""
    done = call(*arguments, folder=folder)
    failed = f"git {arguments[0]} failed: {done.stderr.strip() or f'status {done.returncode}'}"
    require(not done.returncode, failed)
    return done.stdout.rstrip()  # not strip: a status line may begin with a space


def holds(*arguments: str, folder: Path) -> bool:
    """Ask git a question that it answers with its exit status."""
    return call(*arguments, folder=folder).returncode == 0


def at_commit(commit: str, path: str, folder: Path) -> str | None:
    """Read a file as a commit has it, its path relative to a folder; None where it is not there."""
    done = call("show", f"{commit}:./{path}", folder=folder)
    return done.stdout if done.returncode == 0 else None


def names(*arguments: str, folder: Path) -> list[str]:
    """Call git with `-z` among the arguments and return the names that it lists, whatever characters they hold."""
    return [name for name in git(*arguments, folder=folder).split("\0") if name]


def listed(folder: Path, *patterns: str) -> list[str]:
    """List the files here that git has or would add; of git's patterns, or all."""
    ask = ("ls-files", "-z", "--cached", "--others", "--exclude-standard", "--deduplicate", "--", *patterns)
    return [name for name in names(*ask, folder=folder) if (folder / name).is_file()]


def shortened(files: Sequence[str], most: int = 5) -> str:
    """Write a list of files on one line: the first of them, and how many more there are."""
    more = f" and {len(files) - most} more" if len(files) > most else ""
    return ", ".join(files[:most]) + more


def check_clean(folder: Path, button: str, *paths: str) -> None:
    """Refuse to go on where somebody's unfinished work stands: in these paths, or anywhere."""
    changed = [line[3:] for line in git("status", "--porcelain", "--", *paths, folder=folder).splitlines()]
    unfinished = (
        f"not committed: {shortened(changed)}. `make {button}` goes by what is committed, or would mix with it. Commit it "
        "(a branch is enough) or `git stash --include-untracked`, then press it again; nothing was changed"
    )
    require(not changed, unfinished)
