"""Take members out of the repository. The work of `make remove`."""

import re
from collections.abc import Sequence
from contextlib import ExitStack, suppress
from pathlib import Path
from tempfile import TemporaryDirectory

from onebutton_contracts.errors import require
from onebutton_workbench.files import read_texts, write_texts
from onebutton_workbench.git import check_clean
from onebutton_workbench.members.lockfile import LOCK, lock
from onebutton_workbench.workspace import ROOT, Member, distribution, members, read_toml, the_member

README = "README.md"
SAMPLES = re.compile(r"(?:^\n)?^<!-- samples -->\n.*?^<!-- /samples -->\n", re.DOTALL | re.MULTILINE)


def without_samples(text: str) -> str:
    """Take the passages out that speak of sample pipelines: from `<!-- samples -->` to `<!-- /samples -->`."""
    return SAMPLES.sub("", text)


def left_over(leaving: Sequence[Member], root: Path) -> list[Member]:
    """List the members that those who leave declare, and neither others nor the root's groups."""
    staying = [one for one in members(root) if one not in leaving]
    groups = read_toml(root / "pyproject.toml").get("dependency-groups", {}).values()
    needed = {distribution(line) for group in groups for line in group if isinstance(line, str)}
    needed = needed.union(*(one.requires for one in staying))
    return [one for one in staying if one.name not in needed and any(one.name in other.requires for other in leaving)]


def take_out(root: Path, leaving: Sequence[Member]) -> None:
    """Take members out of folders and lock, what git ignores in them included; all come back where that fails.

    With the last pipeline README loses what it says of samples.
    """
    with TemporaryDirectory(prefix=".removal-", dir=root, ignore_cleanup_errors=True) as aside, ExitStack() as back:
        for number, one in enumerate(leaving):
            place = (root / one.path).rename(Path(aside, str(number)))
            back.callback(place.rename, root / one.path)
        lock(root)
        back.pop_all()
    for one in leaving:
        with suppress(OSError):  # `pipelines/` with the last of them
            (root / one.path).parent.rmdir()
    if not any(member.is_pipeline for member in members(root)):
        write_texts(root, {name: without_samples(page) for name, page in read_texts(root, [README]).items()})
    print("".join(f"  {one.path.as_posix()}/  removed\n" for one in leaving), end="")


def remove(root: Path = ROOT, *, member: str = "") -> int:
    """Remove the members of a name, or of several with commas between: all or none."""
    leaving = [the_member(name.strip(), root) for name in member.split(",")]
    staying = [one for one in members(root) if one not in leaving]
    for one in leaving:
        needing = [other.path.as_posix() for other in staying if one.name in other.requires]
        needing += ["the buttons"] * (one.module == __name__.partition(".")[0])
        require(not needing, f"{one.path.as_posix()} is needed by {', '.join(needing)}. Nothing was changed")
    unused = left_over(leaving, root)
    check_clean(root, "remove", *(one.path.as_posix() for one in leaving), README, LOCK)
    take_out(root, leaving)
    for one in unused:
        print(f"  {one.path.as_posix()}/  is needed by nobody now")
    print("remove: done; git has everything until you commit. Next: `make check`, then `git add --all` and commit")
    return 0
