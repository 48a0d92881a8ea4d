"""Take members out of the repo, and out of every place that names them. The work of `make remove`."""

from __future__ import annotations

import re
import shutil
import subprocess
import tempfile
from collections.abc import Mapping, Sequence
from pathlib import Path, PurePosixPath
from posixpath import normpath

from onebutton_contracts.errors import InputError
from onebutton_workbench.checks import glossary
from onebutton_workbench.environment import clean_environment
from onebutton_workbench.files import read_texts, write_texts
from onebutton_workbench.git import check_clean, git, names, shortened
from onebutton_workbench.lineage.stages import read_stages
from onebutton_workbench.members import registration
from onebutton_workbench.members.lockfile import LOCK, relock, skeleton
from onebutton_workbench.workspace import ROOT, Member, members, the_member

LINK = re.compile(
    r"(?P<here>^Here: )?\[(?P<text>(?:`[^`]*`|[^\]`])*)\]\((?P<target>[^)#\s]+)(?:#[^)]*)?\)", re.MULTILINE
)
TOOLS = "onebutton-workbench"


def needed_by(member: Member, others: Sequence[Member], root: Path) -> list[str]:
    """List what would not work without a member: members that declare it, the root's stages, the buttons."""
    users = [other.path.as_posix() for other in others if member.name in other.requires]
    run = {module.partition(".")[0] for stage in read_stages(root / "dvc.yaml") for module in stage.modules}
    if member.module in run:
        users.append("the report of the root's dvc.yaml")
    return [*users, "the buttons of the Makefile"] if member.name == TOOLS else users


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
        new |= registration.unregistered(new, member)
        new |= {path: unlinked(path, text, member.path) for path, text in new.items() if path.endswith(".md")}
    return {path: text for path, text in new.items() if text != texts[path]}


def remove(typed: str, root: Path = ROOT) -> int:
    """Remove members, all or none.

    Args:
        typed: their names, with commas between.
        root: of the workspace.

    Raises:
        InputError: one is unknown or needed, something is not committed, or uv cannot lock the rest; nothing was changed.
    """
    if not typed:
        raise InputError("MEMBER is missing: which one, as in MEMBER=flight_delays; several with commas between")
    leaving = [the_member(name.strip(), root) for name in typed.split(",")]
    staying = [member for member in members(root) if member not in leaving]
    for member in leaving:
        users = needed_by(member, staying, root)
        if users:
            message = f"{member.path.as_posix()} is needed by {shortened(users)}. Nothing was changed"
            raise InputError(message)
    check_clean(root, "remove")
    texts = read_texts(root, names("ls-files", "-z", folder=root))
    changed = plan(texts, leaving)
    with tempfile.TemporaryDirectory(prefix=".removal-", dir=root) as draft:
        folder = Path(draft)
        skeleton(root, staying, folder)
        (folder / registration.PYPROJECT).write_text(changed[registration.PYPROJECT], encoding="utf-8")
        problem = relock(folder)
        if problem:
            message = f"uv could not lock what would be left: {problem}. Nothing was changed"
            raise InputError(message)
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
    """Write the report over what is left, and say what was done and what a person should look at."""
    if registration.REPORT in changed:
        # DVC takes a stage that has lost an input for unchanged, so it is told
        again = ["dvc", "repro", "--quiet", "--force", "--single-item", "dvc.yaml:code", "dvc.yaml:report"]
        subprocess.run(again, cwd=root, env=clean_environment(), check=True)
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
