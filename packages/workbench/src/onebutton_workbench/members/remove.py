"""Take members out of the repository. The work of `make remove`."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from tempfile import TemporaryDirectory

from onebutton_contracts.errors import InputError
from onebutton_workbench.files import read_texts, write_texts
from onebutton_workbench.git import check_clean, shortened
from onebutton_workbench.members.lockfile import LOCK, lock
from onebutton_workbench.workspace import ROOT, Member, distribution, members, read_toml, the_member

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


@contextmanager
def without(root: Path, leaving: Sequence[Member]) -> Iterator[None]:
    """Take the folders of members away, what git ignores in them included; all come back when what is done inside fails."""
    with TemporaryDirectory(prefix=".removal-", dir=root, ignore_cleanup_errors=True) as aside:
        places = {root / one.path: Path(aside, str(number)) for number, one in enumerate(leaving)}
        for folder, place in places.items():
            folder.rename(place)
        try:
            yield
        except BaseException:
            for folder, place in places.items():
                place.rename(folder)
            raise
        for folder in places:
            with suppress(OSError):  # `pipelines/` with the last of them
                folder.parent.rmdir()


def say_removed(root: Path, leaving: Sequence[Member]) -> None:
    """Print each member that left; with the last pipeline README loses what it says of samples."""
    page = read_texts(root, [README]).get(README, "")
    if without_samples(page) != page and not any(member.is_pipeline for member in members(root)):
        write_texts(root, {README: without_samples(page)})
        print(f"  {README}")
    for one in leaving:
        print(f"  {one.path.as_posix()}/  removed")


def remove(root: Path = ROOT, *, member: str = "") -> int:
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
    check_clean(root, "remove", *(one.path.as_posix() for one in leaving), README, LOCK)
    with without(root, leaving):
        lock(root)
    say_removed(root, leaving)
    for one in unused:
        print(f"  {one.path.as_posix()}/  is needed by nobody now")
    print("remove: done; git has everything until you commit. Next: `make check`, then `git add --all` and commit")
    return 0
