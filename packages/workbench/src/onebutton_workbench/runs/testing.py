"""Run the tests with pytest. The work of `make test`."""

from __future__ import annotations

import subprocess
from collections.abc import Sequence
from pathlib import Path

from onebutton_contracts.errors import InputError, require
from onebutton_workbench.environment import add_groups, call, clean_environment
from onebutton_workbench.lineage import affected as lineage
from onebutton_workbench.runs.isolation import run_alone
from onebutton_workbench.workspace import ROOT, drafts, member_paths, members, read_toml, the_member, the_pipeline

SLOW_GROUPS = ("servers", "browser", "conformance", "database")  # a server of databases, a driver of the browser
NONE_COLLECTED = 5  # pytest's status


def run_tests(  # noqa: PLR0913  what can be typed after the button
    pipeline: str = "",
    *,
    member: str = "",
    affected: bool = False,
    base: str = "",
    alone: bool = False,
    slow: bool = False,
    coverage: bool = False,
) -> None:
    """Run the tests of every member, of one, or of those that a change reaches.

    Raises:
        InputError: values contradict each other, the member is unknown or has no tests, or one failed.
    """
    named = member or (pipeline and the_pipeline(pipeline))
    require(not (named and affected), "AFFECTED and MEMBER each say which members to test: type one of them")
    only = f"ALONE=1 runs the quick tests of each member by itself: leave {'SLOW' if slow else 'COVERAGE'} out"
    require(not (alone and (slow or coverage)), only)
    chosen, more = [the_member(named).path] if named else member_paths(), tuple[str, ...]()
    if affected:
        found = lineage.affected(ROOT, base)
        if found.everything:
            print(f"test: everything: {found.words}", flush=True)
        else:
            chosen, more = list(found.members), found.repo_tests
            print(*lineage.table(found.members), f"test: {found.words}", sep="\n", flush=True)
    if not chosen and (alone or not more):
        print("test: no member is affected, so there is no test to run. `make test` runs all")
    elif alone:
        run_alone([one for one in members() if one.path in chosen])
    else:
        paths = [*(f"{path.as_posix()}/tests" for path in chosen), *more]
        run_together(paths, [] if named else drafts(ROOT), covered=chosen if coverage else (), slow=slow)


def run_together(
    paths: Sequence[str], told: Sequence[str], *, covered: Sequence[Path] = (), slow: bool = False, root: Path = ROOT
) -> None:
    """Call pytest in the environment that all members share.

    The tests of the drafts in the folders `told` run after all others, and a failure there stops nobody.

    Raises:
        InputError: there are none, or one failed.
    """
    if slow and (added := add_groups(*SLOW_GROUPS, folder=root)).returncode:
        message = f"what slow tests start could not be installed: {' '.join(added.stderr.split())}"
        raise InputError(message)
    for missing in (path for path in paths if not (root / path).exists()):
        print(f"test: NOT RUN: there is no {missing}", flush=True)
    paths = [path for path in paths if (root / path).exists()]
    of_drafts = [path for path in paths if path.startswith(tuple(f"{folder}/" for folder in told))]
    of_others = [path for path in paths if path not in of_drafts]
    measure = [f"--cov={folder.as_posix()}/src" for folder in covered]
    measure += ["--cov-report=term-missing:skip-covered"] if covered else []
    status = _call([*measure, *of_others], root, slow=slow) if of_others else NONE_COLLECTED
    if of_drafts:
        told_status = _call(of_drafts, root, slow=slow)
        if told_status not in {0, NONE_COLLECTED}:
            print(f"test: a test of a draft failed, which stops nobody ({', '.join(of_drafts)})", flush=True)
        if status == NONE_COLLECTED and told_status != NONE_COLLECTED:
            status = 0
    require(status != NONE_COLLECTED, "no test was collected, so nothing was tested")
    require(not status, "a test failed and says why above. Mend it, then press `make test` again")
    hold_floors(() if slow else covered, root)
    print(f"test: {'slow tests' if slow else 'tests'} passed. Next: {'make ci' if slow else 'make check, then commit'}")


def hold_floors(folders: Sequence[Path], root: Path) -> None:
    """Refuse members whose tests reach less of their code than `fail_under` in their own pyproject.toml asks; drafts may.

    Raises:
        InputError: there are some; the message has what was reached.
    """
    below = []
    for folder in map(Path.as_posix, folders):
        tools = read_toml(root / folder / "pyproject.toml").get("tool", {})
        floor = tools.get("coverage", {}).get("report", {}).get("fail_under", 0)
        command = f"coverage report --include={folder}/src/* --format=total --fail-under={floor}"
        held = floor and not tools.get("onebutton", {}).get("draft")
        if held and (done := call(*command.split(), folder=root)).returncode:
            below.append(f"{folder} {(done.stdout.split() or ['nothing'])[0]} %, at least {floor} %")
    mend = "Write tests of the lines named above; a lower `fail_under` is a pull request of its own (OB411)"
    require(not below, f"the tests reach too little code: {'; '.join(below)}. {mend}")


def _call(words: Sequence[str], root: Path, *, slow: bool) -> int:
    # A file of slow tests shares what is dear to make, such as a trained clone; quick tests share nothing.
    how = ["--dist", "loadfile", "-m", "slow"] if slow else ["--dist", "load"]
    # One thread per test process: OpenMP on a busy machine can take a hundred times as long.
    environment = clean_environment() | {"OMP_NUM_THREADS": "1"}
    command = ["pytest", "--numprocesses", "auto", *how, *words]
    return subprocess.run(command, cwd=root, env=environment, check=False).returncode
