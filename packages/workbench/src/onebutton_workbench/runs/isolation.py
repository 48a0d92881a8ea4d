"""Test each member by itself, with nothing installed but what it declares. The work of `make test ALONE=1`.

In the environment that all members share, an import that a member forgot to declare works, because another declares it; where the
member is installed without the others it does not.
"""

from __future__ import annotations

import os
import sys
import time
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor, as_completed
from dataclasses import dataclass
from pathlib import Path

from onebutton_contracts.errors import InputError
from onebutton_workbench.environment import call
from onebutton_workbench.workspace import ROOT, Member


@dataclass(frozen=True)
class Verdict:
    """How a member did alone."""

    member: Member
    result: str  # `passed`, `failed`, or `NOT RUN` where it has no tests
    words: str  # what was found, in a line
    output: str = ""  # of the tools, when it did not pass


def examine(member: Member, root: Path) -> Verdict:
    """Hold a member to what it declares: its sources by reading their imports, its tests by running them.

    Its extras are installed, because its tests cover them, and pytest. Programs of the shared environment, which it might call
    without declaring them, are not on PATH.
    """
    compare = (sys.executable, "-m", "onebutton_workbench.checks.declared_imports", member.path.as_posix())
    declared = call(*compare, folder=root)
    if declared.returncode:
        output = declared.stdout + declared.stderr
        return Verdict(member, "failed", "its imports and its pyproject.toml differ", output)
    if not (root / member.path / "tests").is_dir():
        return Verdict(member, "NOT RUN", "it has no tests")
    only = ["--no-default-groups", "--group", "test", "--package", member.name, "--all-extras"]
    command = ["uv", "run", "--isolated", "--frozen", *only, "pytest", "--quiet", f"{member.path.as_posix()}/tests"]
    path = [part for part in os.environ["PATH"].split(os.pathsep) if Path(part) != root / ".venv/bin"]
    begun = time.monotonic()
    done = call(*command, folder=root, OMP_NUM_THREADS="1", PATH=os.pathsep.join(path))
    seconds = f"{time.monotonic() - begun:.0f} s"
    if done.returncode:
        return Verdict(member, "failed", f"its tests ({seconds})", done.stdout + done.stderr)
    return Verdict(member, "passed", f"{done.stdout.strip().splitlines()[-1].split(' in ')[0]} ({seconds})")


def run_alone(members: Sequence[Member], root: Path = ROOT) -> None:
    """Examine members, as many at once as there are processors, and print each verdict as it comes.

    Raises:
        InputError: one of them did not pass.
    """
    width = max(len(str(member.path)) for member in members)
    bad: list[str] = []
    with ThreadPoolExecutor(os.cpu_count()) as pool:
        for finished in as_completed([pool.submit(examine, member, root) for member in members]):
            verdict = finished.result()
            print(f"{verdict.member.path!s:<{width}}  {verdict.result:<7}  {verdict.words}", flush=True)
            if verdict.result != "passed":
                bad.append(str(verdict.member.path))
                print("".join(f"    {line}\n" for line in verdict.output.strip().splitlines()), end="", flush=True)
    if bad:
        message = (
            f"{len(bad)} of {len(members)} members did not pass alone: {', '.join(sorted(bad))}. "
            "What one imports it declares: `make add PACKAGE=xgboost MEMBER=churn`, for one"
        )
        raise InputError(message)
    print(f"test: {len(members)} of {len(members)} members passed alone. Next: make check, then commit")
