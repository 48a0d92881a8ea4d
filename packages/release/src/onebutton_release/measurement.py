"""Measure the server on a model, before anybody depends on it: start-up, answers a second, how long an answer takes, memory.

The real server is booted on the candidate, as it will be in service. The best of three rounds counts, because whatever else a
machine does can only slow it down.
"""

import json
import os
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing, contextmanager, suppress
from http import HTTPStatus
from http.client import HTTPConnection, HTTPException
from pathlib import Path
from statistics import quantiles
from typing import Any
from urllib.parse import urlsplit

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


def measured(pipeline: Path, built: Path) -> dict[str, Any]:
    """Return what the server takes with a model, measured unless it was before; written to the pipeline's `service.json`.

    The candidate that was built is sealed, as the server checks digests.
    """
    model = digest_of(built / "model.onnx")
    with suppress(OSError, ValueError):  # nothing was measured yet
        known: dict[str, Any] = json.loads((pipeline / SERVICE).read_text(encoding="utf-8"))
        if known.get("model_sha256") == model:
            return known
    say("measuring the server on it, a few seconds")
    seal(built)
    numbers = {"model_sha256": model, **measure(built)}
    write_text(pipeline / SERVICE, json.dumps(numbers, indent=1) + "\n")
    return numbers


def in_words(numbers: dict[str, Any]) -> str:
    """Say the numbers in a line."""
    return (
        f"{numbers['requests_per_second']:,.0f} requests/s, p95 {numbers['p95_ms']:.1f} ms, "
        f"ready in {numbers['start_seconds']:.1f} s, {numbers['memory_mb']:.0f} MB of memory, {numbers['size_mb']:.1f} MB on disk"
    )


def measure(release: Path) -> dict[str, float]:
    """Boot the server on a sealed release and measure it.

    Raises:
        InputError: the server does not start, or fails to answer: then it is not slow, it is broken.
    """
    body = golden_request(release)
    with boot(release) as (address, pid, start_seconds):
        load(address, body, seconds=0.3)  # caches fill
        rounds = [[milliseconds for milliseconds, _ in load(address, body, seconds=SECONDS)] for _ in range(ROUNDS)]
        found = subprocess.run(["ps", "-eo", "pid=,ppid=,rss="], capture_output=True, text=True, check=False).stdout
    processes = [tuple(map(int, line.split())) for line in found.splitlines()]  # none where the system does not say
    size = sum(path.stat().st_size for path in release.rglob("*") if path.is_file())
    percentiles = [quantiles(one, n=100, method="inclusive") for one in rounds]
    return {
        "requests_per_second": round(max(map(len, rounds)) / SECONDS, 1),
        **{f"p{percent}_ms": round(min(one[percent - 1] for one in percentiles), 3) for percent in (50, 95, 99)},
        "start_seconds": round(start_seconds, 2),
        "memory_mb": round(sum(rss for own, parent, rss in processes if pid in (own, parent)) / 1000, 1),
        "size_mb": round(size / 1e6, 2),
    }


@contextmanager
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
    with suppress(OSError), closing(HTTPConnection(urlsplit(address).netloc, timeout=2)) as connection:
        connection.request("GET", "/health/ready")
        return connection.getresponse().status == HTTPStatus.OK
    return False


def load(address: str, body: str, *, seconds: float) -> list[tuple[float, str]]:
    """Ask a server for predictions with one body again and again over some connections, as fast as they are answered.

    Returns:
        Of each request how many milliseconds it took, and the version that answered.

    Raises:
        InputError: a request was not answered with 200.
    """
    end = time.perf_counter() + seconds

    def ask(_: int) -> Iterator[tuple[float, str]]:
        with closing(HTTPConnection(urlsplit(address).netloc, timeout=30)) as connection:
            while (begun := time.perf_counter()) < end:
                connection.request("POST", "/v1/predict", body.encode(), {"content-type": "application/json"})
                answer = connection.getresponse()
                said = answer.read()
                require(answer.status == HTTPStatus.OK, f"a request failed, so it is not fit for service: {said!r}")
                yield (time.perf_counter() - begun) * 1000, answer.headers["x-model-version"]

    try:
        with ThreadPoolExecutor(CONNECTIONS) as pool:
            answers = pool.map(lambda number: list(ask(number)), range(CONNECTIONS))
            return [one for of_connection in answers for one in of_connection]
    except (OSError, HTTPException) as error:
        raise InputError(f"a request failed, so it is not fit for service: {error}") from None
