"""Let uv write `uv.lock`, and declare what a member imports. The work of `make add`, which then syncs."""

from __future__ import annotations

import re
from pathlib import Path

from packaging.requirements import InvalidRequirement, Requirement

from onebutton_contracts.errors import InputError
from onebutton_workbench.environment import call
from onebutton_workbench.workspace import ROOT, Member, members, the_member

LOCK = "uv.lock"


def relock(folder: Path) -> str:
    """Let uv bring the lock in line with what the members declare; say why it could not, if so."""
    done = call("uv", "lock", "--quiet", folder=folder, UV_FROZEN="0")
    return "" if done.returncode == 0 else " ".join(done.stderr.split()) or "uv does not say why"


def lock(folder: Path) -> None:
    """Let uv write the lock, or refuse what the members declare; the caller takes back what was changed."""
    if problem := relock(folder):
        message = f"uv could not lock it: {problem}. Nothing was changed"
        raise InputError(message)


def add(*, package: str = "", member: str = "", root: Path = ROOT) -> int:
    """Declare a package in the `pyproject.toml` of a member and bring the lock along, or change nothing.

    Args:
        package: of an index, with or without a version (`xgboost`, `polars>=2`), or the folder of a package here.
        member: who imports it, by folder or name.
        root: of the workspace.

    Raises:
        InputError: either is missing or unknown, or uv cannot lock the two together.
    """
    if not package or not member:
        raise InputError("say what is imported and by whom, as in PACKAGE=xgboost MEMBER=churn; nothing was changed")
    into, wanted = the_member(member, root), requirement(package, members(root))
    file = into.path / "pyproject.toml"
    before = (root / file).read_bytes()
    done = call("uv", "add", "--quiet", "--no-sync", "--package", into.name, wanted, folder=root, UV_FROZEN="0")
    if done.returncode:
        words = " ".join(done.stderr.split()).removeprefix("error: ").rstrip(".")
        if unknown := re.search(r"(\S+) was not found in the package registry", words):
            words = f"no index has a package {unknown[1]}"
        message = f"{wanted} cannot be added to {into.path}: {words}. Nothing was changed"
        raise InputError(message)
    if (root / file).read_bytes() == before:
        print(f"add: {file} declares {wanted} already")
    else:
        print(f"add: {wanted} stands in {file} and in uv.lock. Next: import it, then `make check`", flush=True)
    return 0


def requirement(package: str, workspace: list[Member]) -> str:
    """Turn what was typed into what is declared: the folder of a package here into its name."""
    try:
        typed = Requirement(package)
    except InvalidRequirement as error:
        message = f"PACKAGE={package} is no name of a package, with or without a version: {str(error).splitlines()[0]}"
        raise InputError(message) from None
    here = {member.path.name: member.name for member in workspace if not member.is_pipeline}
    extras = f"[{','.join(sorted(typed.extras))}]" if typed.extras else ""
    return f"{here[typed.name]}{extras}" if typed.name in here else package
