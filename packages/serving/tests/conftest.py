"""Real releases of two small models, an in-process client, and real servers."""

from __future__ import annotations

import asyncio
import hashlib
import http.client
import json
import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from onebutton_serving.app import App
from onebutton_serving.history import Move, last_move, now, record
from onebutton_serving.release_store import ReleaseStore
from onebutton_serving.sealed import MANIFEST, seal

HERE = Path(__file__).parent
FIRST, SECOND = "20261124-0a0a0a0a", "20261125-0b0b0b0b"
JSON = {"content-type": "application/json"}
SCHEMA: dict[str, Any] = {
    "format": 1,
    "pipeline": "flights",
    "title": "Flights: late by 15 minutes or more",
    "input_contract": "features 1.0.0",
    "output_contract": "predictions 1.0.0",
    "inputs": [
        {"name": "carrier", "type": "string", "pattern": "^[A-Z0-9]{2}$", "description": "airline"},
        {"name": "origin", "type": "string", "allowed": ["EWR", "JFK", "LGA"]},
        {"name": "distance", "type": "number", "unit": "miles", "minimum": 1, "maximum": 5500},
        {
            "name": "departure_minute",
            "type": "integer",
            "unit": "minutes after midnight",
            "minimum": 0,
            "maximum": 1439,
        },
        {
            "name": "temp",
            "type": "number",
            "required": False,
            "unit": "degrees Fahrenheit",
            "classification": "personal",
        },
        {"name": "wind_gust", "type": "number", "required": False, "unit": "mph", "minimum": 0, "maximum": 200},
    ],
    "outputs": [{"name": "probability", "type": "number", "description": "of being late", "minimum": 0, "maximum": 1}],
}

CLASSES = ["early", "in time", "late"]
OF_CLASSES: dict[str, Any] = {  # what a schema of several classes says otherwise
    "format": 2,
    "classes": CLASSES,
    "outputs": [{"name": f"probability[{label}]", "type": "number", "minimum": 0, "maximum": 1} for label in CLASSES],
}


def golden_rows(model: str = "first") -> list[dict[str, Any]]:
    rows: list[dict[str, Any]] = json.loads((HERE / f"{model}.golden.json").read_text(encoding="utf-8"))["rows"]
    return rows


def make_release(store: Path, version: str = FIRST, model: str = "first", **schema: Any) -> Path:
    folder = store / "flights" / version
    folder.mkdir(parents=True)
    shutil.copyfile(HERE / f"{model}.onnx", folder / "model.onnx")
    shutil.copyfile(HERE / f"{model}.golden.json", folder / "golden.json")
    (folder / "schema.json").write_text(json.dumps(SCHEMA | schema), encoding="utf-8")
    (folder / "card.md").write_text("# Flights\n\nMade for tests.\n", encoding="utf-8")
    (folder / "card.html").write_text("<!doctype html><title>Flights</title><h1>Flights</h1>", encoding="utf-8")
    (folder / "verdicts.json").write_text('{"gates": [{"result": "passed"}, {"result": "passed"}]}', encoding="utf-8")
    (folder / "provenance.json").write_text('{"commit": "0123456"}', encoding="utf-8")
    seal(folder)
    return folder


def change(folder: Path, **files: str | bytes | None) -> Path:
    """Write or remove files of a release, named without their suffix where it is `.json`, and seal it again."""
    for name, content in files.items():
        file = folder / (f"{name}.json" if (folder / f"{name}.json").exists() else f"{name}.onnx")
        file.unlink(missing_ok=True)
        if content is not None:
            file.write_bytes(content.encode() if isinstance(content, str) else content)
    (folder / MANIFEST).unlink()
    seal(folder)
    return folder


def point(store: Path | str, version: str, sequence: int = 1) -> None:
    """Put a release into service, as `make deploy` does."""
    kept = ReleaseStore(str(store), "flights")
    manifest, last = kept.read(f"{version}/{MANIFEST}"), last_move(kept)
    move = Move(
        sequence=sequence,
        at=now(),
        who="ann",
        known_by="git",
        environment="local",
        pipeline="flights",
        action="deploy" if version else "undo",
        before=last.after if last else "",
        after=version,
        why="",
        digest=hashlib.sha256(manifest or b"").hexdigest(),
    )
    record(kept, move)


