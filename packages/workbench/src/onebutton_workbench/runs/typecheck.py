"""Check the types of every member with mypy. The work of `make types`.

Mistakes in a draft, which is a pipeline still being tried out, are told and stop nobody.
"""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Sequence
from dataclasses import dataclass

from onebutton_contracts.errors import InputError
from onebutton_workbench.environment import clean_environment
from onebutton_workbench.workspace import ROOT, Member, members, read_toml

CRASHED = 2  # mypy's status when it could not check at all


@dataclass(frozen=True)
class Sorted:
    """Mypy's lines: those that stop, and those of drafts."""

    stopping: list[str]
    told: list[str]

    @property
    def mistakes(self) -> int:
        """How many of the stopping lines say a mistake; the others are notes on one."""
        return sum(": error: " in line for line in self.stopping)


def sort_out(lines: Sequence[str], drafts: Sequence[str]) -> Sorted:
    """Tell the lines about drafts from all others.

    Args:
        lines: of mypy, `path:line: error: ...`.
        drafts: folders of the members that are drafts, relative to the root.
    """
    folders = tuple(f"{draft}/" for draft in drafts)
    told = [line for line in lines if line.startswith(folders)]
    return Sorted([line for line in lines if not line.startswith(folders)], told)


def environment(workspace: Sequence[Member]) -> dict[str, str]:
    """Say where mypy finds the modules of members: its own setting takes no patterns."""
    return clean_environment() | {"MYPYPATH": os.pathsep.join(f"{member.path.as_posix()}/src" for member in workspace)}


def check() -> None:
    """Call mypy, and judge what it says.

    Raises:
        InputError: it found a mistake outside drafts, or could not check.
    """
    workspace = members(ROOT)
    drafts = [member.path.as_posix() for member in workspace if member.draft]
    files = [*read_toml(ROOT / "pyproject.toml")["tool"]["mypy"]["files"], *(member.path for member in workspace)]
    command = ["mypy", "--no-error-summary", "--no-pretty", *map(str, files)]
    done = subprocess.run(command, cwd=ROOT, env=environment(workspace), capture_output=True, text=True, check=False)
    found = sort_out(done.stdout.splitlines(), drafts)
    if found.told:
        print(*found.told, sep="\n")
        print(f"types: the {len(found.told)} lines above are about drafts ({', '.join(drafts)}), so they stop nobody\n")
    if found.stopping or done.returncode >= CRASHED:
        print(*found.stopping, done.stderr, sep="\n", file=sys.stderr)
        many = "1 mistake" if found.mistakes == 1 else f"{found.mistakes} mistakes"
        message = f"{many}, where the lines above say" if found.mistakes else "mypy could not check, and says why above"
        raise InputError(message)
    print("types: no mistake found. Next: make test")
