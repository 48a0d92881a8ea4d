"""Measure what serving a model over HTTP costs: `python benchmarks/serving.py --release DIR` prints tables in Markdown.

Asked by wrk (Debian and Ubuntu: `apt-get install wrk`) over 8 connections, each server with one worker, the same model, the first
golden example as the only row. All run on one machine in one go and are asked in turns; the best turn of each counts, because
whatever else the machine does can only slow one down.

- the echoes run under the same granian, read and check the same body, and write its rows back: one is a bare ASGI function, the
  other a route of Starlette, as an application on this stack is commonly written
- `mlflow models serve` serves MLflow's own ONNX flavour of the same file; it is asked twice, with a row of named values as all
  others are (`dataframe_records`), and with tensors, which spare it the data frame
- BentoML comes into an environment of its own, and runs the same file in onnxruntime
"""

import argparse
import contextlib
import json
import os
import platform
import re
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import Any
from urllib.request import Request, urlopen

HERE = Path(__file__).resolve().parent
ROUNDS, SECONDS, CONNECTIONS = 5, 2, 8
PATIENCE = 90.0  # seconds for a start
FIELDS = "ECHO_RELEASE"
BENTO = """
import json, numpy, onnxruntime, bentoml

@bentoml.service(workers=1, traffic={"max_concurrency": 1000})
class Flights:
    def __init__(self):
        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = 1
        self.session = onnxruntime.InferenceSession("model.onnx", options, providers=["CPUExecutionProvider"])
        self.kinds = {one.name: object if "string" in one.type else numpy.float32 for one in self.session.get_inputs()}

    @bentoml.api
    def predict(self, rows: list[dict]) -> list[float]:
        feed = {name: numpy.array([[row[name]] for row in rows], dtype=kind) for name, kind in self.kinds.items()}
        return self.session.run(None, feed)[-1][:, -1].tolist()
"""


@dataclass(frozen=True)
class Contender:
    """A server that is asked.

    Attributes:
        body: one request, as this server takes it.
    """

    name: str
    url: str
    body: bytes
    process: subprocess.Popen[bytes]


@dataclass(frozen=True)
class Speed:
    """What wrk found; times in milliseconds."""

    rate: float
    p50: float
    p99: float


class NotRunError(Exception):
    """A contender cannot be had here."""


async def bare_echo(_: Any, receive: Any, send: Any) -> None:
    """Read, check and write back with nothing around it: the most that any ASGI server could reach."""
    message = await receive()
    body = message["body"]
    while message.get("more_body"):
        message = await receive()
        body += message["body"]
    content = _encode({"rows": _read(body)})
    await send({"type": "http.response.start", "status": 200, "headers": [(b"content-type", b"application/json")]})
    await send({"type": "http.response.body", "body": content})


if FIELDS in os.environ:  # in the process of the echo
    import msgspec
    from starlette.applications import Starlette
    from starlette.responses import Response
    from starlette.routing import Route

    from onebutton_serving.rows import Reader
    from onebutton_serving.schema import read_schema

    _read, _encode = Reader(read_schema(Path(os.environ[FIELDS]))).read, msgspec.json.Encoder().encode

    async def _echo(request: Any) -> Response:
        return Response(_encode({"rows": _read(await request.body())}), media_type="application/json")

    starlette_echo = Starlette(routes=[Route("/", _echo, methods=["POST"])])


