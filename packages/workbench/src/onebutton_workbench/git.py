"""A git checkout: how git is called in it, and what in it differs from its commit."""

from __future__ import annotations

import os
import subprocess
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path

from onebutton_workbench.pressed import clean_environment
from onebutton_workbench.workspace import WorkbenchError

SHOWN = 5  # file names, as many as fit a line
YOURS = ("GIT_AUTHOR_", "GIT_COMMITTER_", "GIT_SSH", "GIT_ASKPASS")  # who you are, and how you reach other machines


def call(*arguments: str, folder: Path, seconds: float | None = None) -> subprocess.CompletedProcess[str]:
    """Call git and return what became of it; it never stops to ask for a password.

    Raises:
        WorkbenchError: git is missing, or took longer than the seconds given.
    """
    yours = {name: text for name, text in os.environ.items() if name.startswith(YOURS)}
    environment = clean_environment() | yours | {"GIT_TERMINAL_PROMPT": "0"}
    try:
        return subprocess.run(
            ["git", *arguments],
            cwd=folder,
            env=environment,
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            check=False,
            timeout=seconds,
        )
    except OSError as error:
        message = f"git did not start: {error}"
        raise WorkbenchError(message) from None
    except subprocess.TimeoutExpired:
        message = f"git {arguments[0]} did not answer within {seconds:.0f} seconds"
        raise WorkbenchError(message) from None


def git(*arguments: str, folder: Path) -> str:
    """Call git and return what it prints.

    Raises:
        WorkbenchError: it failed; the message is git's own.
    """
    done = call(*arguments, folder=folder)
    if done.returncode:
        message = f"git {arguments[0]} failed: {done.stderr.strip() or f'status {done.returncode}'}"
        raise WorkbenchError(message)
    return done.stdout.rstrip()  # not strip: a status line may begin with a space


def holds(*arguments: str, folder: Path) -> bool:
    """Ask git a question that it answers with its exit status."""
    return call(*arguments, folder=folder).returncode == 0


def names(*arguments: str, folder: Path) -> list[str]:
    """Call git with `-z` among the arguments and return the names that it lists, whatever characters they hold."""
    return [name for name in git(*arguments, folder=folder).split("\0") if name]


def uncommitted(folder: Path) -> list[str]:
    """Name the files that differ from the commit, new ones included."""
    return [line[3:] for line in git("status", "--porcelain", folder=folder).splitlines()]


def shortened(files: Sequence[str]) -> str:
    """Write a list of files on one line: the first five, and how many more there are."""
    more = f" and {len(files) - SHOWN} more" if len(files) > SHOWN else ""
    return ", ".join(files[:SHOWN]) + more


def check_clean(folder: Path, button: str) -> None:
    """Refuse to change files among which somebody's unfinished work stands.

    Raises:
        WorkbenchError: something is not committed; the message names up to five files.
    """
    changed = uncommitted(folder)
    if changed:
        message = (
            f"not committed: {shortened(changed)}. What the button changes would mix with it. "
            f"Commit it or `git stash --include-untracked`, then press `make {button}` again; nothing was changed"
        )
        raise WorkbenchError(message)


def read_texts(folder: Path, files: Iterable[str]) -> dict[str, str]:
    """Read those of the files that are text; links, and what is not UTF-8, are left out."""
    texts = {}
    for name in files:
        path = folder / name
        if path.is_file() and not path.is_symlink():
            try:
                texts[name] = path.read_bytes().decode("utf-8")  # bytes, so that line ends stay as they are
            except UnicodeDecodeError:
                continue
    return texts


def write_texts(folder: Path, texts: Mapping[str, str]) -> None:
    """Write several files: all beside the old ones first, so that a full disk leaves every old one as it was."""
    drafts = {folder / name: folder / f"{name}.draft" for name in texts}
    try:
        for (path, draft), text in zip(drafts.items(), texts.values(), strict=True):
            draft.write_bytes(text.encode("utf-8"))
            draft.chmod(path.stat().st_mode)
        for path, draft in drafts.items():
            draft.replace(path)
    finally:
        for draft in drafts.values():
            draft.unlink(missing_ok=True)
