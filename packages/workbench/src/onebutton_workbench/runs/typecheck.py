"""Check the types of every member with mypy. The work of `make types`.

Mistakes in a draft, which is a pipeline still being tried out, are told and stop nobody. In pipelines a mistake is what would
go wrong, not an annotation that is missing; mypy can be told so only module by module, so its lines about that are left out.
"""

import os
import re
import sys
from collections.abc import Sequence

from onebutton_contracts.errors import InputError
from onebutton_workbench.environment import call
from onebutton_workbench.workspace import ROOT, drafts, members, read_toml

# What the packages are held to and pipelines are not: how mypy's lines end.
MANNERS = re.compile(
    r"pipelines/.*\[(import-untyped|no-any-return|no-any-unimported|no-untyped-call|no-untyped-def|type-arg"
    r"|untyped-decorator|var-annotated)\]"
)


def check() -> None:
    """Call mypy on drafts, then on all others and on what the root has; refuse mistakes outside drafts."""
    lenient = drafts(ROOT)
    if told := _call(lenient):
        words = f"{_count(told)} in drafts ({', '.join(lenient)}), which stop nobody: the lines above"
        print(*told, f"types: {words}\n", sep="\n")
    others = [member.path.as_posix() for member in members(ROOT) if member.path.as_posix() not in lenient]
    if wrong := _call([*read_toml(ROOT / "pyproject.toml")["tool"]["mypy"]["files"], *others]):
        print(*wrong, sep="\n", file=sys.stderr)
        raise InputError(f"{_count(wrong)}, where the lines above say")
    print(f"types: no mistake {'elsewhere' if told else 'found'}. Next: make test")


def _call(files: Sequence[str]) -> list[str]:
    """Call mypy, which is told where modules are, as its own setting takes no patterns; return what it says of mistakes."""
    if not files:
        return []
    path = os.pathsep.join(f"{member.path}/src" for member in members(ROOT))
    done = call("mypy", "--no-error-summary", "--no-pretty", *files, folder=ROOT, MYPYPATH=path)
    lines = [line for line in done.stdout.splitlines() if not MANNERS.fullmatch(line)]
    checked = done.returncode in {0, 1}
    return lines if checked else [*lines, done.stderr or "mypy stopped"]


def _count(lines: Sequence[str]) -> str:
    """Count the mistakes; the other lines are notes on one."""
    count = sum(": error: " in line for line in lines)
    return f"{count} mistake{'s' * (count > 1)}" if count else "mypy could not check"
