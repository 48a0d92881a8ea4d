"""Take members out of the repository. The work of `make remove`."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory

from onebutton_contracts.errors import InputError
from onebutton_workbench.files import read_texts, write_texts
from onebutton_workbench.git import check_clean, git, shortened
from onebutton_workbench.members.lockfile import LOCK, lock
from onebutton_workbench.workspace import Member, distribution, members, read_toml, the_member

README = "README.md"
SAMPLES = re.compile(r"(?:^\n)?^<!-- samples -->\n.*?^<!-- /samples -->\n", re.DOTALL | re.MULTILINE)


def without_samples(text: str) -> str:
    """Take the passages out that speak of sample pipelines: from `<!-- samples -->` to `<!-- /samples -->`."""
    return SAMPLES.sub("", text)


def needed_by(member: Member, others: Sequence[Member], root: Path) -> list[str]:
    """List what would not work without a member: others that declare it, the root's tools, the buttons."""
    users = [other.path.as_posix() for other in others if member.name in other.requires]
    groups = read_toml(root / "pyproject.toml").get("dependency-groups", {}).values()
    if member.name in {distribution(line) for group in groups for line in group if isinstance(line, str)}:
        users.insert(0, "a dependency group of the root's pyproject.toml")
    return [*users, "the buttons of the Makefile"] if member.module == __name__.partition(".")[0] else users


def left_over(leaving: Sequence[Member], root: Path) -> list[Member]:
    """List the members that those who leave declare and nobody else needs."""
    staying = [one for one in members(root) if one not in leaving]
    declared = {name for one in leaving for name in one.requires}
    unused = [one for one in staying if one.name in declared]
    return [one for one in unused if not needed_by(one, [other for other in staying if other is not one], root)]


def take_out(root: Path, leaving: Sequence[Member]) -> list[str]:
    """Remove the folders of members and, with the last pipeline, what README says of samples; say so, a line each.

    The caller writes the lock, and takes all back when that fails.
    """
    for member in leaving:
        git("rm", "-r", "--quiet", "--", member.path.as_posix(), folder=root)
    lines = [f"  {member.path.as_posix()}/  removed" for member in leaving]
    page = read_texts(root, [README]).get(README, "")
    if any(member.is_pipeline for member in members(root)) or without_samples(page) == page:
        return lines
    write_texts(root, {README: without_samples(page)})
    return [f"  {README}", *lines]


@contextmanager
def swept(root: Path, leaving: Sequence[Member]) -> Iterator[None]:
    """Remove what git ignores in the folders once all is done: uv takes a folder without `pyproject.toml` for a broken member."""
    with TemporaryDirectory(prefix=".removal-", dir=root, ignore_cleanup_errors=True) as aside:
        moved = {root / one.path: Path(aside, one.path.name) for one in leaving if (root / one.path).exists()}
        for folder, place in moved.items():
            folder.rename(place)
        try:
            yield
        except BaseException:
            for folder, place in moved.items():
                place.rename(folder)
            raise


def remove(root: Path, *, member: str) -> int:
    """Remove the members of a name, or of several with commas between: all or none.

    Raises:
        InputError: one is unknown or needed, something is not committed, or uv cannot lock the rest; nothing was changed.
    """
    if not member:
        raise InputError("MEMBER is missing: which one, as in MEMBER=flight_delays; several with commas between")
    leaving = [the_member(name.strip(), root) for name in member.split(",")]
    staying = [one for one in members(root) if one not in leaving]
    for one in leaving:
        if users := needed_by(one, staying, root):
            message = f"{one.path.as_posix()} is needed by {shortened(users)}. Nothing was changed"
            raise InputError(message)
    unused = left_over(leaving, root)
    touched = [*(one.path.as_posix() for one in leaving), *(name for name in (README, LOCK) if (root / name).is_file())]
    check_clean(root, "remove", *touched)
    try:
        lines = take_out(root, leaving)
        with swept(root, leaving):
            lock(root)
    except BaseException:
        git("restore", "--source=HEAD", "--staged", "--worktree", "--", *touched, folder=root)
        raise
    lines += [f"  {one.path.as_posix()}/  is needed by nobody now" for one in unused]
    print(*lines, sep="\n")
    print("remove: done; git has everything until you commit. Next: `make check`, then `git add --all` and commit")
    return 0
