"""Run the tests with pytest. The work of `make test`."""

from __future__ import annotations

import subprocess
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from onebutton_workbench.lineage.affected import affected, table
from onebutton_workbench.pressed import clean_environment, press, value
from onebutton_workbench.runs.isolation import run_alone
from onebutton_workbench.workspace import ROOT, WorkbenchError, member_paths, members, the_member, the_pipeline

CHOICES = ("AFFECTED", "MEMBER", "PIPELINE")  # of members; ways to say which
SLOW_GROUPS = ("servers", "browser", "conformance")
NONE_COLLECTED = 5  # pytest's status


@dataclass(frozen=True)
class Chosen:
    """Whose tests to run.

    Attributes:
        members: their folders, relative to the root.
        more: tests of other members to run beside theirs.
    """

    members: tuple[Path, ...]
    more: tuple[str, ...] = ()


def command(paths: Sequence[str], *, slow: bool, covered: Sequence[Path] = ()) -> list[str]:
    """Write the call of pytest.

    Args:
        paths: tests, or folders of tests; all of them when empty.
        slow: run the slow tests instead of the quick ones.
        covered: folders of members, to report which of their lines no test reached.
    """
    # A file of slow tests shares what is dear to make, such as a trained clone; quick tests share nothing.
    words = ["pytest", "--numprocesses", "auto", "--dist", "loadfile" if slow else "load"]
    words += ["-m", "slow"] if slow else []
    words += [f"--cov={folder.as_posix()}/src" for folder in covered]
    words += ["--cov-report", "term-missing:skip-covered"] if covered else []
    return [*words, *paths]


def choose(root: Path = ROOT) -> Chosen | None:
    """Find whose tests were asked for; None when nobody said whose, or when a change reaches everything.

    Raises:
        WorkbenchError: a member is unknown, or they were asked for in two ways.
    """
    typed = [choice for choice in CHOICES if value(choice)]
    if len(typed) > 1:
        message = f"{' and '.join(typed)} each say which members to test: type one of them"
        raise WorkbenchError(message)
    if value("PIPELINE"):
        return Chosen((Path("pipelines", the_pipeline(value("PIPELINE"), root)),))
    if value("MEMBER"):
        return Chosen((the_member(value("MEMBER"), root).path,))
    if not value("AFFECTED"):
        return None
    found = affected(root, value("BASE"))
    if found.everything:
        print(f"test: everything: {found.words}", flush=True)
        return None
    print(*table({str(path): why for path, why in found.members.items()}), f"test: {found.words}", sep="\n", flush=True)
    return Chosen(tuple(found.members), found.repo_tests)


def test() -> int:
    """Run the tests that were asked for.

    Raises:
        WorkbenchError: their members are unknown, have none, or one failed.
    """
    chosen = choose()
    if value("ALONE"):
        for other in ("SLOW", "COVERAGE"):
            if value(other):
                message = f"ALONE=1 runs the quick tests of each member by itself: leave {other} out"
                raise WorkbenchError(message)
    if chosen and not chosen.members and (value("ALONE") or not chosen.more):
        print("test: no member is affected, so there is no test to run. `make test` runs all")
        return 0
    if value("ALONE"):
        return run_alone([member for member in members() if chosen is None or member.path in chosen.members])
    return run_together(chosen)


def run_together(chosen: Chosen | None, root: Path = ROOT) -> int:
    """Call pytest in the environment that all members share.

    Args:
        chosen: whose tests to run; None for all.
        root: of the workspace.

    Raises:
        WorkbenchError: there are none, or one failed.
    """
    slow = bool(value("SLOW"))
    if slow:
        add_groups(root)
    wanted = [f"{path.as_posix()}/tests" for path in chosen.members] + list(chosen.more) if chosen else []
    paths = [path for path in wanted if (root / path).exists()]
    for missing in sorted({*wanted} - {*paths}):
        print(f"test: NOT RUN: there is no {missing}", flush=True)
    status = NONE_COLLECTED
    if paths or chosen is None:
        # One thread per test process: OpenMP on a busy machine can take a hundred times as long.
        environment = clean_environment() | {"OMP_NUM_THREADS": "1"}
        covered = (chosen.members if chosen else member_paths(root)) if value("COVERAGE") else ()
        words = command(paths, slow=slow, covered=covered)
        status = subprocess.run(words, cwd=root, env=environment, check=False).returncode
    if status == NONE_COLLECTED and slow and value("AFFECTED"):
        print("test: no affected member has a slow test, so there is none to run")
        return 0
    if status == NONE_COLLECTED:
        raise WorkbenchError("no test was collected, so nothing was tested")
    if status:
        raise WorkbenchError("a test failed and says why above. Mend it, then press `make test` again")
    print(f"test: {'slow tests' if slow else 'tests'} passed. Next: {'make ci' if slow else 'make check, then commit'}")
    return 0


def add_groups(root: Path = ROOT) -> None:
    """Install what slow tests start and no member imports: a database server, a driver for the browser.

    Raises:
        WorkbenchError: uv could not.
    """
    groups = [word for group in SLOW_GROUPS for word in ("--group", group)]
    command = ["uv", "sync", "--all-packages", "--frozen", "--inexact", "--quiet", *groups]
    if subprocess.run(command, cwd=root, env=clean_environment(), check=False).returncode:
        message = f"the groups {' and '.join(SLOW_GROUPS)} could not be installed: uv says why above"
        raise WorkbenchError(message)


if __name__ == "__main__":
    press("test", test)
