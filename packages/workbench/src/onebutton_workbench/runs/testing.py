"""Run the tests with pytest. The work of `make test`."""

from __future__ import annotations

import subprocess
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from onebutton_contracts.errors import InputError
from onebutton_workbench.environment import add_groups, call, clean_environment
from onebutton_workbench.lineage.affected import affected, table
from onebutton_workbench.runs.isolation import run_alone
from onebutton_workbench.workspace import ROOT, drafts, member_paths, members, read_toml, the_member

SLOW_GROUPS = ("servers", "browser", "conformance", "database")  # a server of databases, a driver of the browser
NONE_COLLECTED = 5  # pytest's status


@dataclass(frozen=True)
class Chosen:
    """Whose tests to run."""

    members: tuple[Path, ...]  # their folders, relative to the root
    more: tuple[str, ...] = ()  # tests of other members to run beside theirs
    changed: bool = False  # whether they are those that a change reaches


def choose(member: str = "", base: str = "", *, changed: bool = False) -> Chosen | None:
    """Find whose tests were asked for; None when nobody said whose, or when a change since BASE reaches everything.

    Raises:
        InputError: the member is unknown, or they were asked for in two ways.
    """
    if member and changed:
        raise InputError("AFFECTED and MEMBER each say which members to test: type one of them")
    if member:
        return Chosen((the_member(member).path,))
    if not changed:
        return None
    found = affected(ROOT, base)
    if found.everything:
        print(f"test: everything: {found.words}", flush=True)
        return None
    print(*table(found.members), f"test: {found.words}", sep="\n", flush=True)
    return Chosen(tuple(found.members), found.repo_tests, changed=True)


def test(chosen: Chosen | None, *, alone: bool, slow: bool, coverage: bool) -> None:
    """Run the tests that were asked for; all where `chosen` is None.

    Raises:
        InputError: their members have none, or one failed.
    """
    if alone and (slow or coverage):
        message = f"ALONE=1 runs the quick tests of each member by itself: leave {'SLOW' if slow else 'COVERAGE'} out"
        raise InputError(message)
    if chosen and not chosen.members and (alone or not chosen.more):
        print("test: no member is affected, so there is no test to run. `make test` runs all")
    elif alone:
        run_alone([member for member in members() if chosen is None or member.path in chosen.members])
    else:
        run_together(chosen, slow=slow, coverage=coverage)


def run_together(chosen: Chosen | None, *, slow: bool = False, coverage: bool = False, root: Path = ROOT) -> None:
    """Call pytest in the environment that all members share; the values are those of `test`.

    The tests of drafts run after all others, and a failure there stops nobody, unless a draft is what was asked for.

    Raises:
        InputError: there are none, or one failed.
    """
    if slow and (added := add_groups(*SLOW_GROUPS, folder=root)).returncode:
        message = f"what slow tests start could not be installed: {' '.join(added.stderr.split())}"
        raise InputError(message)
    wanted = [f"{path.as_posix()}/tests" for path in chosen.members] + list(chosen.more) if chosen else []
    paths = [path for path in wanted if (root / path).exists()]
    for missing in sorted({*wanted} - {*paths}):
        print(f"test: NOT RUN: there is no {missing}", flush=True)
    told = []
    if chosen is None or chosen.changed:
        tests = [f"{folder}/tests" for folder in drafts(root)]
        told = [path for path in tests if (root / path).exists() and (chosen is None or path in paths)]
    paths = [path for path in paths if path not in told]
    covered = (chosen.members if chosen else member_paths(root)) if coverage else ()
    status = NONE_COLLECTED
    if paths or chosen is None:
        more = [*(f"--cov={folder.as_posix()}/src" for folder in covered), *(f"--ignore={path}" for path in told)]
        status = _call(
            [*more, *(["--cov-report", "term-missing:skip-covered"] if covered else []), *paths], root, slow=slow
        )
    if told:
        of_drafts = _call(told, root, slow=slow)
        if of_drafts not in {0, NONE_COLLECTED}:
            print(f"test: a test of a draft failed, which stops nobody ({', '.join(told)})", flush=True)
        status = 0 if status == NONE_COLLECTED and of_drafts != NONE_COLLECTED else status
    if status == NONE_COLLECTED and slow and chosen and chosen.changed:
        print("test: no affected member has a slow test, so there is none to run")
        return
    if status == NONE_COLLECTED:
        raise InputError("no test was collected, so nothing was tested")
    if status:
        raise InputError("a test failed and says why above. Mend it, then press `make test` again")
    hold_floors(() if slow else covered, root)
    print(f"test: {'slow tests' if slow else 'tests'} passed. Next: {'make ci' if slow else 'make check, then commit'}")


def hold_floors(folders: Sequence[Path], root: Path) -> None:
    """Refuse members whose tests reach less of their code than `fail_under` in their own pyproject.toml asks; drafts may.

    Raises:
        InputError: there are some; the message has what was reached.
    """
    below = []
    for folder in (one for one in folders if one.as_posix() not in drafts(root)):
        tools = read_toml(root / folder / "pyproject.toml").get("tool", {})
        floor = tools.get("coverage", {}).get("report", {}).get("fail_under", 0)
        command = [
            "coverage",
            "report",
            f"--include={folder.as_posix()}/src/*",
            "--format=total",
            f"--fail-under={floor}",
        ]
        if floor and (done := call(*command, folder=root)).returncode:
            below.append(f"{folder.as_posix()} {(done.stdout.split() or ['nothing'])[0]} %, at least {floor} %")
    if below:
        mend = "Write tests of the lines named above; a lower `fail_under` is a pull request of its own (OB411)"
        message = f"the tests reach too little code: {'; '.join(below)}. {mend}"
        raise InputError(message)


def _call(words: Sequence[str], root: Path, *, slow: bool) -> int:
    # A file of slow tests shares what is dear to make, such as a trained clone; quick tests share nothing.
    how = ["--dist", "loadfile", "-m", "slow"] if slow else ["--dist", "load"]
    # One thread per test process: OpenMP on a busy machine can take a hundred times as long.
    environment = clean_environment() | {"OMP_NUM_THREADS": "1"}
    command = ["pytest", "--numprocesses", "auto", *how, *words]
    return subprocess.run(command, cwd=root, env=environment, check=False).returncode
