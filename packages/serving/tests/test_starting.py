"""A server that cannot start says why in one line."""

import socket
import subprocess
import sys
from pathlib import Path

import pytest
from packages.serving.tests.conftest import damage, make_release

from onebutton_serving.__main__ import main
from onebutton_serving.sealed import ServingError
from onebutton_serving.settings import read_settings


def line(capsys: pytest.CaptureFixture[str], *words: str) -> str:
    assert main([*words]) == 1
    said = capsys.readouterr().err
    assert said.count("\n") == 1
    return said


def test_what_is_wrong_with_the_command_line_is_said_in_a_line(
    store: Path, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    here = ("--store", str(store), "--pipeline", "flights")
    assert "either --store" in line(capsys)
    assert "either --store" in line(capsys, *here, "--release", str(store))
    assert "say whose model" in line(capsys, "--store", str(store))
    assert "say whose model" in line(capsys, "--store", str(store), "--pipeline", "../x")
    assert "there is no release store" in line(capsys, "--store", str(tmp_path / "none"), "--pipeline", "flights")
    assert "release none: MANIFEST.sha256 cannot be read" in line(capsys, "--release", str(tmp_path / "none"))
    assert "--port (ONEBUTTON_PORT): Expected `int` <= 65535" in line(capsys, *here, "--port", "70000")
    assert "--workers (ONEBUTTON_WORKERS): Expected `int` >= 1" in line(capsys, *here, "--workers", "0")
    assert "cannot use the state folder /dev/null/x" in line(capsys, *here, "--state", "/dev/null/x", "--port", "1")


def test_a_taken_port_is_said_in_a_line(store: Path, capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as other:
        port = str(other.getsockname()[1])
        said = line(
            capsys, "--store", str(store), "--pipeline", "flights", "--port", port, "--state", str(tmp_path / "s")
        )
    assert f"cannot listen on 127.0.0.1:{port}: Address already in use; PORT= (--port) takes another" in said


def test_a_fixed_release_that_is_damaged_is_said_in_a_line(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    folder = make_release(tmp_path)
    damage(folder / "model.onnx")
    assert "is damaged: model.onnx was changed" in line(capsys, "--release", str(folder))


def test_no_traceback_reaches_a_person(tmp_path: Path) -> None:
    command = [sys.executable, "-m", "onebutton_serving", "--store", str(tmp_path / "none"), "--pipeline", "x"]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 1
    assert done.stderr.startswith("serving: there is no release store")
    assert "Traceback" not in done.stderr


def test_a_container_is_told_by_its_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    said = {
        "STORE": "s3://bucket/folder",
        "PIPELINE": "flights",
        "PORT": "9000",
        "HOST": "10.0.0.1",
        "WORKERS": "2",
        "STATE": "/state",
        "KEEP_MB": "500",
    }
    for name, value in said.items():
        monkeypatch.setenv(f"ONEBUTTON_{name}", value)
    settings = read_settings(["--port", "9001"])
    assert (settings.store, settings.pipeline, settings.host) == ("s3://bucket/folder", "flights", "10.0.0.1")
    assert (settings.port, settings.workers, settings.state, settings.keep_mb) == (9001, 2, "/state", 500)
    monkeypatch.setenv("ONEBUTTON_PORT", "many")
    with pytest.raises(ServingError, match=r"ONEBUTTON_PORT\): Expected `int`"):
        read_settings([])
