"""Test each member by itself, with nothing installed but what it declares. The work of `make test ALONE=1`.

In the environment that all members share, an import that a member forgot to declare works, because another declares it; where the
member is installed without the others it does not.
"""

from __future__ import annotations

import os
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from onebutton_contracts.errors import require
from onebutton_workbench.environment import call
from onebutton_workbench.workspace import ROOT, Member


def examine(member: Member, root: Path) -> tuple[str, str]:
    """Hold a member to what it declares by running its tests; `make lint` reads its imports.

    Its extras are installed, because its tests cover them, and pytest. Programs of the shared environment, which it might call
    without declaring them, are not on PATH.

    Returns:
        `passed`, `failed`, or `NOT RUN` where it has no tests; and what its tools said, or the last line of it where it passed.
    """
    folder = member.path.as_posix()
    if not (root / folder / "tests").is_dir():
        return "NOT RUN", "it has no tests"
    only = ["--no-default-groups", "--group", "test", "--package", member.name, "--all-extras"]
    command = ["uv", "run", "--isolated", "--frozen", *only, "pytest", "--quiet", f"{folder}/tests"]
    path = [part for part in os.environ["PATH"].split(os.pathsep) if Path(part) != root / ".venv/bin"]
    done = call(*command, folder=root, OMP_NUM_THREADS="1", PATH=os.pathsep.join(path))
    if done.returncode:
        return "failed", done.stdout + done.stderr
    return "passed", done.stdout.strip().splitlines()[-1]


def run_alone(members: Sequence[Member], root: Path = ROOT) -> None:
    """Examine members, as many at once as there are processors, and print what came of each.

    Raises:
        InputError: one of them did not pass.
    """
    bad: list[str] = []
    with ThreadPoolExecutor(os.cpu_count()) as pool:
        for member, (result, said) in zip(members, pool.map(lambda one: examine(one, root), members), strict=True):
            print(f"{result:<7}  {member.path}", *said.strip().splitlines(), sep="\n    ", flush=True)
            bad += [member.path.as_posix()] if result != "passed" else []
    mend = "What one imports it declares: `make add PACKAGE=xgboost MEMBER=churn`, for one"
    require(not bad, f"{len(bad)} of {len(members)} members did not pass alone: {', '.join(bad)}. {mend}")
    print(f"test: {len(members)} of {len(members)} members passed alone. Next: make check, then commit")
