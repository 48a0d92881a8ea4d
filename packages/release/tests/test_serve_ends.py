"""`make serve` that is ended by a signal leaves no process behind."""

import json
import os
import signal
import subprocess
import sys
import time
import urllib.request
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

# To all, as a terminal does, or to make alone. That make was killed, only Linux tells what it started.
ENDS = {
    "Ctrl-C": (os.killpg, signal.SIGINT),
    "the terminal is closed": (os.killpg, signal.SIGHUP),
    "make is told to end": (os.kill, signal.SIGTERM),
    "all are told to end": (os.killpg, signal.SIGTERM),
} | ({"make is killed": (os.kill, signal.SIGKILL)} if sys.platform == "linux" else {})
SERVE = """
import sys
from pathlib import Path
from onebutton_release.serve import serve

serve(Path.cwd(), "flights", "local", int(sys.argv[1]))
"""


def is_there(group: int) -> bool:
    try:
        os.killpg(group, 0)
    except ProcessLookupError:
        return False
    return True


def is_ready(port: int) -> bool:
    try:
        with urllib.request.urlopen(f"http://127.0.0.1:{port}/v1/model", timeout=5) as answer:
            return bool(json.load(answer)["version"])
    except OSError:
        return False


def until(holds: Callable[[], bool], words: str) -> None:
    deadline = time.monotonic() + 30
    while not holds():
        assert time.monotonic() < deadline, words
        time.sleep(0.02)


@pytest.fixture
def port(
    repo: Path, make_release: Callable[[str], Path], deployed: Callable[[str], None], free_port: Callable[[], int]
) -> int:
    """Where `make serve` will serve a release that is in service."""
    make_release("20261101-0123abcd")
    deployed("20261101-0123abcd")
    port = free_port()
    (repo / "serve.py").write_text(SERVE, encoding="utf-8")
    (repo / "Makefile").write_text(f"serve:\n\t@{sys.executable} serve.py {port}\n", encoding="utf-8")
    return port


@pytest.fixture(autouse=True)
def hangups_are_heard() -> Iterator[None]:
    """What `nohup` starts ignores them, and so do its children."""
    before = signal.signal(signal.SIGHUP, signal.SIG_DFL)
    yield
    signal.signal(signal.SIGHUP, before)


@pytest.mark.slow
@pytest.mark.parametrize("ready", [True, False], ids=["when it is ready", "while it starts"])
@pytest.mark.parametrize("end", ENDS)
def test_no_process_is_left(repo: Path, port: int, end: str, *, ready: bool) -> None:
    send, number = ENDS[end]
    with (repo / "said").open("wb") as said:
        make = subprocess.Popen(["make", "serve"], cwd=repo, stdout=said, stderr=said, start_new_session=True)
    try:
        if ready:
            until(lambda: is_ready(port), "it is not ready")
        else:
            until(lambda: "serving" in (repo / "said").read_text(encoding="utf-8"), "it says nothing")
        send(make.pid, number)
        assert make.wait(20) is not None  # a worker that missed it would be killed after 30 seconds
        until(lambda: not is_there(make.pid), "a process is left")
    finally:
        if is_there(make.pid):
            os.killpg(make.pid, signal.SIGKILL)


@pytest.mark.slow
def test_what_nohup_starts_outlives_its_terminal(repo: Path, port: int) -> None:
    signal.signal(signal.SIGHUP, signal.SIG_IGN)  # as nohup does; what is started inherits it
    with (repo / "said").open("wb") as said:
        make = subprocess.Popen(["make", "serve"], cwd=repo, stdout=said, stderr=said, start_new_session=True)
    try:
        until(lambda: is_ready(port), "it is not ready")
        os.killpg(make.pid, signal.SIGHUP)
        time.sleep(2)
        assert is_ready(port)
        os.killpg(make.pid, signal.SIGTERM)
        assert make.wait(20) is not None
        until(lambda: not is_there(make.pid), "a process is left")
    finally:
        if is_there(make.pid):
            os.killpg(make.pid, signal.SIGKILL)


@pytest.mark.slow
@pytest.mark.usefixtures("port")
def test_at_whatever_moment_of_its_start_it_is_told_to_end_it_does(repo: Path) -> None:
    """Also in the instant in which a worker is forked, which must not miss it."""
    for moment in range(16):
        with (repo / "said").open("wb") as said:
            make = subprocess.Popen(["make", "serve"], cwd=repo, stdout=said, stderr=said, start_new_session=True)
        try:
            until(lambda: "serving" in (repo / "said").read_text(encoding="utf-8"), "it says nothing")
            time.sleep(0.02 * moment)
            os.killpg(make.pid, signal.SIGTERM)
            assert make.wait(20) is not None
        finally:
            if is_there(make.pid):
                os.killpg(make.pid, signal.SIGKILL)
