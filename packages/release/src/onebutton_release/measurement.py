"""Measure the server on a model, before anybody depends on it: start-up, answers a second, how long an answer takes, memory.

The real server is booted on the candidate, as it will be in service. The best of three rounds counts, because whatever else a
machine does can only slow it down; a loop of pure arithmetic before each round says how noisy the machine was.
"""

from __future__ import annotations

import contextlib
import json
import os
import random
import shutil
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.error import HTTPError
from urllib.request import urlopen

from onebutton_contracts.errors import InputError
from onebutton_evaluation.checks import SERVICE
from onebutton_evaluation.judgement import write_text
from onebutton_release.candidate import service_numbers
from onebutton_release.load import Load, load
from onebutton_serving.openapi import example
from onebutton_serving.schema import read_schema
from onebutton_serving.sealed import digest_of, seal

ROUNDS = 3
SECONDS = 2.0  # of load in each round
CONNECTIONS = 8
PATIENCE = 60.0  # seconds for a start
NOISY = 0.25  # of difference between the calibrations: from here on the numbers say little of a quiet machine


@dataclass(frozen=True)
class Server:
    """A server that was booted for a moment.

    Attributes:
        start_seconds: from its command to its being ready.
    """

    address: str
    process: subprocess.Popen[bytes]
    start_seconds: float


def measured(pipeline: Path, built: Path) -> dict[str, Any]:
    """Return what the server takes with a model, measured unless it was before; written to `service.json`.

    Args:
        pipeline: its folder, where the gates look for the file.
        built: a candidate of it, which is copied: the server checks digests, so the copy is sealed.

    Raises:
        InputError: the server does not start, or fails to answer.
    """
    numbers = service_numbers(pipeline)
    if numbers is None:
        with tempfile.TemporaryDirectory(prefix="onebutton-sealed-") as scratch:
            copy = shutil.copytree(built, Path(scratch) / built.name)
            seal(copy)
            numbers = measure(copy)
        write_text(pipeline / SERVICE, json.dumps(numbers, indent=1) + "\n")
    return numbers


def in_words(numbers: dict[str, Any]) -> str:
    """Say the numbers in a line, and whether the machine was too noisy to believe them."""
    words = (
        f"{numbers['requests_per_second']:,.0f} requests/s, p95 {numbers['p95_ms']:.1f} ms, "
        f"ready in {numbers['start_seconds']:.1f} s, {numbers['memory_mb']:.0f} MB of memory, {numbers['size_mb']:.1f} MB on disk"
    )
    if numbers["noise"] > NOISY:
        words += f"; the machine was noisy (its own arithmetic varied by {numbers['noise']:.0%}): on a quiet one they are better"
    return words


def measure(candidate: Path) -> dict[str, Any]:
    """Boot the server on a release and measure it.

    Args:
        candidate: a release, sealed for the moment, because the server checks digests.

    Returns:
        The content of `service.json`: `requests_per_second`, `p50_ms`, `p95_ms`, `p99_ms`, `start_seconds`, `memory_mb`,
        `size_mb`, and `noise`, the spread of the calibrations.

    Raises:
        InputError: the server does not start, or fails to answer.
    """
    golden = json.loads((candidate / "golden.json").read_text(encoding="utf-8"))["rows"][0]
    body = json.dumps({"rows": [example(read_schema(candidate), golden)]}).encode()
    with boot(candidate) as server:
        load(server.address, body, connections=CONNECTIONS, seconds=0.3)  # caches fill
        rounds, calibrations = [], []
        for _ in range(ROUNDS):
            calibrations.append(calibrate())
            rounds.append(load(server.address, body, connections=CONNECTIONS, seconds=SECONDS))
        memory = _memory(server.process.pid)
    return summary(rounds, calibrations, server.start_seconds, memory, candidate)


