"""Measure the server on a model, before anybody depends on it: start-up, answers a second, how long an answer takes, memory.

The real server is booted on the candidate, as it will be in service. The best of three rounds counts, because whatever else a
machine does can only slow it down; a loop of pure arithmetic before each round says how noisy the machine was.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import math
import os
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from urllib.error import HTTPError
from urllib.parse import urlsplit
from urllib.request import urlopen

from onebutton_contracts.errors import InputError, require
from onebutton_evaluation.checks import SERVICE
from onebutton_evaluation.judgement import write_text
from onebutton_release.moves import say
from onebutton_serving.openapi import golden_request
from onebutton_serving.sealed import digest_of, seal

ROUNDS = 3
SECONDS = 2.0  # of load in each round
CONNECTIONS = 8
PATIENCE = 60.0  # seconds for a start
NOISY = 0.25  # of difference between the calibrations: from here on the numbers say little of a quiet machine


def measured(pipeline: Path, built: Path) -> dict[str, Any]:
    """Return what the server takes with a model, measured unless it was before; written to the pipeline's `service.json`.

    The candidate that was built is sealed, as the server checks digests.
    """
    model = digest_of(built / "model.onnx")
    with contextlib.suppress(OSError, ValueError):  # nothing was measured yet
        known: dict[str, Any] = json.loads((pipeline / SERVICE).read_text(encoding="utf-8"))
        if known.get("model_sha256") == model:
            return known
    say("measuring the server on it, a few seconds")
    seal(built)
    numbers = measure(built)
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


@dataclass
class Load:
    """What a load on a server took."""

    failed: int = 0  # requests answered with anything but 200, or not at all
    seconds: float = 0.0  # from the first to the last
    milliseconds: list[float] = field(default_factory=list)  # of each request that was answered
    versions: list[str] = field(default_factory=list)  # that answered, in the order in which each first did

    @property
    def per_second(self) -> float:
        """Requests a second."""
        return len(self.milliseconds) / self.seconds

    def percentile(self, percent: float) -> float:
        """Return the time, in milliseconds, within which so many percent of the requests were answered."""
        count = len(self.milliseconds)
        return sorted(self.milliseconds)[min(count - 1, int(count * percent / 100))] if count else math.inf


def measure(release: Path) -> dict[str, Any]:
    """Boot the server on a sealed release and measure it: the content of `service.json`.

    Raises:
        InputError: the server does not start, or fails to answer.
    """
    body = golden_request(release).encode()
    rounds, calibrations = [], []
    with boot(release) as (address, pid, start_seconds):
        load(address, body, seconds=0.3)  # caches fill
        for _ in range(ROUNDS):
            begun = time.perf_counter()
            sum(number * number for number in range(300_000))
            calibrations.append(time.perf_counter() - begun)
            rounds.append(load(address, body, seconds=SECONDS))
        memory = _memory(pid)
    return summary(rounds, calibrations, start_seconds, memory, release)


def summary(
    rounds: Sequence[Load], calibrations: Sequence[float], start_seconds: float, memory: float, release: Path
) -> dict[str, Any]:
    """Take the best round, and say how noisy the machine was; a server that fails is not slow, it is broken."""
    failed = sum(one.failed for one in rounds)
    answers = not failed and all(one.milliseconds for one in rounds)
    require(answers, f"{failed} requests to the candidate failed, so it is not fit for service")
    size = sum(path.stat().st_size for path in release.rglob("*") if path.is_file())
    return {
        "model_sha256": digest_of(release / "model.onnx"),
        "requests_per_second": round(max(one.per_second for one in rounds), 1),
        **{f"p{percent}_ms": round(min(one.percentile(percent) for one in rounds), 3) for percent in (50, 95, 99)},
        "start_seconds": round(start_seconds, 2),
        "memory_mb": round(memory, 1),
        "size_mb": round(size / 1e6, 2),
        "connections": CONNECTIONS,
        "rounds": ROUNDS,
        "noise": round(max(calibrations) / min(calibrations) - 1, 3),
    }


@contextlib.contextmanager
def boot(release: Path) -> Iterator[tuple[str, int, float]]:
    """Serve a release on a free port; give the address, the process, and the seconds from its command to its being ready."""
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    address = f"http://127.0.0.1:{port}"
    environment = {name: text for name, text in os.environ.items() if not name.startswith("ONEBUTTON_")}
    with tempfile.TemporaryDirectory(prefix="onebutton-measure-") as state, tempfile.TemporaryFile() as said:
        words = ["--release", str(release), "--port", str(port), "--state", state]
        begun = time.perf_counter()
        process = subprocess.Popen(
            [sys.executable, "-m", "onebutton_serving", *words], env=environment, stdout=said, stderr=said
        )
        try:
            while not _is_ready(address):
                if process.poll() is not None or time.perf_counter() - begun > PATIENCE:
                    said.seek(0)
                    last = said.read().decode(errors="replace").strip().splitlines() or ["it said nothing"]
                    raise InputError(f"the server did not become ready on the candidate: {last[-1]}")
                time.sleep(0.02)
            yield address, process.pid, time.perf_counter() - begun
        finally:
            process.terminate()
            process.wait()


def _is_ready(address: str) -> bool:
    try:
        with urlopen(f"{address}/health/ready", timeout=2):  # noqa: S310  this machine
            return True
    except HTTPError as error:
        error.close()  # it holds the connection
    except OSError:
        pass
    return False


def _memory(pid: int) -> float:
    """Sum up the resident memory of a process and its children, in MB; 0 where the system does not say."""
    found = subprocess.run(["ps", "-eo", "pid=,ppid=,rss="], capture_output=True, text=True, check=False).stdout
    rows = [tuple(int(word) for word in line.split()) for line in found.splitlines()]
    return sum(rss for own, parent, rss in rows if pid in (own, parent)) / 1000


def load(address: str, body: bytes, *, seconds: float) -> Load:
    """Ask a server for predictions with one body again and again over some connections, as fast as they are answered."""
    place = urlsplit(address)
    host, port = place.hostname or "127.0.0.1", place.port or 80
    head = f"POST /v1/predict HTTP/1.1\r\nhost: {host}:{port}\r\ncontent-type: application/json\r\ncontent-length: {len(body)}"
    request, found, begun = f"{head}\r\n\r\n".encode() + body, Load(), time.perf_counter()

    async def ask() -> None:
        await asyncio.gather(*(_connection(host, port, request, begun + seconds, found) for _ in range(CONNECTIONS)))

    asyncio.run(ask())
    found.seconds = time.perf_counter() - begun
    return found


async def _connection(host: str, port: int, request: bytes, until: float, found: Load) -> None:
    writer: asyncio.StreamWriter | None = None
    while (begun := time.perf_counter()) < until:
        try:
            if writer is None:
                reader, writer = await asyncio.open_connection(host, port)
            writer.write(request)
            head = await asyncio.wait_for(reader.readuntil(b"\r\n\r\n"), timeout=30)
            fields = {key.lower(): value for key, _, value in (line.partition(b": ") for line in head.split(b"\r\n"))}
            await reader.readexactly(int(fields.get(b"content-length", b"0")))
        except (OSError, asyncio.IncompleteReadError, TimeoutError):
            found.failed += 1
            writer = None
            await asyncio.sleep(0.01)
            continue
        found.failed += b" 200 " not in head[:16]
        found.milliseconds.append((time.perf_counter() - begun) * 1000)
        if (version := fields.get(b"x-model-version", b"").decode()) not in found.versions:
            found.versions.append(version)
    if writer is not None:
        writer.close()