def free_port() -> int:
    """Find a port that nobody listens on right now."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        port: int = server.getsockname()[1]
        return port


def environment(**more: str) -> dict[str, str]:
    """Leave out what slows Python down or sets up a server."""
    foreign = ("ONEBUTTON_", "BUTTON_", "PYTHONDONTWRITEBYTECODE", "VIRTUAL_ENV", "PYTHONPATH")
    return {name: text for name, text in os.environ.items() if not name.startswith(foreign)} | more


@contextlib.contextmanager
def running(name: str, command: list[str], url: str, body: bytes, folder: Path, **more: str) -> Iterator[Contender]:
    """Start a server, wait until it answers, and end it afterwards.

    Raises:
        NotRunError: it does not answer in time.
    """
    said = folder / f"{re.sub(r'[^a-z]', '', name.lower())}.txt"
    with said.open("wb") as output:
        process = subprocess.Popen(
            command, stdout=output, stderr=output, cwd=folder, env=environment(**more), start_new_session=True
        )
    try:
        until = time.monotonic() + PATIENCE
        while not answers(url, body):
            if process.poll() is not None or time.monotonic() > until:
                lines = said.read_text(encoding="utf-8", errors="replace").strip().splitlines() or ["it said nothing"]
                message = f"{name} does not start: {lines[-1]}"
                raise NotRunError(message)
            time.sleep(0.2)
        yield Contender(name, url, body, process)
    finally:
        with contextlib.suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGTERM)
        process.wait()


def answers(url: str, body: bytes) -> bool:
    """Whether a server answers a prediction."""
    try:
        with urlopen(Request(url, body, {"content-type": "application/json"}), timeout=10) as answer:  # noqa: S310
            return bool(answer.status == 200)  # noqa: PLR2004
    except OSError:
        return False


def ours(release: Path, body: bytes, folder: Path, workers: int = 1) -> contextlib.AbstractContextManager[Contender]:
    """Start our server."""
    port, state = free_port(), folder / f"state-{workers}"
    command = [sys.executable, "-m", "onebutton_serving", "--release", str(release), "--port", str(port)]
    command += ["--state", str(state), "--workers", str(workers)]
    return running(f"ours {workers}", command, f"http://127.0.0.1:{port}/v1/predict", body, folder)


def echo(name: str, release: Path, body: bytes, folder: Path) -> contextlib.AbstractContextManager[Contender]:
    """Start an echo."""
    port = free_port()
    command = [sys.executable, "-m", "granian", f"serving:{name}", "--interface", "asginl", "--port", str(port)]
    command += ["--workers", "1", "--loop", "uvloop", "--no-ws", "--no-log", "--working-dir", str(HERE)]
    return running(name, command, f"http://127.0.0.1:{port}/", body, folder, **{FIELDS: str(release)})


def mlflow_server(release: Path, row: dict[str, Any], folder: Path) -> contextlib.AbstractContextManager[Contender]:
    """Save MLflow's ONNX flavour of the model with the signature that the mirror gives it, and serve it as MLflow says."""
    import mlflow.onnx
    import onnx

    from onebutton_tracking.model import signature

    port, saved = free_port(), folder / "mlflow"
    model = onnx.load(str(release / "model.onnx"))
    save: Any = mlflow.onnx.save_model
    save(model, saved, signature=signature(model), pip_requirements=["onnxruntime"])
    command = ["mlflow", "models", "serve", "--model-uri", str(saved), "--env-manager", "local", "--port", str(port)]
    command[0] = str(Path(sys.executable).with_name("mlflow"))
    body = json.dumps({"dataframe_records": [row]}).encode()
    path = f"{Path(sys.executable).parent}:{os.environ['PATH']}"
    more = {"PATH": path, "MLFLOW_DISABLE_TELEMETRY": "true"}
    return running("mlflow", command, f"http://127.0.0.1:{port}/invocations", body, folder, **more)


def tensors(row: dict[str, Any]) -> bytes:
    """Write a row as MLflow takes it without making a data frame of it, its quickest way."""
    return json.dumps({"inputs": {name: [[value]] for name, value in row.items()}}).encode()


def bento_server(release: Path, body: bytes, folder: Path) -> contextlib.AbstractContextManager[Contender]:
    """Serve the model with BentoML.

    Raises:
        NotRunError: there is no uv to fetch it.
    """
    uv = shutil.which("uv") or shutil.which("uv", path=str(HERE.parent / ".tools/bin"))
    if uv is None:
        message = "BentoML needs uv on PATH to come into an environment of its own"
        raise NotRunError(message)
    home = folder / "bento"
    home.mkdir()
    (home / "service.py").write_text(BENTO, encoding="utf-8")
    shutil.copyfile(release / "model.onnx", home / "model.onnx")
    port = free_port()
    command = [
        uv,
        "run",
        "--isolated",
        "--no-project",
        "--with",
        "bentoml",
        "--with",
        "onnxruntime",
        "--directory",
        str(home),
    ]
    command += ["bentoml", "serve", "service:Flights", "--port", str(port), "--host", "127.0.0.1"]
    more = {"BENTOML_DO_NOT_TRACK": "true", "BENTOML_HOME": str(home / "home")}
    return running("BentoML", command, f"http://127.0.0.1:{port}/predict", body, folder, **more)


def ask(contender: Contender, folder: Path, seconds: int = SECONDS) -> Speed:
    """Ask a server for some seconds.

    Raises:
        AssertionError: an answer was an error.
    """
    script = folder / "ask.lua"
    body = contender.body.decode().replace("\\", "\\\\").replace('"', '\\"')
    script.write_text(
        f'wrk.method="POST"\nwrk.headers["content-type"]="application/json"\nwrk.body="{body}"\n', encoding="utf-8"
    )
    command = ["wrk", "--threads", "1", "--connections", str(CONNECTIONS), "--duration", f"{seconds}s", "--latency"]
    done = subprocess.run(
        [*command, "--script", str(script), contender.url], capture_output=True, text=True, check=True
    )
    if "Non-2xx" in done.stdout:
        raise AssertionError(done.stdout)
    found = {name: _milliseconds(done.stdout, name) for name in ("50%", "99%")}
    rate = re.search(r"Requests/sec:\s+([\d.]+)", done.stdout)
    if rate is None:
        raise AssertionError(done.stdout)
    return Speed(float(rate[1]), found["50%"], found["99%"])


