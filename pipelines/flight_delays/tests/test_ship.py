"""The README's way from a trained model into service and back, on a fresh clone, with a real server under load."""

import contextlib
import json
import math
import os
import random
import re
import signal
import socket
import subprocess
import threading
import time
import tomllib
import urllib.error
import urllib.request
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest

pytestmark = pytest.mark.slow

ENOUGH = 20_000  # requests in which no answer may fail
KILLS = 30
LOAD = """
import json, sys
from onebutton_release.measurement import load
print(json.dumps([version for _, version in load(sys.argv[1], sys.argv[2], seconds=2)]))
"""
ANSWER = """
import json, sys
from pathlib import Path
from onebutton_serving.loading import load_release
one = load_release(Path(sys.argv[1]))
row = json.loads(sys.argv[2])
print(one.answer([tuple(row.get(name) for name in one.reader.names)])[0][0])
"""
PIPELINE = "pipelines/flight_delays"


class Server:
    """`make serve`, until the test is over."""

    def __init__(self, newcomer: Any, port: int, pipeline: str = "flight_delays") -> None:
        """Serve on the pipeline's own port, which the caller knows."""
        self.address = f"http://127.0.0.1:{port}"
        words = ["make", "serve", f"PIPELINE={pipeline}"]
        self.process = subprocess.Popen(
            words, cwd=newcomer.clone, env=newcomer.environment, start_new_session=True, stdout=subprocess.DEVNULL
        )

    def stop(self) -> None:
        os.killpg(self.process.pid, signal.SIGTERM)  # make, its shell, and the server: a shell passes no signal on
        self.process.wait(60)

    def get(self, page: str) -> Any:
        with urllib.request.urlopen(f"{self.address}{page}", timeout=5) as answer:
            return json.load(answer)

    def predict(self, *rows: dict[str, Any]) -> Any:
        request = urllib.request.Request(
            f"{self.address}/v1/predict",
            json.dumps({"rows": rows}).encode(),
            {"content-type": "application/json"},
        )
        with urllib.request.urlopen(request, timeout=5) as answer:
            return json.load(answer)

    def wait(self, version: str = "") -> None:
        deadline = time.monotonic() + 120
        while time.monotonic() < deadline:
            with contextlib.suppress(OSError, ValueError):
                found = self.get("/v1/model")["version"]
                if found and version in ("", found):
                    return
            time.sleep(0.05)
        message = f"the server has no release {version} in service"
        raise AssertionError(message)


def golden(newcomer: Any) -> dict[str, Any]:
    content = json.loads((newcomer.clone / PIPELINE / "model/golden.json").read_text(encoding="utf-8"))
    example: dict[str, Any] = content["rows"][0]
    return example


def better_model(newcomer: Any) -> None:
    """Train slower and longer: a little better, and another `dvc.lock`."""
    newcomer.edit(f"{PIPELINE}/params.yaml", "learning_rate: 0.1", "learning_rate: 0.05")
    newcomer.edit(f"{PIPELINE}/params.yaml", "max_trees: 400", "max_trees: 700")


def moves(newcomer: Any) -> list[Any]:
    files = sorted((newcomer.clone / ".releases/flight_delays/history").glob("*.json"))
    return [json.loads(file.read_bytes()) for file in files]


def in_service(newcomer: Any) -> str:
    version: str = moves(newcomer)[-1]["after"]
    return version


def versions(newcomer: Any) -> list[str]:
    folder = newcomer.clone / ".releases/flight_delays"
    return sorted(path.parent.name for path in folder.glob("*/MANIFEST.sha256"))


def measure(newcomer: Any, pipeline: str = "flight_delays") -> None:
    """Measure what `make deploy` would measure once, until it passes: a machine that is busy right now fails a good model."""
    folder = newcomer.clone / "pipelines" / pipeline
    gates = tomllib.loads((folder / "gates.toml").read_text(encoding="utf-8"))["gates"]
    wanted = [gate for gate in gates if gate["check"] == "service"]
    assert wanted
    for _ in range(5):
        newcomer.call("make", "gates", "MEASURE=1", f"PIPELINE={pipeline}", status=None)
        told = json.loads((folder / "service.json").read_text(encoding="utf-8"))
        if all(gate.get("at_least", 0) <= told[gate["number"]] <= gate.get("at_most", math.inf) for gate in wanted):
            return
        (folder / "service.json").unlink()  # else it would be kept
        time.sleep(10)


