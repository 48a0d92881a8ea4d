"""Several pipelines, checkouts and release stores on one machine, with real servers and the buttons as make presses them."""

import json
import os
import shutil
import signal
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from packages.release.tests.conftest import write_release

from onebutton_contracts.errors import InputError
from onebutton_release import candidate, deploy
from onebutton_release.target import FILE, find_target
from onebutton_serving.history import read_history

pytestmark = pytest.mark.slow
A, B = "20261101-aaaaaaaa", "20261102-bbbbbbbb"
ROW = {"rows": [{"origin": "JFK", "distance": 1000.0}]}
PRODUCTION = """
[environments.production]
store = "prod"
servers = { flights = ["http://127.0.0.1:PORT"] }
may_deploy = ["*"]
on_call = "Ann"
"""
Serve = Callable[..., subprocess.Popen[bytes]]


def press(root: Path, button: str, **typed: str) -> tuple[int, str]:
    """Press a button in a checkout; return its status and what it said."""
    done = subprocess.run(
        command(button, **typed),
        cwd=root,
        env=environment(),
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        check=False,
    )
    return done.returncode, done.stdout


BUTTON = """
import json, sys
from pathlib import Path
from onebutton_contracts.errors import InputError
from onebutton_release.deploy import deploy_and_report
from onebutton_release.moves import rollback
from onebutton_release.serve import serve
from onebutton_release.target import find_target
from onebutton_serving.sealed import ServingError

button, typed = sys.argv[1], json.loads(sys.argv[2])
pipeline, env = typed.get("PIPELINE", ""), typed.get("ENV", "")
try:
    if button == "deploy":
        target = find_target(Path.cwd(), pipeline, env, "local")
        print("deploy:", deploy_and_report(target, version=typed.get("TO", ""), why="", breaking=False))
    elif button == "rollback":
        rollback(find_target(Path.cwd(), pipeline, env, "production"), version=typed.get("TO", ""), why=typed.get("WHY", ""))
    else:
        serve(Path.cwd(), pipeline, env, int(typed["PORT"]) if "PORT" in typed else None)
except (InputError, ServingError) as error:
    sys.exit(f"{button}: {error}")
"""


def command(button: str, **typed: str) -> list[str]:
    return [sys.executable, "-c", BUTTON, button, json.dumps(typed)]


def environment() -> dict[str, str]:
    return os.environ | {"MLFLOW_TRACKING_URI": "sqlite:////proc/mlflow.db"}  # aliases are not what this is about


@pytest.fixture
def serve() -> Iterator[Serve]:
    """Start `make serve` in a checkout, until the test is over."""
    started: list[subprocess.Popen[bytes]] = []

    def serve(root: Path, **typed: str) -> subprocess.Popen[bytes]:
        process = subprocess.Popen(
            command("serve", **typed), cwd=root, env=environment(), stdout=subprocess.DEVNULL, start_new_session=True
        )
        started.append(process)
        return process

    yield serve
    for process in started:
        os.killpg(process.pid, signal.SIGTERM)
        process.wait(30)


def get(port: int, path: str = "/v1/model", body: Any = None) -> Any:
    content = json.dumps(body).encode() if body else None
    request = urllib.request.Request(f"http://127.0.0.1:{port}{path}", content, {"content-type": "application/json"})
    with urllib.request.urlopen(request, timeout=5) as answer:
        return json.load(answer)


def until(holds: Callable[[], bool]) -> None:
    deadline = time.monotonic() + 30
    while time.monotonic() < deadline:
        try:
            if holds():
                return
        except OSError:
            pass
        time.sleep(0.05)
    pytest.fail("it did not come to hold within 30 s")


def until_served(port: int) -> None:
    until(lambda: bool(get(port)["version"] == A))


def moves(root: Path, pipeline: str, name: str = "local") -> list[tuple[str, str, str]]:
    history = read_history(find_target(root, pipeline, name, name).store)
    return [(entry.action, entry.before, entry.after) for entry in history]


@pytest.fixture
def ports(repo: Path, free_port: Callable[[], int]) -> dict[str, int]:
    """Two pipelines with a release each, and the ports that they declare."""
    found = {"churn": free_port(), "flights": free_port()}
    for pipeline, port in found.items():
        folder = repo / "pipelines" / pipeline
        folder.mkdir(exist_ok=True)
        (folder / "dvc.yaml").write_text("stages: {}\n", encoding="utf-8")
        (folder / "release.toml").write_text(f'inputs = "in"\noutputs = "out"\nport = {port}\n', encoding="utf-8")
        write_release(repo / "releases" / pipeline / A)
    return found


@pytest.fixture(autouse=True)
def _declared(monkeypatch: pytest.MonkeyPatch, repo: Path) -> None:
    """Releases of another day are deployed by their version, so what a checkout declares is not asked, here or in a process."""
    monkeypatch.setattr(candidate, "declared", lambda folder: folder)
    code = "from onebutton_release import candidate\ncandidate.declared = lambda folder: folder\n"
    (repo / ".site").mkdir()
    (repo / ".site/sitecustomize.py").write_text(code, encoding="utf-8")
    monkeypatch.setenv("PYTHONPATH", str(repo / ".site"))


