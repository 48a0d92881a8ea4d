"""Each stage by itself: what it does not declare is not there, and what it writes is what stands in the pipeline."""

import socket
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from onebutton_contracts.errors import InputError
from onebutton_workbench.runs import alone

PLAN = """
stages:
  code: {cmd: python code.py, outs: [.code/second]}
  first: {cmd: python first.py, deps: [first.py], outs: [numbers.json]}
  second: {cmd: python second.py, deps: [.code/second, second.py, numbers.json], outs: [sum.json]}
"""
FIRST = "import pathlib\npathlib.Path('numbers.json').write_text('[1, 2]')\n"
SECOND = "import json, pathlib\n{}\npathlib.Path('sum.json').write_text(str(sum(json.load(open('numbers.json')))))\n"


@pytest.fixture
def pipeline(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A pipeline of two stages that was run."""
    folder = tmp_path / "pipelines/sums"
    folder.mkdir(parents=True)
    files = {
        "dvc.yaml": PLAN,
        "first.py": FIRST,
        "second.py": SECOND.format(""),
        "numbers.json": "[1, 2]",
        "sum.json": "3",
    }
    for name, text in files.items():
        (folder / name).write_text(text, encoding="utf-8")
    monkeypatch.setattr(alone, "ROOT", tmp_path)
    monkeypatch.setattr(alone, "pipelines_named", lambda _: ["sums"])
    monkeypatch.setattr(alone, "unnamed_drafts", lambda _: [])
    return folder


def test_stages_that_say_what_they_read_pass_and_their_seconds_are_told(
    pipeline: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    alone.run_each_alone("")
    said = capsys.readouterr().out
    assert "sums: first alone, " in said
    assert "sums: second alone, " in said
    assert (pipeline / "sum.json").read_text(encoding="utf-8") == "3"


def test_a_read_that_is_not_declared_fails_and_the_file_is_named(
    pipeline: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (pipeline / "rates.csv").write_text("1\n", encoding="utf-8")
    (pipeline / "second.py").write_text(SECOND.format("open('rates.csv').close()"), encoding="utf-8")
    with pytest.raises(InputError, match=r"name in dvc\.yaml what the stage reads"):
        alone.run_each_alone("")
    assert "failed the stage second failed" in (said := capsys.readouterr().out)
    assert "No such file or directory: 'rates.csv'" in said


def test_a_result_that_the_stage_does_not_write_fails(pipeline: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (pipeline / "sum.json").write_text("4", encoding="utf-8")
    with pytest.raises(InputError):
        alone.run_each_alone("")
    assert "failed sum.json is not what comes out: line 1 says 4, computed 3" in capsys.readouterr().out


@pytest.fixture
def server() -> Iterator[int]:
    """A port of this machine at which somebody listens."""
    with socket.create_server(("127.0.0.1", 0)) as listening:
        yield listening.getsockname()[1]


def test_only_a_first_stage_has_a_network(pipeline: Path, server: int, capsys: pytest.CaptureFixture[str]) -> None:
    asks = f"import socket; socket.create_connection(('127.0.0.1', {server})).close()\n"
    (pipeline / "first.py").write_text(asks + FIRST, encoding="utf-8")
    alone.run_each_alone("")
    (pipeline / "second.py").write_text(SECOND.format(asks), encoding="utf-8")
    if subprocess.run([*alone.NO_NETWORK, "true"], capture_output=True, check=False).returncode:
        alone.run_each_alone("")
        assert "NOT RUN without a network" in capsys.readouterr().out
    else:
        with pytest.raises(InputError):
            alone.run_each_alone("")
        assert "failed the stage second" in capsys.readouterr().out


def test_what_a_stage_keeps_from_run_to_run_is_given_to_it(pipeline: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (pipeline / "dvc.yaml").write_text(PLAN.replace("[sum.json]}", "[sum.json: {persist: true}]}"), encoding="utf-8")
    reads = "import pathlib\nassert pathlib.Path('sum.json').read_text() == '3'\n"
    (pipeline / "second.py").write_text(reads, encoding="utf-8")
    alone.run_each_alone("")
    assert "sums: second alone, " in capsys.readouterr().out
