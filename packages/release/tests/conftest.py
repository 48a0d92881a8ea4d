"""A repo with one pipeline and one environment, and sealed releases in its place."""

from __future__ import annotations

import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest

from onebutton_release.pointer import Entry, move, settle
from onebutton_release.target import Target, find_target
from onebutton_serving.sealed import MANIFEST, digest_of, seal

ENVIRONMENTS = """
[environments.local]
place = "releases"
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
    for name in ("GITHUB_ACTIONS", "GITHUB_ACTOR"):
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
    """Put a sealed release into the place, without anybody pointing at it."""

    def put(version: str) -> Path:
        folder = repo / "releases/flights" / version
        folder.mkdir(parents=True)
        (folder / "model.onnx").write_bytes(version.encode())
        seal(folder)
        return folder

    return put


@pytest.fixture
def deployed(target: Target, put: Put) -> Callable[[str], None]:
    """Put a release into the place and into service."""

    def deployed(version: str) -> None:
        from onebutton_release.pointer import now, read_pointer

        before = read_pointer(target.place)
        folder = target.root / "releases/flights" / version
        folder = folder if folder.is_dir() else put(version)
        number, old = (before.sequence + 1, before.version) if before else (1, "")
        digest = digest_of(folder / MANIFEST)
        move(target.place, Entry(number, now(), "ann", "local", "flights", "deploy", old, version, "", digest))
        settle(target.place)

    return deployed