def test_two_pipelines_are_deployed_and_served_side_by_side(repo: Path, ports: dict[str, int], serve: Serve) -> None:
    for pipeline, port in ports.items():
        begun = time.monotonic()
        status, said = press(repo, "deploy", PIPELINE=pipeline, TO=A)
        assert status == 0, said
        assert time.monotonic() - begun < deploy.PATIENCE
        assert f"no server runs at http://127.0.0.1:{port}" in said
        assert f"`make serve PIPELINE={pipeline}` serves it on http://127.0.0.1:{port}. Next: " in said
        serve(repo, PIPELINE=pipeline)
        until_served(port)
    assert {pipeline: get(port)["follows"]["pipeline"] for pipeline, port in ports.items()} == {n: n for n in ports}
    for pipeline, port in ports.items():
        assert get(port, "/v1/predict", ROW)["version"] == A
        status, said = press(repo, "deploy", PIPELINE=pipeline, TO=A)
        assert (status, f"http://127.0.0.1:{port} has {A} in service in 1 process" in said) == (0, True), said
        assert moves(repo, pipeline) == [("deploy", "", A)]
    status, said = press(repo, "serve", PIPELINE="churn", PORT=str(ports["flights"]))
    assert status == 1
    port = ports["flights"]
    words = "Address already in use; PORT= (--port) takes another"
    assert said.splitlines()[-1] == f"serving: cannot listen on 127.0.0.1:{port}: {words}"


def test_with_one_port_for_both_the_second_is_deployed_all_the_same(
    repo: Path, ports: dict[str, int], serve: Serve
) -> None:
    """As an environment that names one server for `*` says it."""
    with (repo / FILE).open("a", encoding="utf-8") as stream:
        stream.write(f'servers = {{ "*" = ["http://127.0.0.1:{ports["flights"]}"] }}\n')
    press(repo, "deploy", PIPELINE="flights", TO=A)
    serve(repo, PIPELINE="flights")
    until_served(ports["flights"])
    begun = time.monotonic()
    status, said = press(repo, "deploy", PIPELINE="churn", TO=A)
    assert status == 0, said
    assert time.monotonic() - begun < deploy.PATIENCE
    assert f":{ports['flights']} serves pipeline flights, not churn; this deployment does not wait for it" in said
    assert moves(repo, "churn") == [("deploy", "", A)]


def test_the_server_of_a_copied_checkout_is_not_taken_for_ones_own(
    repo: Path, ports: dict[str, int], serve: Serve, tmp_path_factory: pytest.TempPathFactory
) -> None:
    press(repo, "deploy", PIPELINE="churn", TO=A)
    serve(repo, PIPELINE="churn")
    until_served(ports["churn"])
    copy = tmp_path_factory.mktemp("copy") / "checkout"
    shutil.copytree(repo, copy)
    write_release(copy / "releases/churn" / B, slope=0.002)
    status, said = press(copy, "deploy", PIPELINE="churn", TO=B)
    assert status == 0, said
    words = "serves pipeline churn from ANOTHER FOLDER"
    assert f"http://127.0.0.1:{ports['churn']} {words}; this deployment does not wait for it" in said
    assert moves(copy, "churn") == [("deploy", "", A), ("deploy", A, B)]
    assert get(ports["churn"])["version"] == A
    assert "Address already in use" in press(copy, "serve", PIPELINE="churn")[1]
    assert words in press(copy, "rollback", PIPELINE="churn", WHY="trying")[1]
    assert moves(repo, "churn") == [("deploy", "", A)]


def test_where_a_server_is_declared_one_of_another_store_stops_the_deployment_before_it_begins(
    repo: Path, ports: dict[str, int], serve: Serve
) -> None:
    with (repo / FILE).open("a", encoding="utf-8") as stream:
        stream.write(PRODUCTION.replace("PORT", str(ports["flights"])))
    write_release(repo / "prod/flights" / A)
    press(repo, "deploy", PIPELINE="flights", TO=A)
    serve(repo, PIPELINE="flights")  # of the laptop's store
    until_served(ports["flights"])
    begun = time.monotonic()
    status, said = press(repo, "deploy", PIPELINE="flights", ENV="production", TO=A)
    assert status == 1
    assert time.monotonic() - begun < deploy.PATIENCE
    assert (
        "serves pipeline flights from ANOTHER RELEASE STORE, so nobody could confirm a release. Nothing was changed"
        in said
    )
    assert moves(repo, "flights", "production") == []


def test_a_first_deployment_that_a_server_sleeps_through_is_undone_and_the_server_has_nothing_in_service(
    repo: Path, ports: dict[str, int], serve: Serve, monkeypatch: pytest.MonkeyPatch
) -> None:
    port = ports["flights"]
    with (repo / FILE).open("a", encoding="utf-8") as stream:
        stream.write(PRODUCTION.replace("PORT", str(port)))
    write_release(repo / "prod/flights" / A)
    server = serve(repo, PIPELINE="flights", ENV="production")
    until(lambda: get(port)["version"] is None)
    monkeypatch.setattr(deploy, "PATIENCE", 0.5)
    target = find_target(repo, "flights", "production", "production")
    os.killpg(server.pid, signal.SIGSTOP)
    try:
        with pytest.raises(InputError, match=r"does not answer \(timed out\)\. So it was moved back: nothing is in"):
            deploy.deploy(target, version=A)
    finally:
        os.killpg(server.pid, signal.SIGCONT)
    assert moves(repo, "flights", "production") == [("deploy", "", A), ("undo", A, "")]
    until(lambda: "was undone, so nothing is in service" in get(port).get("reason", ""))
    with pytest.raises(urllib.error.HTTPError, match="503"):
        get(port, "/v1/predict", ROW)
    monkeypatch.setattr(deploy, "PATIENCE", 30)
    deploy.deploy(target, version=A)
    assert get(port, "/v1/predict", ROW)["version"] == A
    assert moves(repo, "flights", "production") == [("deploy", "", A), ("undo", A, ""), ("deploy", "", A)]
