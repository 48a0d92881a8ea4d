"""Write a new member, complete and locked, from a template of the repo. The work of `make new-package`, `make new-pipeline`.

Everything is made in a temporary folder first, the lock included, and moved into place at the end: a scaffold that cannot be
finished leaves nothing behind.
"""

from __future__ import annotations

import keyword
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from importlib import metadata
from pathlib import Path
from typing import Literal

from onebutton_workbench.checks import glossary
from onebutton_workbench.files import write_texts
from onebutton_workbench.members.lockfile import LOCK, relock, skeleton
from onebutton_workbench.pressed import clean_environment, press, value
from onebutton_workbench.workspace import ROOT, Member, WorkbenchError, members, read_toml

Kind = Literal["package", "pipeline"]
FOLDERS = {"package": "packages", "pipeline": "pipelines"}


def new_member(kind: Kind, name: str, project: str) -> Member:
    """Say what a member will be called.

    Args:
        kind: of the member.
        name: of its folder, an identifier.
        project: name of the root project. A package bears it in front, as others may import it; a pipeline does not, as none may.
    """
    distribution = f"{project}-{name}" if kind == "package" else name
    return Member(Path(FOLDERS[kind], name), distribution.replace("_", "-"))


def check_name(kind: Kind, name: str, member: Member, others: Sequence[Member], folder: Path) -> None:
    """Refuse what cannot be the name of a member, or is somebody else's.

    Args:
        kind: as typed.
        name: as typed.
        member: what it would become.
        others: the members that stand already.
        folder: of the workspace.

    Raises:
        WorkbenchError: says what is wrong with it, and an example.
    """
    said = f"NAME={name}"
    installed = metadata.packages_distributions().get(member.module, [])
    if not name:
        what = f"NAME is missing: what the {kind} is about, as in NAME=churn"
    elif not name.isascii() or not name.isidentifier() or name != name.lower() or name.startswith("_"):
        what = f"{said} is no name for a folder that Python imports: lower-case letters, digits and _, a letter first"
    elif keyword.iskeyword(name) or keyword.issoftkeyword(name):
        what = f"{said} is a word of Python's own"
    elif (folder / member.path).exists():
        what = f"{said} is taken: {member.path.as_posix()} is there already"
    elif any(member.module == other.module or name == other.path.name for other in others):
        what = f"{said} is taken by another member, and tools tell members apart by name"
    elif member.module in sys.stdlib_module_names or member.module in {"tests", "conftest", "benchmarks"}:
        what = f"{said} is a module that Python or pytest brings, and an import would find one for the other"
    elif installed:
        what = f"{said} is what {installed[0]} is imported as, and an import would find one for the other"
    else:
        return
    message = f"{what}. Nothing was written"
    raise WorkbenchError(message)


def render(kind: Kind, member: Member, root: Path, target: Path) -> None:
    """Fill the template of a kind of member in."""
    from copier import run_copy

    answers = {
        "name": member.path.name,
        "module": member.module,
        "distribution": member.name,
        "requires_python": read_toml(root / "pyproject.toml")["project"]["requires-python"],
    }
    run_copy(str(root / "templates" / kind), target, data=answers, defaults=True, quiet=True)


def tidy(folder: Path, member: Member) -> None:
    """Order the imports and lay the code out: both depend on how long the name is and where the alphabet has it."""
    everything = ["--no-respect-gitignore", "--quiet", str(member.path)]  # git ignores the temporary folder
    for command in (["ruff", "check", "--select", "I", "--fix"], ["ruff", "format"]):
        subprocess.run([*command, *everything], cwd=folder, env=clean_environment(), check=True)


def make(kind: Kind, name: str, root: Path = ROOT) -> Member:
    """Write a member and lock it.

    Raises:
        WorkbenchError: the name is refused, or uv cannot lock it; nothing was written.
    """
    others = members(root)
    member = new_member(kind, name, read_toml(root / "pyproject.toml")["project"]["name"])
    check_name(kind, name, member, others, root)
    # within the workspace, because a rename does not cross file systems
    with tempfile.TemporaryDirectory(prefix=".scaffold-", dir=root) as draft:
        folder = Path(draft)
        skeleton(root, others, folder)
        render(kind, member, root, folder / member.path)
        tidy(folder, member)
        problem = relock(folder)
        if problem:
            message = f"uv could not lock {member.path.as_posix()}: {problem}. Nothing was written"
            raise WorkbenchError(message)
        place = root / member.path
        place.parent.mkdir(exist_ok=True)  # git keeps no folder that is empty
        try:
            (folder / member.path).rename(place)
            write_texts(root, {LOCK: (folder / LOCK).read_text(encoding="utf-8")})
        except BaseException:
            shutil.rmtree(place, ignore_errors=True)
            raise
    glossary.mend(root)  # it points at lines, and some have moved
    return member


def scaffold(kind: Kind) -> int:
    """Write a member, and say what to do with it."""
    member = make(kind, value("NAME"))
    path, name = member.path.as_posix(), member.path.name
    print(f"new-{kind}: wrote {path}, and locked it in uv.lock.")
    if kind == "package":
        print(
            f"Where it is imported, declare it first: `make add PACKAGE={name} MEMBER=flight_delays`, for one.\n"
            f"Next: its README says what to change; `make test MEMBER={name}`, `make check`, `git add --all`"
        )
    else:
        print(
            "It is a draft: its types and warnings stop nobody, and it is not deployed, until `draft` goes\n"
            f"from its pyproject.toml. Next: `make run PIPELINE={name}`, then the six steps of {path}/README.md"
        )
    return 0


if __name__ == "__main__":
    chosen: Kind = "pipeline" if sys.argv[1:] == ["pipeline"] else "package"
    press(f"new-{chosen}", lambda: scaffold(chosen))
