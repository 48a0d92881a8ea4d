"""Check the types of every member with mypy. The work of `make types`.

Mistakes in a draft, which is a pipeline still being tried out, are told and stop nobody. In pipelines a mistake is what would
go wrong, not an annotation that is missing; mypy can be told so only module by module, so its lines about that are left out.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Sequence

from onebutton_contracts.errors import InputError
from onebutton_workbench.environment import call
from onebutton_workbench.workspace import ROOT, Member, members, read_toml

CRASHED = 2  # mypy's status when it could not check at all
# What the packages are held to and pipelines are not: how mypy's lines end.
MANNERS = (
    "[import-untyped]",
    "[no-any-return]",
    "[no-any-unimported]",
    "[no-untyped-call]",
    "[no-untyped-def]",
    "[type-arg]",
    "[untyped-decorator]",
    "[var-annotated]",
)


def check() -> None:
    """Call mypy, and judge what it says.

    Raises:
        InputError: it found a mistake outside drafts, or could not check.
    """
    workspace = members(ROOT)
    drafts = [member.path.as_posix() for member in workspace if member.draft]
    lines, failed = _call(workspace)
    told = [line for line in lines if _concerns(line, drafts)]
    stopping = [line for line in lines if line not in told]
    if failed and told and not stopping:  # a syntax error, after which mypy reads nothing else
        stopping, failed = _call([member for member in workspace if not member.draft])
    if told:
        print(*told, sep="\n")
        print(f"types: {_count(told)} in drafts ({', '.join(drafts)}), which stop nobody: the lines above\n")
    if stopping or failed:
        print(*stopping, failed, sep="\n", file=sys.stderr)
        message = f"{_count(stopping) or 'mypy could not check'}, where the lines above say"
        raise InputError(message)
    print(f"types: no mistake {'elsewhere' if told else 'found'}. Next: make test")


def _call(workspace: Sequence[Member]) -> tuple[list[str], str]:
    """Call mypy on members, and on what the root has; it is told where modules are, as its own setting takes no patterns.

    Returns:
        Its lines, without those that ask a pipeline for annotations; and what it says where it could not check at all.
    """
    files = [*read_toml(ROOT / "pyproject.toml")["tool"]["mypy"]["files"], *(str(member.path) for member in workspace)]
    command = ["mypy", "--no-error-summary", "--no-pretty", *files]
    done = call(*command, folder=ROOT, MYPYPATH=os.pathsep.join(f"{member.path}/src" for member in workspace))
    lines = done.stdout.splitlines()
    kept = [line for line in lines if not (_concerns(line, ["pipelines"]) and line.endswith(MANNERS))]
    return kept, (done.stderr or "mypy stopped") if done.returncode >= CRASHED else ""


def _concerns(line: str, folders: Sequence[str]) -> bool:
    return line.startswith(tuple(f"{folder}/" for folder in folders))


def _count(lines: Sequence[str]) -> str:
    """Say how many of the lines are a mistake; the others are notes on one. Empty where there is none."""
    count = sum(": error: " in line for line in lines)
    return f"{count} mistake{'s' * (count > 1)}" if count else ""