@pytest.fixture(scope="module")
def port() -> int:
    """Find a port that nobody has; until the server binds it, the system lends it to nobody."""
    for port in random.Random(os.getpid()).sample(range(15_000, 32_000), 1000):
        with contextlib.suppress(OSError), socket.create_server(("127.0.0.1", port)):
            return port
    pytest.fail("every port is taken")


@pytest.fixture(scope="module")
def served(trained: Any, port: int) -> Iterator[Server]:
    """The first release in service, and its server, on a port that the pipeline declares."""
    trained.reset()
    trained.edit(f"{PIPELINE}/release.toml", "port = 8000", f"port = {port}")
    trained.call("git", "commit", "--quiet", "--all", "--no-verify", "--message", "another port")
    measure(trained)
    said = trained.call("make", "deploy", "PIPELINE=flight_delays")
    assert (
        f"`make serve PIPELINE=flight_delays` serves it on http://127.0.0.1:{port}. Next: make run, which compares with "
        in said
    )
    server = Server(trained, port)
    try:
        server.wait()
        yield server
    finally:
        server.stop()


def test_the_first_release_answers_and_there_is_nothing_to_go_back_to(newcomer: Any, served: Server) -> None:
    example = golden(newcomer)
    answer = served.predict(example["input"])
    assert answer["version"] == in_service(newcomer)
    assert answer["predictions"][0]["probability"] == pytest.approx(example["output"]["probability"], abs=1e-5)
    said = newcomer.refused("make", "rollback", "PIPELINE=flight_delays", "WHY=just trying")
    assert "is the first release of flight_delays in local: there is nothing to go back to" in said
    assert "is in service in local already" in newcomer.call("make", "deploy", "PIPELINE=flight_delays")
    newcomer.call("make", "run", "TRACK=only")  # on a busy machine `make deploy` may have left MLflow's alias to it
    said = newcomer.call("make", "why", "MODEL=flight_delays@champion")
    assert re.search(r"@champion points here: \S+, .*, deploy of \d{8}-", said), said


def test_a_release_holds_all_that_it_must_and_can_be_checked_with_stock_tools(newcomer: Any, served: Server) -> None:
    folder = newcomer.clone / ".releases/flight_delays" / served.get("/v1/model")["version"]
    names = {path.name for path in folder.iterdir()}
    assert names == {
        "MANIFEST.sha256",
        "card.html",
        "card.md",
        "gates.toml",
        "golden.json",
        "model.onnx",
        "predictions.parquet",
        "provenance.json",
        "sbom.cdx.json",
        "schema.json",
        "service.json",
        "verdicts.json",
    }
    newcomer.call("sha256sum", "--check", "--quiet", "MANIFEST.sha256", folder=folder)
    verdicts = json.loads((folder / "verdicts.json").read_text(encoding="utf-8"))["gates"]
    assert {one["result"] for one in verdicts} == {"passed"}
    assert "latency-p95" in {one["id"] for one in verdicts}
    made = json.loads((folder / "provenance.json").read_text(encoding="utf-8"))
    assert newcomer.git_lines("cat-file", "-t", made["commit"]) == ["commit"]
    parts = json.loads((folder / "sbom.cdx.json").read_text(encoding="utf-8"))["components"]
    assert {"onnxruntime", "granian"} <= {one["name"] for one in parts}
    assert not {"mlflow", "scikit-learn", "lightgbm"} & {one["name"] for one in parts}
    examples = json.loads((folder / "golden.json").read_text(encoding="utf-8"))["rows"]
    assert len({row["output"]["probability"] for row in examples}) > 50


@pytest.fixture(scope="module")
def two(trained: Any, served: Server) -> list[str]:
    """A second, better model, compared with the first, judged, and released."""
    first = in_service(trained)
    trained.reset()
    trained.call("make", "deploy", "PIPELINE=flight_delays")  # which writes the champion that a reset took away
    better_model(trained)
    trained.call("make", "run")
    compared = json.loads((trained.clone / PIPELINE / "comparison.json").read_text(encoding="utf-8"))["champion"]
    assert compared["name"] == first
    assert compared["verdict"] in {"better", "same"}
    trained.call("git", "add", "--all")
    trained.call("git", "commit", "--quiet", "--no-verify", "--message", "a better model")
    measure(trained)
    trained.call("make", "deploy", "PIPELINE=flight_delays", "WHY=better")
    second = in_service(trained)
    assert second != first
    served.wait(second)
    return [first, second]


