"""Each refusal is seen through: one line, and a pipeline as it was before."""

import gzip
import hashlib
from pathlib import Path
from typing import Any

import polars as pl
import pytest

from onebutton_contracts.contract import load_contract
from onebutton_contracts.errors import InputError
from onebutton_contracts.tables import read_parquet
from onebutton_workbench.data.intake import data_add, license_of
from onebutton_workbench.workspace import ROOT

CSV = "station,temp\n" + "".join(f"S{number},{number / 2}\n" for number in range(1, 41))
GOOD: dict[str, Any] = {
    "pipeline": "pipe",
    "file": "weather.csv",
    "sha256": hashlib.sha256(CSV.encode()).hexdigest(),
    "license_": "CC0-1.0",
    "name": "weather",
}


@pytest.fixture
def shelf(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """What somebody offers."""
    folder = tmp_path_factory.mktemp("shelf")
    (folder / "weather.csv").write_text(CSV, encoding="utf-8")
    return folder


@pytest.fixture
def repo(workspace: Path, shell: Any) -> Path:
    """The workspace as a checkout with DVC."""
    shell("git", "init", "-q", folder=workspace)
    shell("dvc", "init", "-q", folder=workspace)
    shell("git", "add", "-A", folder=workspace)
    shell("git", "commit", "-qm", "chore: begin", folder=workspace)
    return workspace


def everything(root: Path) -> dict[str, bytes]:
    kept = (path for path in root.rglob("*") if path.is_file() and not {".git", ".dvc"} & set(path.parts))
    return {path.relative_to(root).as_posix(): path.read_bytes() for path in kept}


def take(root: Path, file: Path, **values: Any) -> None:
    digest = hashlib.sha256(file.read_bytes()).hexdigest() if file.is_file() else "0" * 64
    data_add(root, **(GOOD | {"file": str(file), "sha256": digest} | values))


@pytest.mark.parametrize(
    ("values", "words"),
    [
        ({"pipeline": ""}, "PIPELINE= says which pipeline takes the table in: pipe. `make new-pipeline FROM=`"),
        ({"pipeline": "pip"}, "there is no pipeline 'pip'. PIPELINE can be: pipe"),
        ({"sha256": ""}, "SHA256= must be the 64 digits"),
        ({"sha256": "abc"}, "SHA256= must be the 64 digits"),
        ({"license_": ""}, "LICENSE= must say under which licence"),
        ({"license_": "free, I think"}, "LICENSE= must say under which licence"),
        ({"name": "../weather"}, "NAME= must be a name in small letters"),
        ({"file": ""}, "FILE= names the table, a file here: download it first, and unpack it"),
        (
            {"file": "https://example.org/a.csv"},
            "a.csv cannot be read: No such file or directory; nothing was taken in",
        ),
    ],
)
def test_what_was_typed_is_refused_before_anything_is_read(workspace: Path, values: dict[str, Any], words: str) -> None:
    with pytest.raises(InputError) as refused:
        data_add(workspace, **(GOOD | values))
    assert words in str(refused.value)
    assert "\n" not in str(refused.value)


def test_a_licence_of_the_team_s_own_is_taken() -> None:
    assert license_of("LicenseRef-internal") == "LicenseRef-internal"


def test_a_table_of_the_same_name_is_never_written_over(workspace: Path) -> None:
    there = workspace / "pipelines/pipe/contracts/weather.odcs.yaml"
    there.parent.mkdir()
    there.write_text("mine\n", encoding="utf-8")
    with pytest.raises(InputError, match="is there already"):
        data_add(workspace, **GOOD)


@pytest.mark.parametrize(
    ("content", "words"),
    [
        (b"\x80\x04K\x01.", "a pickle, and reading a pickle runs the code in it"),
        (gzip.compress(CSV.encode(), mtime=0), "an archive: take the table out"),
        (b"\x00\x01\x02", "binary, of no known format"),
        (b"a,b\n1,2,3\n1\n", "no table"),
    ],
    ids=["pickle", "archive", "type", "ragged"],
)
def test_what_may_not_come_in_leaves_nothing_behind(workspace: Path, shelf: Path, content: bytes, words: str) -> None:
    (shelf / "given").write_bytes(content)
    before = everything(workspace)
    with pytest.raises(InputError) as refused:
        take(workspace, shelf / "given")
    assert words in str(refused.value)
    assert "\n" not in str(refused.value)
    assert everything(workspace) == before


def test_another_file_than_the_hash_says_is_refused(workspace: Path, shelf: Path) -> None:
    before = everything(workspace)
    with pytest.raises(InputError, match="it is another file, so it was not taken in"):
        take(workspace, shelf / "weather.csv", sha256="0" * 64)
    assert everything(workspace) == before


@pytest.mark.slow
def test_a_table_is_described_and_tracked(
    repo: Path, shelf: Path, shell: Any, capsys: pytest.CaptureFixture[str]
) -> None:
    take(repo, shelf / "weather.csv", sha256=GOOD["sha256"].upper())
    folder = repo / "pipelines/pipe"
    contract = load_contract(folder / "contracts/weather.odcs.yaml")
    frame = read_parquet(folder / "data/weather.parquet", contract.name, contract.major)
    assert (frame.height, contract.primary_key) == (40, ("station",))
    assert contract.properties["source"] == "weather.csv"
    assert contract.properties["sourceSha256"] == GOOD["sha256"]
    assert "up to date" in shell("dvc", "status", "pipelines/pipe/data/weather.parquet.dvc", folder=repo)
    status = shell("git", "status", "--porcelain", "-uall", folder=repo)
    assert sorted(line.split("/pipe/")[1] for line in status.splitlines()) == [
        "contracts/weather.odcs.yaml",
        "data/.gitignore",
        "data/weather.parquet.dvc",
    ]
    assert "each guess in it is yours to decide" in capsys.readouterr().out


@pytest.mark.slow
def test_when_dvc_refuses_the_pipeline_is_as_it_was(repo: Path, shelf: Path) -> None:
    """A stage that writes the table itself is the usual reason."""
    dvc_yaml = repo / "pipelines/pipe/dvc.yaml"
    dvc_yaml.write_text("stages:\n  make:\n    cmd: touch a\n    outs: [data/weather.parquet]\n", encoding="utf-8")
    (repo / "pipelines/pipe/data").mkdir()
    (repo / "pipelines/pipe/data/.gitignore").write_text("/raw\n", encoding="utf-8")
    before = everything(repo)
    with pytest.raises(InputError, match=r"DVC does not track pipelines/pipe/data/weather\.parquet") as refused:
        take(repo, shelf / "weather.csv")
    assert "\n" not in str(refused.value)
    assert everything(repo) == before


@pytest.mark.slow
def test_the_button_refuses_in_one_line(shell: Any, tmp_path: Path) -> None:
    pl.DataFrame({"a": [1]}).write_parquet(tmp_path / "a.parquet")
    words = [f"FILE={tmp_path / 'a.parquet'}", "LICENSE=CC0-1.0", "NAME=a", "SHA256=" + "0" * 64]
    shown = shell("make", "data-add", *words, folder=ROOT, status=2)
    assert "data-add: PIPELINE= says which pipeline takes the table in" in shown
    shown = shell("make", "data-add", *words, "PIPELINE=flight_delays", folder=ROOT, status=2)
    assert "it is another file, so it was not taken in" in shown
    assert "Traceback" not in shown