def summary(
    rounds: list[Load], calibrations: list[float], start_seconds: float, memory: float, candidate: Path
) -> dict[str, Any]:
    """Take the best round, and say how noisy the machine was.

    Raises:
        InputError: a request failed: a server that fails is not slow, it is broken.
    """
    failed = sum(one.failed for one in rounds)
    if failed or not all(one.requests for one in rounds):
        message = f"{failed} requests to the candidate failed, so it is not fit for service"
        raise InputError(message)
    best = max(rounds, key=lambda one: one.per_second)
    size = sum(path.stat().st_size for path in candidate.rglob("*") if path.is_file())
    return {
        "model_sha256": digest_of(candidate / "model.onnx"),
        "requests_per_second": round(best.per_second, 1),
        "p50_ms": round(min(one.percentile(50) for one in rounds), 3),
        "p95_ms": round(min(one.percentile(95) for one in rounds), 3),
        "p99_ms": round(min(one.percentile(99) for one in rounds), 3),
        "start_seconds": round(start_seconds, 2),
        "memory_mb": round(memory, 1),
        "size_mb": round(size / 1e6, 2),
        "connections": CONNECTIONS,
        "rounds": ROUNDS,
        "noise": round(max(calibrations) / min(calibrations) - 1, 3),
    }


def calibrate() -> float:
    """Time a loop that always takes the same work, in seconds."""
    begun = time.perf_counter()
    sum(number * number for number in range(300_000))
    return time.perf_counter() - begun


@contextlib.contextmanager
def boot(candidate: Path) -> Iterator[Server]:
    """Start the server on a release, on a port of its own, and end it afterwards.

    Raises:
        InputError: it is not ready in time; its own words say why.
    """
    port = free_port()
    address = f"http://127.0.0.1:{port}"
    with tempfile.TemporaryDirectory(prefix="onebutton-measure-") as state:
        words = ["--release", str(candidate), "--port", str(port), "--state", state]
        environment = {name: text for name, text in os.environ.items() if not name.startswith("ONEBUTTON_")}
        output = Path(state) / "said"
        begun = time.perf_counter()
        with output.open("wb") as said:
            process = subprocess.Popen(
                [sys.executable, "-m", "onebutton_serving", *words], env=environment, stdout=said, stderr=said
            )
        try:
            _wait_until_ready(process, address, begun, output)
            yield Server(address, process, time.perf_counter() - begun)
        finally:
            process.terminate()
            try:
                process.wait(10)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()


def _wait_until_ready(process: subprocess.Popen[bytes], address: str, begun: float, output: Path) -> None:
    while time.perf_counter() - begun < PATIENCE:
        if process.poll() is not None:
            break
        if _ready(address):
            return
        time.sleep(0.02)
    last = output.read_text(encoding="utf-8", errors="replace").strip().splitlines() or ["it said nothing"]
    message = f"the server did not become ready on the candidate: {last[-1]}"
    raise InputError(message)


def _ready(address: str) -> bool:
    try:
        with urlopen(f"{address}/health/ready", timeout=2):  # noqa: S310  this machine
            return True
    except HTTPError as error:
        error.close()  # it holds the connection
        return False
    except OSError:
        return False


def free_port() -> int:
    """Find a port that nobody listens on, below those that systems lend to clients: one of these could be gone in a moment.

    Raises:
        InputError: there is none.
    """
    for port in random.sample(range(15_000, 32_000), 1_000):
        with contextlib.suppress(OSError), socket.create_server(("127.0.0.1", port)):
            return port
    raise InputError("no port between 15000 and 32000 is free, so no server could be started to be measured")


def _memory(pid: int) -> float:
    """Sum up the resident memory of a process and its children, in MB; 0 where the system does not say."""
    found = subprocess.run(["ps", "-eo", "pid=,ppid=,rss="], capture_output=True, text=True, check=False).stdout
    rows = [tuple(int(word) for word in line.split()) for line in found.splitlines()]
    return sum(rss for own, parent, rss in rows if pid in (own, parent)) / 1000