class Loading:
    """Load on a server in the background, until it is asked what became of it."""

    def __init__(self, newcomer: Any, server: Server, body: str) -> None:
        self.newcomer, self.server, self.body = newcomer, server, body
        self.requests, self.failure = 0, ""
        self.versions: set[str] = set()
        self.stopped = threading.Event()
        self.thread = threading.Thread(target=self._work)
        self.thread.start()

    def _work(self) -> None:
        command = [".venv/bin/python", "-c", LOAD, self.server.address, self.body]
        while not self.stopped.is_set() and not self.failure:
            done = subprocess.run(
                command,
                cwd=self.newcomer.clone,
                env=self.newcomer.environment,
                capture_output=True,
                text=True,
                check=False,
            )
            self.failure = done.stderr
            answered = json.loads(done.stdout or "[]")
            self.requests += len(answered)
            self.versions |= set(answered)

    def until(self, requests: int) -> None:
        begun = time.monotonic()
        while self.requests < requests and not self.failure and time.monotonic() - begun < 600:
            time.sleep(0.1)

    def stop(self) -> None:
        self.stopped.set()
        self.thread.join()


def test_two_deployments_and_two_rollbacks_under_load_fail_nobody(
    newcomer: Any, served: Server, two: list[str]
) -> None:
    first, second = two
    inputs = golden(newcomer)["input"]
    right = {version: answer_of(newcomer, version, inputs) for version in two}
    loading = Loading(newcomer, served, json.dumps({"rows": [inputs]}))
    mixed: list[Any] = []
    switches, rollbacks = [], []

    def back_and_forth() -> None:
        begun = time.monotonic()
        said = newcomer.call("make", "rollback", "PIPELINE=flight_delays", "WHY=it says that every flight is late")
        rollbacks.append(time.monotonic() - begun)
        assert f"{first} is in service in local again, {second} is not" in said
        served.wait(first)
        mixed.extend(one for one in asked(served, inputs) if not fits(one, right))
        switches.append(switch_seconds(newcomer, served, second))
        mixed.extend(one for one in asked(served, inputs) if not fits(one, right))

    try:
        for _ in range(2):
            back_and_forth()
        loading.until(ENOUGH)
    finally:
        loading.stop()
    assert loading.failure == ""
    assert loading.requests >= ENOUGH
    assert loading.versions == {first, second}
    for _ in range(2):  # the seconds are promised of a machine that does nothing else; the least is the nearest to it
        back_and_forth()
    assert mixed == []
    assert len(newcomer.call("make", "deploy", "STATUS=1").splitlines()) >= 8
    assert min(rollbacks) < 2, rollbacks
    assert min(switches) < 1, switches


def answer_of(newcomer: Any, version: str, inputs: dict[str, Any]) -> float:
    return float(newcomer.call(".venv/bin/python", "-c", ANSWER, str(release(newcomer, version)), json.dumps(inputs)))


def asked(server: Server, inputs: dict[str, Any]) -> list[Any]:
    return [server.predict(inputs, inputs) for _ in range(20)]


def fits(answer: Any, right: dict[str, float]) -> bool:
    """An answer is of the release that it names, every row of it."""
    wanted = right[answer["version"]]
    return all(abs(one["probability"] - wanted) < 1e-6 for one in answer["predictions"])


def switch_seconds(newcomer: Any, server: Server, version: str) -> float:
    """Deploy, and return the seconds between the move and the first of ten answers in a row that are the release's."""
    with ThreadPoolExecutor(1) as pool:
        seen = pool.submit(first_of_ten, server, version)
        newcomer.call("make", "deploy", "PIPELINE=flight_delays", f"TO={version}")
        moved = max((newcomer.clone / ".releases/flight_delays/history").glob("*.json")).stat().st_mtime
        return seen.result() - moved


