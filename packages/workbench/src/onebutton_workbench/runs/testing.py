"""Run the tests with pytest: of all members together, or of each by itself. The work of `make test`.

In the environment that all members share, an import that a member forgot to declare works, because another declares it; where the
member is installed without the others it does not.
"""

import os
import subprocess
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from onebutton_contracts.errors import require
from onebutton_tracking.commit import git_environment
from onebutton_workbench.environment import add_groups, call
from onebutton_workbench.lineage import affected as lineage
from onebutton_workbench.workspace import ROOT, Member, drafts, members, read_toml, the_member, the_pipeline

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
    """Run the tests of every member, of one, or of those that a change reaches."""
    named = member or (pipeline and the_pipeline(pipeline))
    require(not (named and affected), "AFFECTED and MEMBER each say which members to test: type one of them")
    only = f"ALONE=1 runs the quick tests of each member by itself: leave {'SLOW' if slow else 'COVERAGE'} out"
    require(not (alone and (slow or coverage)), only)
    chosen = [one.path.as_posix() for one in ([the_member(named)] if named else members())]
    more: Sequence[str] = ()
    if affected:
        found = lineage.affected(ROOT, base)
        print(*found.table, f"test: {'everything: ' if found.everything else ''}{found.words}", sep="\n", flush=True)
        if not found.everything:
            chosen, more = [path.as_posix() for path in found.members], found.repo_tests
    if not chosen and (alone or not more):
        print("test: no member is affected, so there is no test to run. `make test` runs all")
    elif alone:
        run_alone([one for one in members() if one.path.as_posix() in chosen])
    else:
        paths = [*(f"{folder}/tests" for folder in chosen), *more]
        run_together(paths, [] if named else drafts(ROOT), covered=chosen if coverage else (), slow=slow)


def run_together(
    paths: Sequence[str], told: Sequence[str], *, covered: Sequence[str] = (), slow: bool = False, root: Path = ROOT
) -> None:
    """Call pytest in the environment that all members share.

    The tests of the drafts in the folders `told` run after all others, and a failure there stops nobody.
    """
    # A file of slow tests shares what is dear to make, such as a trained clone; quick tests share nothing.
    how = ["--dist", "loadfile", "-m", "slow"] if slow else ["--dist", "load"]
    if slow:
        added = add_groups(*SLOW_GROUPS, folder=root)
        require(not added.returncode, f"what slow tests start was not installed: {' '.join(added.stderr.split())}")
    there = [path for path in paths if (root / path).exists()]
    print(*(f"test: NOT RUN: there is no {path}\n" for path in paths if path not in there), sep="", end="", flush=True)
    of_drafts = [path for path in there if path.startswith(tuple(f"{folder}/" for folder in told))]
    measure = [*(f"--cov={folder}/src" for folder in covered), "--cov-report=term-missing:skip-covered"]
    status = _call([path for path in there if path not in of_drafts], [*how, *measure], root)
    of_draft = _call(of_drafts, how, root)
    if of_draft not in {0, NONE_COLLECTED}:
        print(f"test: a test of a draft failed, which stops nobody ({', '.join(of_drafts)})", flush=True)
    require({status, of_draft} != {NONE_COLLECTED}, "no test was collected, so nothing was tested")
    failed = "a test failed and says why above. Mend it, then press `make test` again"
    require(status in {0, NONE_COLLECTED}, failed)
    hold_floors(() if slow else covered, root)
    print(f"test: {'slow tests' if slow else 'tests'} passed. Next: {'make ci' if slow else 'commit'}")


def _call(paths: Sequence[str], how: Sequence[str], root: Path) -> int:
    # One thread per test process: OpenMP on a busy machine can take a hundred times as long.
    environment = git_environment() | {"OMP_NUM_THREADS": "1"}
    command = ["pytest", "--numprocesses", "auto", *how, *paths]
    return subprocess.run(command, cwd=root, env=environment, check=False).returncode if paths else NONE_COLLECTED


def hold_floors(folders: Sequence[str], root: Path) -> None:
    """Refuse members whose tests reach less of their code than `fail_under` in their own pyproject.toml asks; drafts may."""
    below = []
    for folder in folders:
        tools = read_toml(root / folder / "pyproject.toml").get("tool", {})
        floor = tools.get("coverage", {}).get("report", {}).get("fail_under", 0)
        command = f"coverage report --include={folder}/src/* --format=total --fail-under={floor}"
        held = floor and not tools.get("onebutton", {}).get("draft")
        if held and (done := call(*command.split(), folder=root)).returncode:
            below.append(f"{folder} {(done.stdout.split() or ['nothing'])[0]} %, at least {floor} %")
    mend = "Write tests of the lines named above; a lower `fail_under` is a pull request of its own (OB411)"
    require(not below, f"the tests reach too little code: {'; '.join(below)}. {mend}")


def examine(member: Member, root: Path) -> tuple[str, str]:
    """Hold a member to what it declares by running its tests: `passed`, `failed` or `NOT RUN`, and what its tools said.

    Its extras are installed, because its tests cover them, and pytest. Programs of the shared environment are not on PATH.
    """
    tests = f"{member.path.as_posix()}/tests"
    if not (root / tests).is_dir():
        return "NOT RUN", "it has no tests"
    only = ["--no-default-groups", "--group", "test", "--package", member.name, "--all-extras"]
    command = ["uv", "run", "--isolated", "--frozen", *only, "pytest", "--quiet", tests]
    path = [part for part in os.environ["PATH"].split(os.pathsep) if Path(part) != root / ".venv/bin"]
    done = call(*command, folder=root, OMP_NUM_THREADS="1", PATH=os.pathsep.join(path))
    if done.returncode:
        return "failed", done.stdout + done.stderr
    return "passed", done.stdout.strip().splitlines()[-1]


def run_alone(members: Sequence[Member], root: Path = ROOT) -> None:
    """Examine members, as many at once as there are processors, print what came of each, and refuse what did not pass."""
    bad: list[str] = []
    with ThreadPoolExecutor(os.cpu_count()) as pool:
        for member, (result, said) in zip(members, pool.map(lambda one: examine(one, root), members), strict=True):
            print(f"{result:<7}  {member.path}", *said.strip().splitlines(), sep="\n    ", flush=True)
            bad += [member.path.as_posix()] if result != "passed" else []
    mend = "What one imports it declares: `make add PACKAGE=xgboost MEMBER=churn`, for one"
    require(not bad, f"{len(bad)} of {len(members)} members did not pass alone: {', '.join(bad)}. {mend}")
    print(f"test: {len(members)} of {len(members)} members passed alone. Next: commit")
