"""Push and pull against a real server that speaks S3 and checks signatures."""

import contextlib
import os
import shutil
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from onebutton_contracts.errors import InputError
from onebutton_workbench.data.storage import check_remote, choose, configured, pull, push
from onebutton_workbench.runs.doctor import storage

pytestmark = pytest.mark.slow
KEY, SECRET, WRONG = "a-key-of-the-test", "a-secret-of-the-test", "not-the-secret"
DATA = {"table.bin": os.urandom(3_000_000), "raw/one.bin": os.urandom(200_000), "raw/two.bin": b"two\n"}


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory, free_port: Callable[[], int]) -> Iterator[int]:
    folder = tmp_path_factory.mktemp("s3")
    (folder / "team").mkdir()  # a bucket
    port = free_port()
    environment = os.environ | {"NANIO_ACCESS_KEY": KEY, "NANIO_SECRET_KEY": SECRET}
    command = [str(Path(sys.executable).with_name("nanio")), "serve", "--data-dir", str(folder), "--port", str(port)]
    quiet: dict[str, Any] = {"stdout": subprocess.DEVNULL, "stderr": subprocess.DEVNULL}
    with subprocess.Popen(
        [*command, "--host", "127.0.0.1"], env=environment, start_new_session=True, **quiet
    ) as program:
        try:
            for _ in range(300):
                with socket.socket() as probe:
                    if probe.connect_ex(("127.0.0.1", port)) == 0:
                        break
                time.sleep(0.1)
            yield port
        finally:
            os.killpg(program.pid, signal.SIGTERM)


class Wire:
    """A connection to a server that is cut for good once so many bytes have passed."""

    def __init__(self, port: int, limit: int) -> None:
        self.left, self.to = limit, port
        self.listener = socket.create_server(("127.0.0.1", 0))
        self.port = int(self.listener.getsockname()[1])
        self.open: list[socket.socket] = []
        threading.Thread(target=self._serve, daemon=True).start()

    def _serve(self) -> None:
        while True:
            try:
                near, _ = self.listener.accept()
            except OSError:
                return
            try:
                far = socket.create_connection(("127.0.0.1", self.to))
            except OSError:
                near.close()
                continue
            self.open += [near, far]
            if self.left < 0:  # it was cut meanwhile
                self.cut()
                return
            for source, sink in ((near, far), (far, near)):
                threading.Thread(target=self._pass_on, args=(source, sink), daemon=True).start()

    def _pass_on(self, source: socket.socket, sink: socket.socket) -> None:
        try:
            while data := source.recv(16_384):
                self.left -= len(data)
                if self.left < 0:
                    self.cut()
                    return
                sink.sendall(data)
            sink.shutdown(socket.SHUT_WR)
        except OSError:
            return

    def cut(self) -> None:
        for one in (self.listener, *self.open):
            with contextlib.suppress(OSError):
                one.shutdown(socket.SHUT_RDWR)
            one.close()