def first_of_ten(server: Server, version: str) -> float:
    """Return when the first of ten answers in a row came that are a release's; there may be several workers."""
    came: list[float] = []
    deadline = time.monotonic() + 120
    while len(came) < 10 and time.monotonic() < deadline:
        came = [*came, time.time()] if server.get("/v1/model")["version"] == version else []
        time.sleep(0.02)
    return came[0]


def test_killed_at_any_moment_the_old_release_is_in_service_or_the_new_one(
    newcomer: Any, served: Server, two: list[str]
) -> None:
    chance = random.Random(3)
    first, second = two
    programs = {
        "deploy": ["make", "deploy", "PIPELINE=flight_delays", f"TO={second}"],
        "rollback": ["make", "rollback", "PIPELINE=flight_delays", "WHY=killed"],
    }
    killed, longest = 0, 2.5
    for _ in range(KILLS):
        current = in_service(newcomer)
        words = programs["rollback" if current == second else "deploy"]
        with subprocess.Popen(
            words, cwd=newcomer.clone, env=newcomer.environment, start_new_session=True, stdout=subprocess.DEVNULL
        ) as program:
            time.sleep(longest * chance.random())
            with contextlib.suppress(ProcessLookupError):
                if program.poll() is None:
                    killed += 1
                else:
                    longest *= 0.9  # it had ended
                os.killpg(program.pid, signal.SIGKILL)
        after = in_service(newcomer)
        assert after in {current, first, second}
        served.wait(after)
        newcomer.call("sha256sum", "--check", "--quiet", "MANIFEST.sha256", folder=release(newcomer, after))
    assert killed >= KILLS // 3
    if in_service(newcomer) == first:
        newcomer.call(*programs["deploy"])
    entries = moves(newcomer)
    assert [entry["sequence"] for entry in entries] == list(range(1, len(entries) + 1))
    assert all(old["after"] == new["before"] for old, new in pairwise(entries))
    assert "chain      whole" in newcomer.call("make", "deploy", "STATUS=1")


def release(newcomer: Any, version: str) -> Path:
    folder: Path = newcomer.clone / ".releases/flight_delays" / version
    return folder


def test_a_damaged_release_is_not_gone_back_to_and_the_server_keeps_the_one_it_has(
    newcomer: Any, served: Server, two: list[str]
) -> None:
    first, second = two
    assert in_service(newcomer) == second
    schema = release(newcomer, first) / "schema.json"
    whole = schema.read_bytes()
    schema.chmod(0o644)
    schema.write_bytes(whole.replace(b"miles", b"feet "))
    try:
        said = newcomer.refused("make", "rollback", "PIPELINE=flight_delays", "WHY=trying")
        assert f"release {first} is damaged: schema.json was changed, so {second} stays in service" in said
        assert "No other is whole" in said
        said = newcomer.refused("make", "deploy", "PIPELINE=flight_delays", f"TO={first}")
        assert "schema.json was changed" in said
        assert served.predict(golden(newcomer)["input"])["version"] == second
    finally:
        schema.write_bytes(whole)


def test_mlflow_being_away_stops_neither_deploying_nor_going_back(
    newcomer: Any, served: Server, two: list[str]
) -> None:
    first, second = two
    nowhere = {"MLFLOW_TRACKING_URI": "http://127.0.0.1:9"}
    newcomer.call("make", "rollback", "PIPELINE=flight_delays", "WHY=trying", **nowhere)
    served.wait(first)
    assert "flight_delays@champion is version 1" in newcomer.call("make", "run", "TRACK=only")
    said = newcomer.call("make", "deploy", "PIPELINE=flight_delays", f"TO={second}", **nowhere)
    assert "MLflow's aliases are behind" in said
    served.wait(second)
    assert "flight_delays@champion is version 2" in newcomer.call("make", "run", "TRACK=only")


def test_what_a_row_breaks_is_named_by_the_server(newcomer: Any, served: Server) -> None:
    bad = golden(newcomer)["input"] | {"origin": "XYZ"}
    with pytest.raises(urllib.error.HTTPError) as refused:
        served.predict(golden(newcomer)["input"], bad)
    with refused.value as error:
        assert error.code == 422
        (fault,) = json.load(error)["errors"]
    assert (fault["row"], fault["field"], fault["rule"]) == (1, "origin", "allowed")
