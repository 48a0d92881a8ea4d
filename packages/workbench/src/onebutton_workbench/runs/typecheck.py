"""Check the types of every member with mypy. The work of `make types`.

Mistakes in a draft, which is a pipeline still being tried out, are told and stop nobody. In pipelines a mistake is what would
go wrong, not an annotation that is missing; mypy can be told so only module by module, so its lines about that are left out.
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
# What the packages are held to and pipelines are not, by the name that mypy's line ends with.
MANNERS = (
    "import-untyped",
    "no-any-return",
    "no-any-unimported",
    "no-untyped-call",
    "no-untyped-def",
    "type-arg",
    "untyped-decorator",
    "var-annotated",
)


@dataclass(frozen=True)
class Sorted:
    """Mypy's lines: those that stop, and those of drafts."""

    stopping: list[str]
    told: list[str]


def mistakes(lines: Sequence[str]) -> str:
    """Say how many of the lines are a mistake; the others are notes on one. Empty where there is none."""
    count = sum(": error: " in line for line in lines)
    return f"{count} mistake{'s' * (count > 1)}" if count else ""


def is_manners(line: str) -> bool:
    """Say whether a line asks a pipeline for more annotations than it needs."""
    return line.startswith("pipelines/") and line.endswith(tuple(f"[{name}]" for name in MANNERS))


def sort_out(lines: Sequence[str], drafts: Sequence[str]) -> Sorted:
    """Tell the lines about drafts from all others.

    Args:
        lines: of mypy, `path:line: error: ...`.
        drafts: folders of the members that are drafts, relative to the root.
    """
    folders = tuple(f"{draft}/" for draft in drafts)
    kept = [line for line in lines if not is_manners(line)]
    told = [line for line in kept if line.startswith(folders)]
    return Sorted([line for line in kept if not line.startswith(folders)], told)


def environment(workspace: Sequence[Member]) -> dict[str, str]:
    """Say where mypy finds the modules of members: its own setting takes no patterns."""
    return clean_environment() | {"MYPYPATH": os.pathsep.join(f"{member.path.as_posix()}/src" for member in workspace)}


def call(workspace: Sequence[Member]) -> tuple[bool, list[str], str]:
    """Call mypy on members, and on what the root has.

    Returns:
        Whether it could check; its lines; and what it says where it could not.
    """
    files = [*read_toml(ROOT / "pyproject.toml")["tool"]["mypy"]["files"], *(member.path for member in workspace)]
    command = ["mypy", "--no-error-summary", "--no-pretty", *map(str, files)]
    done = subprocess.run(command, cwd=ROOT, env=environment(workspace), capture_output=True, text=True, check=False)
    return done.returncode < CRASHED, done.stdout.splitlines(), done.stderr


def check() -> None:
    """Call mypy, and judge what it says.

    Raises:
        InputError: it found a mistake outside drafts, or could not check.
    """
    workspace = members(ROOT)
    drafts = [member.path.as_posix() for member in workspace if member.draft]
    checked, lines, why = call(workspace)
    found = sort_out(lines, drafts)
    if not checked and found.told and not found.stopping:  # a syntax error, after which mypy reads nothing else
        checked, lines, why = call([member for member in workspace if not member.draft])
        found = Sorted(sort_out(lines, drafts).stopping, found.told)
    if found.told:
        print(*found.told, sep="\n")
        print(f"types: {mistakes(found.told)} in drafts ({', '.join(drafts)}), which stop nobody: the lines above\n")
    if found.stopping or not checked:
        print(*found.stopping, why, sep="\n", file=sys.stderr)
        many = mistakes(found.stopping)
        message = f"{many}, where the lines above say" if many else "mypy could not check, and says why above"
        raise InputError(message)
    print(f"types: no mistake {'elsewhere' if found.told else 'found'}. Next: make test")