def damage(file: Path) -> None:
    """Flip one bit in the middle of a file."""
    content = bytearray(file.read_bytes())
    content[len(content) // 2] ^= 1
    file.chmod(0o644)
    file.write_bytes(content)


@pytest.fixture(autouse=True)
def _no_leaks(monkeypatch: pytest.MonkeyPatch) -> None:
    """What a person's shell says of a server must not reach a test."""
    for name in list(os.environ):
        if name.startswith(("ONEBUTTON_", "AWS_")):
            monkeypatch.delenv(name)


@pytest.fixture
def store(tmp_path: Path) -> Path:
    """A release store with two releases, the first in service."""
    folder = tmp_path / "store"
    make_release(folder, FIRST, "first")
    make_release(folder, SECOND, "second")
    point(folder, FIRST)
    return folder


class Client:
    """Asks the application without a network, as an ASGI server would."""

    def __init__(self, state: Path) -> None:
        self.app = App(state)
        self.service, self.log, self.metrics = self.app.service, self.app.log, self.app.metrics
        self.runner = asyncio.Runner()

    def ask(
        self, method: str, path: str, body: bytes = b"", headers: dict[str, str] = JSON
    ) -> tuple[int, dict[str, str], bytes]:
        return self.runner.run(self.once(method, path, [body], headers))

    async def once(
        self, method: str, path: str, parts: list[bytes], headers: dict[str, str] = JSON, *, ends: bool = True
    ) -> tuple[int, dict[str, str], bytes]:
        encoded = [(name.encode(), value.encode()) for name, value in headers.items()]
        scope = {
            "type": "http", "asgi": {"version": "3.0"}, "http_version": "1.1", "method": method, "path": path, "root_path": "",
            "raw_path": path.encode(), "query_string": b"", "scheme": "http", "headers": encoded, "server": ("test", 80),
            "client": ("127.0.0.1", 1),
        }  # fmt: skip
        waiting = list(parts)
        sent: list[Any] = []

        async def receive() -> dict[str, Any]:
            await asyncio.sleep(0)
            if not waiting:
                await asyncio.sleep(3600)  # a client that sends no more
            return {"type": "http.request", "body": waiting.pop(0), "more_body": bool(waiting) or not ends}

        async def send(message: Any) -> None:
            sent.append(message)

        await self.app(scope, receive, send)
        found = {name.decode(): value.decode() for name, value in sent[0]["headers"]}
        return sent[0]["status"], found, b"".join(message.get("body", b"") for message in sent[1:])

    def predict(self, *rows: Any) -> tuple[int, Any]:
        status, _, content = self.ask("POST", "/v1/predict", json.dumps({"rows": rows}).encode())
        return status, json.loads(content)

    def close(self) -> None:
        self.log.close()
        self.metrics._own.close()  # as the end of a process does
        self.runner.close()


@pytest.fixture
def client(tmp_path: Path) -> Iterator[Client]:
    """The application with the first release in service."""
    client = Client(tmp_path / "state")
    client.service.fix(make_release(tmp_path / "fixed"))
    yield client
    client.close()


class Server:
    """A real server."""

    def __init__(
        self, folder: Path, port: int, *words: str, before: Callable[[], None] | None = None, **environment: str
    ) -> None:
        self.port = port
        self.address = f"http://127.0.0.1:{self.port}"
        self.state = folder / "state"
        own = ["--port", str(self.port), "--state", str(self.state)]
        command = [sys.executable, "-m", "onebutton_serving", *own, *words]
        self.output = folder / "output"
        with self.output.open("ab") as stream:
            self.process = subprocess.Popen(
                command,
                stdout=stream,
                stderr=stream,
                env=os.environ | environment,
                preexec_fn=before,  # noqa: PLW1509  no thread runs here
                start_new_session=True,
            )

    def get(self, path: str) -> tuple[int, Any]:
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=20)
        try:
            connection.request("GET", path)
            answer = connection.getresponse()
            content = answer.read()
            return answer.status, json.loads(content) if "json" in answer.headers["content-type"] else content.decode()
        finally:
            connection.close()

    def predict(self, *rows: Any) -> tuple[int, Any]:
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=20)
        try:
            connection.request("POST", "/v1/predict", json.dumps({"rows": rows}), JSON)
            answer = connection.getresponse()
            return answer.status, json.loads(answer.read())
        finally:
            connection.close()

    def until(self, holds: Callable[[], bool], seconds: float = 30) -> float:
        """Wait until something holds, and return how long that took."""
        begun = time.monotonic()
        while time.monotonic() - begun < seconds:
            try:
                if holds():
                    return time.monotonic() - begun
            except (OSError, http.client.HTTPException):
                pass
            assert self.process.poll() is None, self.said()
            time.sleep(0.01)
        raise AssertionError(self.said())

    def ready(self, workers: int = 1) -> Server:
        self.until(lambda: [bool(one["version"]) for one in self.workers()] == [True] * workers)
        return self

    def workers(self) -> list[dict[str, Any]]:
        found: list[dict[str, Any]] = self.get("/v1/model")[1]["workers"]
        return found

    def versions(self) -> set[str]:
        return {str(one["version"]) for one in self.workers()}

    def said(self) -> str:
        return self.output.read_text(encoding="utf-8", errors="replace")

    def stop(self) -> int:
        self.process.terminate()
        try:
            return self.process.wait(40)
        finally:
            if self.process.poll() is None:
                os.killpg(self.process.pid, signal.SIGKILL)


@pytest.fixture
def serve(tmp_path: Path, free_port: Callable[[], int]) -> Iterator[Callable[..., Server]]:
    """Starts servers, and ends them afterwards."""
    started: list[Server] = []

    def start(*words: str, **more: Any) -> Server:
        folder = tmp_path / f"server-{len(started)}"
        folder.mkdir()
        started.append(Server(folder, free_port(), *words, **more))
        return started[-1]

    yield start
    for server in started:
        if server.process.poll() is None:
            server.stop()


@pytest.fixture(scope="session")
def not_run() -> Callable[[str], None]:
    """Tell a person that a test did not run; in CI that is a failure."""

    def tell(reason: str) -> None:
        if os.environ.get("CI") and not os.environ.get("ACT"):  # act runs on a person's machine
            pytest.fail(f"NOT RUN: {reason}")
        pytest.skip(f"NOT RUN: {reason}")

    return tell
