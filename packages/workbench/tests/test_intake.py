"""Each refusal is seen through: one line, and a pipeline as it was before."""

from __future__ import annotations

import gc
import hashlib
import io
import stat
import threading
import zipfile
from collections.abc import Iterator
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import polars as pl
import pytest

from onebutton_contracts.contract import load_contract
from onebutton_contracts.errors import InputError
from onebutton_contracts.tables import read_parquet
from onebutton_workbench.data.intake import Request, data_add, read_request
from onebutton_workbench.workspace import ROOT

CSV = "station,temp\n" + "".join(f"S{number},{number / 2}\n" for number in range(1, 41))
GOOD: dict[str, Any] = {
    "pipeline": "pipe",
    "url": "",
    "file": "weather.csv",
    "sha256": hashlib.sha256(CSV.encode()).hexdigest(),
    "license_": "CC0-1.0",
    "name": "weather",
    "limit": 1000,
}


class Quiet(SimpleHTTPRequestHandler):
    """Serves a folder; `/cut.csv` promises more than it sends."""

    def do_GET(self) -> None:
        if self.path != "/cut.csv":
            super().do_GET()
            return
        self.send_response(200)
        self.send_header("Content-Length", "1000")
        self.end_headers()
        self.wfile.write(CSV.encode()[:100])

    def log_message(self, format: str, *args: Any) -> None:  # noqa: A002  its own name
        pass


@pytest.fixture
def shelf(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """What somebody offers."""
    folder = tmp_path_factory.mktemp("shelf")
    (folder / "weather.csv").write_text(CSV, encoding="utf-8")
    return folder


@pytest.fixture
def address(shelf: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[str]:
    monkeypatch.setenv("no_proxy", "127.0.0.1")
    server = ThreadingHTTPServer(("127.0.0.1", 0), partial(Quiet, directory=str(shelf)))
    server.daemon_threads = False  # so that closing waits for the last answer, and leaves no socket to the collector
    threading.Thread(target=server.serve_forever, daemon=True).start()
    yield f"http://127.0.0.1:{server.server_port}"
    server.shutdown()
    server.server_close()
    gc.collect()  # a thread whose client cut the line leaves its socket to the collector: here, not in another test


@pytest.fixture
def repo(workspace: Path, shell: Any) -> Path:
    """The workspace as a checkout with DVC."""
    shell("git", "init", "-q", folder=workspace)
    shell("dvc", "init", "-q", folder=workspace)
    shell("git", "add", "-A", folder=workspace)
    shell("git", "commit", "-qm", "chore: begin", folder=workspace)
    return workspace


def request(source: str, content: bytes, limit: int = 10**6) -> Request:
    return Request(source, hashlib.sha256(content).hexdigest(), "CC0-1.0", "weather", "pipe", limit)


def everything(root: Path) -> dict[str, bytes]:
    kept = (path for path in root.rglob("*") if path.is_file() and not {".git", ".dvc"} & set(path.parts))
    return {path.relative_to(root).as_posix(): path.read_bytes() for path in kept}


def typed(root: Path, **values: Any) -> Request:
    return read_request(root=root, **(GOOD | values))


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
        ({"file": ""}, "URL=https://... or FILE=path, one of them"),
        ({"url": "https://example.org/a.csv"}, "URL=https://... or FILE=path, one of them"),
        ({"file": "", "url": "file:///etc/passwd"}, "URL must begin with https:// or http://"),
        ({"limit": 0}, "LIMIT must be a whole number of MB"),
    ],
)
def test_what_was_typed_is_refused_before_anything_is_fetched(
    workspace: Path, values: dict[str, Any], words: str
) -> None:
    with pytest.raises(InputError) as refused:
        typed(workspace, **values)
    assert words in str(refused.value)
    assert "\n" not in str(refused.value)


def test_a_licence_of_the_team_s_own_is_taken(workspace: Path) -> None:
    request = typed(workspace, license_="LicenseRef-internal", sha256=GOOD["sha256"].upper())
    assert request.license == "LicenseRef-internal"


