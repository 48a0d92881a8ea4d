"""Killed inside building, sealing, publishing, moving and rolling back: the old release is in service or the new one, whole."""

import os
import shutil
import signal
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from onebutton_release.deploy import deploy
from onebutton_release.moves import rollback
from onebutton_release.target import FILE, find_target
from onebutton_serving.history import chain_fault, in_service
from onebutton_serving.loading import load_release
from onebutton_serving.sealed import ReleaseError

pytestmark = pytest.mark.slow
A, B = "20261101-aaaaaaaa", "20261102-bbbbbbbb"
MOMENTS = 8  # of each step
ROOT = Path(__file__).parents[3]
PROGRAM = """
import os, signal, sys
from pathlib import Path

import onebutton_release.deploy as deploying
import onebutton_release.moves as going_back
from onebutton_release.target import find_target
from onebutton_serving.release_store import ReleaseStore
from packages.release.tests import conftest

step, moment, count = sys.argv[1], int(sys.argv[2]), 0


def inside(*_):
    global count
    count += 1
    if count == moment:
        os.kill(os.getpid(), signal.SIGKILL)


def watched(where, name):
    work = getattr(where, name)

    def run(*arguments, **named):  # the step has begun: each call that it makes is a moment
        sys.setprofile(inside)
        try:
            return work(*arguments, **named)
        finally:
            sys.setprofile(None)

    setattr(where, name, run)


target, version = find_target(Path.cwd(), "flights", "production", "production"), sys.argv[3]
watched(*{
    "build": (conftest, "write_release"),
    "seal": (conftest, "seal"),
    "publish": (ReleaseStore, "publish"),
    "move": (deploying, "record"),
    "roll back": (going_back, "record"),
}[step])
if step in ("build", "seal"):
    conftest.write_release(Path("scratch") / version)
elif step == "roll back":
    going_back.rollback(target, why="killed")
else:
    deploying.deploy(target, version=version)
print(count)
"""


def press(step: str, moment: int) -> subprocess.CompletedProcess[str]:
    """Run a program that kills itself at a moment inside a step, as SIGKILL from elsewhere would; at 0 it ends."""
    command = [sys.executable, "-c", PROGRAM, step, str(moment), B]
    environment = os.environ | {"PYTHONPATH": str(ROOT)}
    return subprocess.run(command, env=environment, capture_output=True, text=True, check=False)


@pytest.fixture
def production(repo: Path, make_release: Callable[..., Path], deployed: Callable[[str], None]) -> Path:
    """Two releases that were in service in `local`, the first of them in production."""
    for number, version in enumerate((A, B), start=1):
        make_release(version, slope=number / 1000)
        deployed(version)
    (repo / "prod").mkdir()
    with (repo / FILE).open("a", encoding="utf-8") as stream:
        stream.write(
            '[environments.production]\nstore = "prod"\nmay_deploy = ["*"]\non_call = "Ann"\nafter = "local"\n'
        )
        stream.write("laptop = true\n")
    put(repo, A)
    return repo


def put(repo: Path, version: str) -> None:
    deploy(find_target(repo, "flights", "production", "production"), version=version)


def moments(step: str) -> list[int]:
    done = press(step, 0)
    assert done.returncode == 0, done.stderr
    count = int(done.stdout.split()[-1])
    return [1 + count * number // MOMENTS for number in range(MOMENTS)]


@pytest.mark.parametrize("step", ["publish", "move", "roll back"])
def test_killed_inside_a_step_the_old_release_is_in_service_or_the_new_one(production: Path, step: str) -> None:
    target = find_target(production, "flights", "production", "production")
    old, new = (B, A) if step == "roll back" else (A, B)

    def again() -> None:
        """As it was before the step."""
        current = in_service(target.store)
        if step == "roll back":
            put(production, B)
        elif current and current.after == B:
            rollback(target, why="again")
        if step == "publish":
            shutil.rmtree(production / "prod/flights" / B, ignore_errors=True)

    again()
    seen = []
    for moment in moments(step):
        again()
        assert press(step, moment).returncode == -signal.SIGKILL
        last = in_service(target.store)
        assert last is not None
        seen.append(last.after)
        assert chain_fault(target.store) == ""
        assert load_release(target.fetch(last.after)).version == last.after
    assert set(seen) <= {old, new}
    again()
    assert press(step, 0).returncode == 0
    last = in_service(target.store)
    assert last is not None
    assert last.after == new


@pytest.mark.parametrize("step", ["build", "seal"])
def test_killed_while_a_release_is_built_or_sealed_it_is_whole_or_none(production: Path, step: str) -> None:
    target = find_target(production, "flights", "production", "production")
    folder = production / "scratch" / B
    whole = 0
    for moment in moments(step):
        shutil.rmtree(folder.parent)
        assert press(step, moment).returncode == -signal.SIGKILL
        try:
            whole += load_release(folder).version == B
        except ReleaseError as error:
            assert "cannot be read" in str(error)  # noqa: PT017  whole, or refused as never sealed
        last = in_service(target.store)
        assert last is not None
        assert last.after == A
        folder.parent.mkdir(exist_ok=True)
    assert whole < MOMENTS
