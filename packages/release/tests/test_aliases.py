"""After a deployment MLflow's aliases say what is in service: on a real MLflow, in a file and behind a server."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from packages.tracking.tests.conftest import mlflow_server

from onebutton_release.aliases import tell_all, tell_mlflow
from onebutton_release.target import Target
from onebutton_serving.sealed import digest_of
from onebutton_tracking.model import MODEL_TAG
from onebutton_tracking.store import open_store, tracking_uri

if TYPE_CHECKING:
    from mlflow import MlflowClient


@pytest.fixture(params=["file", "server"])
def client(
    request: pytest.FixtureRequest,
    target: Target,
    tmp_path: Path,
    free_port: Callable[[], int],
    monkeypatch: pytest.MonkeyPatch,
) -> Iterator[MlflowClient]:
    """MLflow where `make run TRACK=only` would write."""
    monkeypatch.delenv("MLFLOW_TRACKING_URI", raising=False)
    with contextlib.ExitStack() as stack:
        if request.param == "server":
            server = mlflow_server(f"sqlite:///{tmp_path}/server.db", tmp_path / "server", free_port())
            monkeypatch.setenv("MLFLOW_TRACKING_URI", stack.enter_context(server))
        yield open_store(tracking_uri(target.root))


@pytest.mark.slow
def test_a_deployment_moves_the_aliases_of_its_environment_and_the_champion(
    client: MlflowClient,
    target: Target,
    deployed: Callable[[str], None],
    put: Callable[[str], Path],
    capsys: pytest.CaptureFixture[str],
) -> None:
    (target.root / "pipelines/flights/release.toml").touch()
    versions = ["20260101-aaaaaaaa", "20260102-bbbbbbbb"]
    client.create_registered_model("flights")
    run = client.create_run(client.create_experiment("flights")).info
    for version in versions:
        digest = digest_of(put(version) / "model.onnx")
        client.create_model_version("flights", f"{run.artifact_uri}/model", run.run_id, tags={MODEL_TAG: digest})
    for number, version in enumerate(versions, start=1):
        deployed(version)
        tell_all(target.root)
        assert capsys.readouterr().out.splitlines() == [
            f"run: flights@{alias} is version {number} in MLflow" for alias in ("local", "champion")
        ]
        aliases = client.get_registered_model("flights").aliases.items()
        assert {alias: int(pointed) for alias, pointed in aliases} == {"local": number, "champion": number}
        assert tell_mlflow(target.root, [target]) == []