def test_a_table_of_the_same_name_is_never_written_over(workspace: Path) -> None:
    there = workspace / "pipelines/pipe/contracts/weather.odcs.yaml"
    there.parent.mkdir()
    there.write_text("mine\n", encoding="utf-8")
    with pytest.raises(InputError, match="is there already"):
        typed(workspace)


def test_a_source_stands_in_git_without_password_and_signature() -> None:
    address = "https://ann:s3cret@example.org/a/weather.csv?X-Amz-Signature=1234#top"  # pragma: allowlist secret
    assert request(address, b"").public_source == "https://example.org/a/weather.csv"
    assert request("/home/ann/secret project/weather.csv", b"").public_source == "weather.csv"


def zipped(name: str, content: bytes) -> bytes:
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as archive:
        archive.writestr("weather.csv", CSV)
        archive.writestr(name, content)
    return buffer.getvalue()


def linked() -> bytes:
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as archive:
        info = zipfile.ZipInfo("weather.csv")
        info.external_attr = (stat.S_IFLNK | 0o777) << 16
        archive.writestr(info, "/etc/passwd")
    return buffer.getvalue()


@pytest.mark.parametrize(
    ("content", "words"),
    [
        (zipped("model.bin", b"\x80\x04K\x01."), "a pickle, and reading a pickle runs the code in it"),
        (zipped("../evil.sh", b"echo"), "'../evil.sh', a path that leads out of the archive"),
        (linked(), "'weather.csv', a link"),
        (CSV.encode() + b"0" * 2 * 10**6, "has more than 1 MB, so it was not taken in"),
        (b"\x00\x01\x02", "binary, of no known format"),
        (b"a,b\n1,2,3\n1\n", "no table"),
    ],
    ids=["pickle", "path", "link", "size", "type", "ragged"],
)
def test_what_may_not_come_in_leaves_nothing_behind(workspace: Path, shelf: Path, content: bytes, words: str) -> None:
    (shelf / "given").write_bytes(content)
    before = everything(workspace)
    with pytest.raises(InputError) as refused:
        data_add(request(str(shelf / "given"), content), workspace)
    assert words in str(refused.value)
    assert "\n" not in str(refused.value)
    assert everything(workspace) == before


def test_another_file_than_the_hash_says_is_refused(workspace: Path, shelf: Path) -> None:
    before = everything(workspace)
    with pytest.raises(InputError, match="it is another file, so it was not taken in"):
        data_add(request(str(shelf / "weather.csv"), b"another"), workspace)
    with pytest.raises(InputError, match=r"nothing.csv cannot be read: No such file"):
        data_add(request(str(shelf / "nothing.csv"), b""), workspace)
    assert everything(workspace) == before


@pytest.mark.slow
@pytest.mark.parametrize(
    ("path", "words"),
    [
        ("nothing.csv", "answers 404 File not found"),
        ("cut.csv", "cut.csv cannot be read: the connection was cut 900 bytes early"),
        ("weather.csv", "it is another file"),
    ],
)
def test_an_address_that_does_not_give_the_file_ends_in_one_line(
    workspace: Path, address: str, path: str, words: str
) -> None:
    before = everything(workspace)
    with pytest.raises(InputError) as refused:
        data_add(request(f"{address}/{path}", b"other"), workspace)
    assert words in str(refused.value)
    assert everything(workspace) == before


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore:Exception ignored in. <socket.socket:pytest.PytestUnraisableExceptionWarning")
def test_a_table_from_an_address_is_described_and_tracked(
    repo: Path, address: str, shell: Any, capsys: pytest.CaptureFixture[str]
) -> None:
    data_add(typed(repo, file="", url=f"{address}/weather.csv?token=abc"), repo)
    folder = repo / "pipelines/pipe"
    contract = load_contract(folder / "contracts/weather.odcs.yaml")
    frame = read_parquet(folder / "data/weather.parquet", contract.name, contract.major)
    assert (frame.height, contract.primary_key) == (40, ("station",))
    assert contract.properties["source"] == f"{address}/weather.csv"
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
        data_add(request(str(shelf / "weather.csv"), CSV.encode()), repo)
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