def _milliseconds(text: str, name: str) -> float:
    found = re.search(rf"\s{name}\s+([\d.]+)(us|ms|s)\n", text)
    if found is None:
        raise AssertionError(text)
    return float(found[1]) * {"us": 0.001, "ms": 1.0, "s": 1000.0}[found[2]]


def best(turns: list[Speed]) -> Speed:
    """Take the best of each figure."""
    return Speed(max(one.rate for one in turns), min(one.p50 for one in turns), min(one.p99 for one in turns))


def side_by_side(release: Path, row: dict[str, Any], folder: Path) -> None:
    """Print how many requests each server answers."""
    body = json.dumps({"rows": [row]}).encode()
    with contextlib.ExitStack() as stack:
        contenders = [stack.enter_context(ours(release, body, folder))]
        contenders += [
            stack.enter_context(echo(name, release, body, folder)) for name in ("bare_echo", "starlette_echo")
        ]
        missing = []
        for start in (partial(mlflow_server, release, row, folder), partial(bento_server, release, body, folder)):
            try:
                contenders.append(stack.enter_context(start()))
            except NotRunError as error:
                missing.append(str(error))
        contenders += [
            replace(one, name="mlflow tensors", body=tensors(row)) for one in contenders if one.name == "mlflow"
        ]
        for one in contenders:
            ask(one, folder, 1)
        turns: dict[str, list[Speed]] = {one.name: [] for one in contenders}
        for _ in range(ROUNDS):
            for one in contenders:
                turns[one.name].append(ask(one, folder))
    found = {name: best(some) for name, some in turns.items()}
    mine = found["ours 1"]
    names = {
        "ours 1": "ours",
        "bare_echo": "bare ASGI echo",
        "starlette_echo": "Starlette echo",
        "mlflow": "`mlflow models serve`, a row by names",
        "mlflow tensors": "`mlflow models serve`, tensors by names",
        "BentoML": "BentoML",
    }
    columns = ("one row, 8 connections", "requests/s", "p50, ms", "p99, ms", "our requests/s to its", "its p99 to ours")
    print(f"| {' | '.join(columns)} |\n|---|--:|--:|--:|--:|--:|")
    for name, speed in found.items():
        ratio = f"{mine.rate / speed.rate:.2f} | {speed.p99 / mine.p99:.1f}" if name != "ours 1" else " | "
        print(f"| {names[name]} | {speed.rate:,.0f} | {speed.p50:.2f} | {speed.p99:.2f} | {ratio} |")
    for why in missing:
        print(f"\nNOT RUN: {why}")


def growth(release: Path, rows: list[dict[str, Any]], folder: Path) -> None:
    """Print how the server grows with rows in a request and with workers."""
    print("\n| rows in a request | workers | requests/s | rows/s | p50, ms | p99, ms |\n|--:|--:|--:|--:|--:|--:|")
    for workers in (1, 2):
        for count in (1, 10, 100, 1000):
            body = json.dumps({"rows": (rows * 1000)[:count]}).encode()
            with ours(release, body, folder, workers) as contender:
                ask(contender, folder, 1)
                speed = best([ask(contender, folder) for _ in range(2)])
            figures = f"{speed.rate:,.0f} | {speed.rate * count:,.0f} | {speed.p50:.2f} | {speed.p99:.2f}"
            print(f"| {count:,} | {workers} | {figures} |", flush=True)


def main() -> int:
    """Print the tables.

    Returns:
        1 when wrk is not here.
    """
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument(
        "--release", type=Path, required=True, help="a sealed release: .releases/flight_delays/<version>"
    )
    release = parser.parse_args().release.resolve()
    if shutil.which("wrk") is None:
        print("NOT RUN: wrk is not here. Debian and Ubuntu: apt-get install wrk", file=sys.stderr)
        return 1
    rows = [one["input"] for one in json.loads((release / "golden.json").read_text(encoding="utf-8"))["rows"]]
    print(f"{platform.system()} {platform.machine()}, {os.cpu_count()} cores, Python {platform.python_version()}\n")
    with tempfile.TemporaryDirectory(prefix="onebutton-benchmark-") as name:
        side_by_side(release, rows[0], Path(name))
        growth(release, rows, Path(name))
    return 0


if __name__ == "__main__":
    sys.exit(main())
