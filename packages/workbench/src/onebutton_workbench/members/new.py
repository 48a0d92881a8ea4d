"""Write a new member, complete, from a template of the repository. The work of `make new-package` and `make new-pipeline`."""

import importlib.util
import keyword
import re
import shutil
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Literal

from onebutton_contracts.errors import InputError
from onebutton_workbench.environment import call
from onebutton_workbench.files import read_texts, write_texts
from onebutton_workbench.members.lockfile import LOCK, lock
from onebutton_workbench.workspace import ROOT, Member, distribution, read_toml

Kind = Literal["package", "pipeline"]
Task = Literal["binary", "multiclass", "regression", "text"]
NEXT = {
    "packages": "new-package: wrote packages/{name}, and it is in uv.lock.\n"
    "Where it is imported, declare it first: `make add PACKAGE={name} MEMBER=name`.\n"
    "Next: its README says what to change; `make test MEMBER={name}`, `make check`, `git add --all`",
    "pipelines": "new-pipeline: wrote pipelines/{name}, and it is in uv.lock.\n"
    "It is a draft: its mistakes stop nobody, and it stays on your machine until `draft` leaves its pyproject.toml.\n"
    "Next: `make run PIPELINE={name}`; `git add pipelines/{name} uv.lock` and `git commit`, which it needs first; then "
    "pipelines/{name}/README.md",
}


def render(
    member: Member, root: Path, task: Task = "binary", table: Mapping[str, Any] | None = None, *more: str
) -> None:
    """Fill the template in, order the imports and lay the code out: both depend on how long the name is.

    What all pipelines have is written first; on top comes what one task has alone, or, where a `table` says what is known of a
    person's own, what such a pipeline has, and then `more` parts of the template.
    """
    from copier import run_copy

    template = str(root / "templates" / member.path.parts[0].removesuffix("s"))
    parts = ("table", *more) if table else (task,)
    answers = {
        "name": member.path.name,
        "module": member.module,
        "distribution": member.name,
        "requires_python": read_toml(root / "pyproject.toml")["project"]["requires-python"],
        "kind": parts[-1],
        "task": "binary" if task == "text" else task,
        "table": dict(table or {}),
    }
    for part in ("member", *parts) if member.is_pipeline else ("member",):
        said = answers | {"part": part}
        run_copy(template, root / member.path, data=said, defaults=True, quiet=True, overwrite=True)
    for command in ("check --select F401,I --fix", "format"):
        call("ruff", *command.split(), "--quiet", str(member.path), folder=root).check_returncode()


def new(root: Path, *, kind: Kind, name: str, task: Task = "binary") -> int:
    """Write a member, lock it, and say what to do with it; one that is refused or cannot be locked leaves nothing behind."""
    member = named(root, kind, name)
    with written_whole(member, root):
        render(member, root, task)
        lock(root)
    say_next(member)
    return 0


def new_package(root: Path = ROOT, *, name: str = "") -> int:
    """Write a package that others can import."""
    return new(root, kind="package", name=name)


def named(root: Path, kind: Kind, name: str) -> Member:
    """Return a member that is to be; refuse a name that is somebody else's, such as that of a locked distribution."""
    project = read_toml(root / "pyproject.toml")["project"]["name"]
    # a package bears the project's name in front, as others may import it; a pipeline does not, as none may
    called = distribution(f"{project}-{name}" if kind == "package" else name)
    member, said = Member(Path(f"{kind}s", name), called), f"NAME={name}"
    if not re.fullmatch("[a-z][a-z0-9_]*", name) or keyword.iskeyword(name) or keyword.issoftkeyword(name):
        what = f"{said} is no name for a folder that Python imports, as churn is: lower-case letters, digits and _"
    elif any((root / folder / name).exists() for folder in NEXT):
        what = f"{said} is taken by another member, and tools tell members apart by name"
    elif getattr(importlib.util.find_spec(member.module), "origin", None) or name in {"tests", "conftest"}:
        what = f"`import {member.module}` finds something else already, and one would be taken for the other"
    elif member.name in {package["name"] for package in read_toml(root / LOCK)["package"]}:
        what = f"{said} is a package that uv.lock has, and uv would take one for the other"
    else:
        return member
    raise InputError(f"{what}. Nothing was written")


@contextmanager
def written_whole(member: Member, root: Path) -> Iterator[None]:
    """Leave nothing of a member behind, in its folder or the lock, when what is done inside fails or is interrupted."""
    before = read_texts(root, [LOCK])
    try:
        yield
    except BaseException:
        shutil.rmtree(root / member.path, ignore_errors=True)
        write_texts(root, before)
        raise


def say_next(member: Member) -> None:
    """Say what was written, and what to press next."""
    print(NEXT[member.path.parts[0]].format(name=member.path.name))