@pytest.fixture
def repo(tmp_path: Path, server: int, shell: Any, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A checkout whose pipeline made three files, with an S3 remote of its own."""
    for name in ("AWS_PROFILE", "AWS_SESSION_TOKEN"):
        monkeypatch.delenv(name, raising=False)
    use(monkeypatch, server)
    monkeypatch.setenv("AWS_DEFAULT_REGION", "us-east-1")
    monkeypatch.setenv("HOME", str(tmp_path / "home"))
    root = tmp_path / "repo"
    folder = root / "pipelines/toy"
    folder.mkdir(parents=True)
    (tmp_path / "source").mkdir()
    for name, content in DATA.items():
        (tmp_path / "source" / name).parent.mkdir(exist_ok=True)
        (tmp_path / "source" / name).write_bytes(content)
    (folder / "dvc.yaml").write_text(
        f"stages:\n  ingest:\n    cmd: cp -r {tmp_path}/source/. .\n    outs: [table.bin, raw]\n", encoding="utf-8"
    )
    shell("git", "init", "--quiet", folder=root)
    shell("dvc", "init", "--quiet", folder=root)
    shell("dvc", "repro", "--quiet", "pipelines/toy/dvc.yaml", folder=root)
    shell("git", "add", "--all", folder=root)
    shell("git", "commit", "--quiet", "--message", "first", folder=root)
    choose(f"s3://team/{tmp_path.name}", root)
    return root


def use(monkeypatch: pytest.MonkeyPatch, port: int, secret: str = SECRET) -> None:
    monkeypatch.setenv("AWS_ENDPOINT_URL", f"http://127.0.0.1:{port}")
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", KEY)
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", secret)


def lose_everything(root: Path) -> None:
    shutil.rmtree(root / ".dvc/cache")
    shutil.rmtree(root / ".dvc/tmp", ignore_errors=True)
    for name in DATA:
        (root / "pipelines/toy" / name).unlink()


def held(root: Path) -> dict[str, bytes]:
    folder = root / "pipelines/toy"
    return {name: (folder / name).read_bytes() for name in DATA if (folder / name).is_file()}


def test_what_was_pushed_comes_back_byte_for_byte_when_the_cache_is_lost(repo: Path) -> None:
    push(repo)
    lose_everything(repo)
    pull(repo, "toy")
    assert held(repo) == DATA


def test_no_key_is_ever_written_to_a_file(repo: Path) -> None:
    push(repo)
    written = [file.read_bytes() for file in repo.rglob("*") if file.is_file()]
    assert written
    assert not any(KEY.encode() in content or SECRET.encode() in content for content in written)


def test_a_wrong_key_is_refused_in_one_line_and_nothing_is_lost(
    repo: Path, server: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    use(monkeypatch, server, WRONG)
    with pytest.raises(InputError, match="Forbidden") as refused:
        push(repo)
    assert "\n" not in str(refused.value)
    assert held(repo) == DATA
    use(monkeypatch, server)
    push(repo)
    lose_everything(repo)
    use(monkeypatch, server, WRONG)
    with pytest.raises(InputError, match="Forbidden"):
        pull(repo)
    use(monkeypatch, server)
    pull(repo)
    assert held(repo) == DATA


def test_a_push_over_a_cut_connection_says_so_and_the_next_one_completes_it(
    repo: Path, server: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    use(monkeypatch, Wire(server, 300_000).port)
    with pytest.raises(InputError, match=r"failed to (push|pull) data .* What arrived stays: press again") as cut:
        push(repo)
    assert "\n" not in str(cut.value)
    assert held(repo) == DATA
    use(monkeypatch, server)
    push(repo)
    lose_everything(repo)
    pull(repo)
    assert held(repo) == DATA


def test_a_pull_over_a_cut_connection_leaves_no_half_file_and_the_next_one_completes_it(
    repo: Path, server: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    push(repo)
    lose_everything(repo)
    use(monkeypatch, Wire(server, 300_000).port)
    with pytest.raises(InputError, match=r"failed to (push|pull) data .* What arrived stays: press again"):
        pull(repo)
    assert held(repo).items() <= DATA.items()
    use(monkeypatch, server)
    pull(repo)
    assert held(repo) == DATA


def test_a_commit_whose_data_was_never_pushed_is_found_until_it_is(repo: Path) -> None:
    remote = configured(repo)
    assert remote
    found, _ = check_remote(repo, remote)
    assert [(one.check, one.place) for one in found] == [
        ("OB304", "pipelines/toy/raw/"),
        ("OB304", "pipelines/toy/table.bin"),
    ]
    push(repo)
    assert check_remote(repo, remote) == ([], "")


@pytest.mark.parametrize("trouble", ["key", "network"])
def test_a_remote_that_does_not_answer_is_never_taken_for_one_that_has_the_data_or_not(
    repo: Path, server: int, free_port: Callable[[], int], monkeypatch: pytest.MonkeyPatch, trouble: str
) -> None:
    use(monkeypatch, server if trouble == "key" else free_port(), WRONG)
    remote = configured(repo)
    assert remote
    found, why = check_remote(repo, remote)
    assert found == []
    assert ("Forbidden" if trouble == "key" else "Could not connect") in why
    ((_, state, words),) = storage(repo)
    assert state == "missing"
    assert "CODEOWNERS" in words
