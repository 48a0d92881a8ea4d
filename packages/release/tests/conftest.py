"""A repo with one pipeline and one environment, and sealed releases in its release store."""

import json
import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from onebutton_release.target import Target, find_target
from onebutton_serving.history import Action, Move, following, last_move, now, record
from onebutton_serving.release_store import ReleaseStore
from onebutton_serving.sealed import MANIFEST, digest_of, seal

ENVIRONMENTS = """
[environments.local]
store = "releases"
may_deploy = ["*"]
on_call = "you"
champion = true
laptop = true
"""
Put = Callable[[str], Path]


@pytest.fixture
def repo(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A checkout with a pipeline `flights` and the environment `local`."""
    (tmp_path / "pipelines/flights").mkdir(parents=True)
    (tmp_path / "pipelines/flights/dvc.yaml").write_text("stages: {}\n", encoding="utf-8")
    (tmp_path / "deploy").mkdir()
    (tmp_path / "deploy/environments.toml").write_text(ENVIRONMENTS, encoding="utf-8")
    for name in ("CI", "GITHUB_ACTIONS", "GITHUB_ACTOR", "GITHUB_TRIGGERING_ACTOR"):
        monkeypatch.delenv(name, raising=False)
    environment = {"PATH": "/usr/bin:/bin", "HOME": str(tmp_path)}
    for words in (["init", "--quiet"], ["config", "user.email", "ann@acme.example"]):
        subprocess.run(["git", *words], cwd=tmp_path, env=environment, check=True)
    monkeypatch.chdir(tmp_path)
    return tmp_path


@pytest.fixture
def target(repo: Path) -> Target:
    """Where the releases of `flights` go."""
    return find_target(repo, "flights", "local", "local")


@pytest.fixture
def put(repo: Path) -> Put:
    """Put a sealed release into the release store, without anybody pointing at it."""

    def put(version: str) -> Path:
        folder = repo / "releases/flights" / version
        folder.mkdir(parents=True)
        (folder / "model.onnx").write_bytes(version.encode())
        seal(folder)
        return folder

    return put


def move(store: ReleaseStore, action: Action, before: str, after: str, digest: str = "") -> Move:
    """The next move of a release store, by nobody in particular."""
    sequence, previous = following(store)
    return Move(
        sequence=sequence, at=now(), who="ann", known_by="git", environment="local", pipeline="flights", action=action,
        before=before, after=after, why="", digest=digest, previous=previous,
    )  # fmt: skip


@pytest.fixture
def deployed(target: Target, put: Put) -> Callable[[str], None]:
    """Put a release into the release store and into service."""

    def deployed(version: str) -> None:
        before = last_move(target.store)
        folder = target.root / "releases/flights" / version
        folder = folder if folder.is_dir() else put(version)
        old = before.after if before else ""
        record(target.store, move(target.store, "deploy", old, version, digest_of(folder / MANIFEST)))

    return deployed


def small_model(slope: float) -> bytes:
    """Make an ONNX file with a text and a number as inputs: the probability is a sigmoid of the distance."""
    from onnx import TensorProto, helper, numpy_helper

    inputs = [
        helper.make_tensor_value_info("origin", TensorProto.STRING, [None, 1]),
        helper.make_tensor_value_info("distance", TensorProto.FLOAT, [None, 1]),
    ]
    output = helper.make_tensor_value_info("probability", TensorProto.FLOAT, [None, 1])
    weight = numpy_helper.from_array(np.array([[slope]], dtype=np.float32), "slope")
    nodes = [
        helper.make_node("MatMul", ["distance", "slope"], ["odds"]),
        helper.make_node("Sigmoid", ["odds"], ["probability"]),
    ]
    graph = helper.make_graph(nodes, "flights", inputs, [output], [weight])
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 18)], ir_version=9)
    content: bytes = model.SerializeToString()
    return content


def write_release(
    folder: Path,
    *,
    slope: float = 0.001,
    contract: str = "features 1.0.0",
    answer: float | None = None,
    draft: bool = False,
) -> Path:
    """Lay out and seal a small release that the server would take; `answer` is what its golden example says instead."""
    folder.mkdir(parents=True)
    (folder / "model.onnx").write_bytes(small_model(slope))
    schema = {
        "format": 1,
        "draft": draft,
        "pipeline": "flights",
        "title": "Late?",
        "input_contract": contract,
        "output_contract": "predictions 1.0.0",
        "inputs": [
            {"name": "origin", "type": "string", "required": True, "allowed": ["EWR", "JFK", "LGA"]},
            {"name": "distance", "type": "number", "required": True, "minimum": 0, "unit": "miles"},
        ],
        "outputs": [{"name": "probability", "type": "number", "required": True, "minimum": 0, "maximum": 1}],
    }
    (folder / "schema.json").write_text(json.dumps(schema), encoding="utf-8")
    right = float(1 / (1 + np.exp(-slope * 1000)))
    row = {"slices": ["all"], "input": {"origin": "JFK", "distance": 1000.0}}
    golden = {"tolerance": 1e-5, "rows": [row | {"output": {"probability": right if answer is None else answer}}]}
    (folder / "golden.json").write_text(json.dumps(golden), encoding="utf-8")
    (folder / "card.md").write_text("# Late?\n", encoding="utf-8")
    seal(folder)
    return folder


@pytest.fixture
def make_release(repo: Path) -> Callable[..., Path]:
    """Put a small release that loads into the release store, without anybody pointing at it."""

    def make_release(version: str, **how: Any) -> Path:
        return write_release(repo / "releases/flights" / version, **how)

    return make_release
