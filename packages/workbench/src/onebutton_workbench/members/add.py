"""Let a member use a package: declare it, lock it. The work of `make add`; the environment follows with the same press."""

from __future__ import annotations

import re
import subprocess
from pathlib import Path

from packaging.requirements import InvalidRequirement, Requirement

from onebutton_contracts.errors import InputError
from onebutton_workbench.environment import clean_environment
from onebutton_workbench.workspace import ROOT, Member, members, the_member


def add(*, package: str, member: str, root: Path = ROOT) -> int:
    """Declare a package in the `pyproject.toml` of a member and bring the lock along, or change nothing.

    Args:
        package: of an index, with or without a version (`xgboost`, `polars>=2`), or the folder of a package here.
        member: who imports it: its folder or its name.
        root: of the workspace.

    Raises:
        InputError: either is missing or unknown, or uv cannot lock the two together.
    """
    if not package or not member:
        raise InputError("say what is imported and by whom, as in PACKAGE=xgboost MEMBER=churn; nothing was changed")
    into, wanted = the_member(member, root), requirement(package, members(root))
    file = into.path / "pyproject.toml"
    before = (root / file).read_bytes()
    command = ["uv", "add", "--quiet", "--no-sync", "--package", into.name, wanted]
    environment = {name: text for name, text in clean_environment().items() if name != "UV_FROZEN"}
    done = subprocess.run(command, cwd=root, env=environment, capture_output=True, text=True, check=False)
    if done.returncode:
        message = f"{wanted} cannot be added to {into.path}: {reason(done.stderr)}. Nothing was changed"
        raise InputError(message)
    if (root / file).read_bytes() == before:
        print(f"add: {file} declares {wanted} already")
    else:
        print(f"add: {wanted} stands in {file} and in uv.lock. Next: import it, then `make check`", flush=True)
    return 0


def requirement(package: str, workspace: list[Member]) -> str:
    """Turn what was typed into what is declared: the folder of a package here into its name.

    Raises:
        InputError: it is no name of a package.
    """
    try:
        typed = Requirement(package)
    except InvalidRequirement as error:
        message = f"PACKAGE={package} is no name of a package, with or without a version: {str(error).splitlines()[0]}"
        raise InputError(message) from None
    here = {member.path.name: member.name for member in workspace if not member.is_pipeline}
    extras = f"[{','.join(sorted(typed.extras))}]" if typed.extras else ""
    return f"{here[typed.name]}{extras}" if typed.name in here else package


def reason(said: str) -> str:
    """Say on one line why uv could not."""
    words = " ".join(said.split())
    if unknown := re.search(r"(\S+) was not found in the package registry", words):
        return f"no index has a package {unknown[1]}"
    return words.removeprefix("error: ").rstrip(".") or "uv does not say why"
