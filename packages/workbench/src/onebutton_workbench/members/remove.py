"""Take members out of the repo, and out of every place that names them. The work of `make remove`."""

from __future__ import annotations

import re
import shutil
import tempfile
from collections.abc import Mapping, Sequence
from pathlib import Path, PurePosixPath
from posixpath import normpath

from onebutton_workbench.checks import glossary
from onebutton_workbench.files import read_texts, write_texts
from onebutton_workbench.git import check_clean, git, names, shortened
from onebutton_workbench.members.lockfile import LOCK, relock, skeleton
from onebutton_workbench.pressed import press, value
from onebutton_workbench.workspace import ROOT, Member, WorkbenchError, members, the_member

LINK = re.compile(
    r"(?P<here>^Here: )?\[(?P<text>(?:`[^`]*`|[^\]`])*)\]\((?P<target>[^)#\s]+)(?:#[^)]*)?\)", re.MULTILINE
)
TOOLS = "onebutton-workbench"


def needed_by(member: Member, others: Sequence[Member], root: Path) -> list[str]:
    """List what would not work without a member: members that declare it, the buttons."""
    users = [other.path.as_posix() for other in others if member.name in other.requires]
    makefile = root / "Makefile"
    buttons = makefile.read_text(encoding="utf-8") if makefile.is_file() else ""
    pressed = member.name == TOOLS or f"-m {member.module}." in buttons
    return [*users, "the buttons of the Makefile"] if pressed else users


def unlinked(path: str, text: str, removed: Path) -> str:
    """Keep the words of links that lead into a removed folder, and let the links go.

    Args:
        path: of a page in Markdown, relative to the root.
        text: of the page.
        removed: the folder, relative to the root.
    """

    def without(link: re.Match[str]) -> str:
        target = normpath((PurePosixPath(path).parent / link["target"]).as_posix())
        if not f"{target}/".startswith(f"{removed.as_posix()}/"):
            return link[0]
        return glossary.NOWHERE if link["here"] else link["text"]

    return LINK.sub(without, text)


def plan(texts: Mapping[str, str], leaving: Sequence[Member]) -> dict[str, str]:
    """Compute every text that changes when members leave; those of their own folders are left out."""
    new = {
        path: text
        for path, text in texts.items()
        if not any(PurePosixPath(path).is_relative_to(member.path.as_posix()) for member in leaving)
    }
    for member in leaving:
        new |= {path: unlinked(path, text, member.path) for path, text in new.items() if path.endswith(".md")}
    return {path: text for path, text in new.items() if text != texts[path]}


def remove(typed: str, root: Path = ROOT) -> int:
    """Remove members, all or none.

    Args:
        typed: their names, with commas between.
        root: of the workspace.

    Raises:
        WorkbenchError: one is unknown or needed, something is not committed, or uv cannot lock the rest; nothing was changed.
    """
    if not typed:
        raise WorkbenchError("MEMBER is missing: which one, as in MEMBER=flight_delays; several with commas between")
    leaving = [the_member(name.strip(), root) for name in typed.split(",")]
    staying = [member for member in members(root) if member not in leaving]
    for member in leaving:
        users = needed_by(member, staying, root)
        if users:
            message = f"{member.path.as_posix()} is needed by {shortened(users)}. Nothing was changed"
            raise WorkbenchError(message)
    check_clean(root, "remove")
    texts = read_texts(root, names("ls-files", "-z", folder=root))
    changed = plan(texts, leaving)
    with tempfile.TemporaryDirectory(prefix=".removal-", dir=root) as draft:
        folder = Path(draft)
        skeleton(root, staying, folder)
        problem = relock(folder)
        if problem:
            message = f"uv could not lock what would be left: {problem}. Nothing was changed"
            raise WorkbenchError(message)
        changed[LOCK] = (folder / LOCK).read_text(encoding="utf-8")
        _take_away(root, leaving, changed, folder / "removed")
    glossary.mend(root)
    _finish(leaving, changed, root)
    return 0


def _take_away(root: Path, leaving: Sequence[Member], changed: Mapping[str, str], aside: Path) -> None:
    """Move the folders aside and write the texts; when that breaks off, everything is as it was."""
    aside.mkdir()
    moved: list[Path] = []
    try:
        for member in leaving:
            (root / member.path).rename(aside / member.path.name)
            moved.append(member.path)
        write_texts(root, changed)
    except BaseException:
        for path in moved:
            shutil.move(aside / path.name, root / path)
        raise


def _finish(leaving: Sequence[Member], changed: Mapping[str, str], root: Path) -> None:
    """Say what was done and what a person should look at."""
    for path in sorted({*changed, *(member.path.as_posix() + "/" for member in leaving)}):
        print(f"  {path}{'' if path in changed else '  removed'}")
    speak = [
        path
        for member in leaving
        for path in git("grep", "-lwF", member.path.name, "--", "*.md", ":!CHANGELOG.md", folder=root).splitlines()
        if not PurePosixPath(path).is_relative_to(member.path.as_posix())
    ]
    if speak:
        print(f"remove: these pages still speak of it, without links: {shortened(sorted(set(speak)))}")
    print("remove: done; git has everything until you commit. Next: `make check`, then `git add --all` and commit")


if __name__ == "__main__":
    press("remove", lambda: remove(value("MEMBER")))
