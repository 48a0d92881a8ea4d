"""A release store in S3, against a real server that speaks it and checks signatures."""

from __future__ import annotations

import http.client
import json
import os
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from importlib import util
from pathlib import Path
from typing import Any

import pytest
from packages.serving.tests.conftest import FIRST, SECOND, Server, damage, golden_rows, make_release

from onebutton_serving.loading import load_release
from onebutton_serving.release_store import ReleaseStore, ReleaseStoreError, open_store
from onebutton_serving.sealed import MANIFEST

pytestmark = pytest.mark.slow
KEY, SECRET = "a-key-of-the-test", "a-secret-of-the-test"


@pytest.fixture(scope="module")
def port(
    tmp_path_factory: pytest.TempPathFactory, not_run: Callable[[str], None], free_port: Callable[[], int]
) -> Iterator[int]:
    program = Path(sys.executable).with_name("nanio")
    if not program.is_file():
        not_run("nanio is not installed. `make test SLOW=1` brings it")
    if util.find_spec("boto3") is None:
        not_run("boto3 is not installed; the extra s3 of this member brings it")
    folder = tmp_path_factory.mktemp("s3")
    (folder / "team").mkdir()  # a bucket
    port = free_port()
    environment = os.environ | {"NANIO_ACCESS_KEY": KEY, "NANIO_SECRET_KEY": SECRET}
    command = [str(program), "serve", "--data-dir", str(folder), "--port", str(port), "--host", "127.0.0.1"]
    quiet: dict[str, Any] = {"stdout": subprocess.DEVNULL, "stderr": subprocess.DEVNULL}
    with subprocess.Popen(command, env=environment, start_new_session=True, **quiet) as server:
        try:
            for _ in range(300):
                with socket.socket() as probe:
                    if probe.connect_ex(("127.0.0.1", port)) == 0:
                        break
                time.sleep(0.05)
            yield port
        finally:
            os.killpg(server.pid, signal.SIGTERM)


@pytest.fixture
def variables(port: int, tmp_path: Path) -> dict[str, str]:
    return {
        "AWS_ENDPOINT_URL": f"http://127.0.0.1:{port}", "AWS_ACCESS_KEY_ID": KEY, "AWS_SECRET_ACCESS_KEY": SECRET,
        "AWS_DEFAULT_REGION": "us-east-1", "AWS_EC2_METADATA_DISABLED": "true", "HOME": str(tmp_path),
    }  # fmt: skip


@pytest.fixture
def url(variables: dict[str, str], monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> str:
    for name, value in variables.items():
        monkeypatch.setenv(name, value)
    return f"s3://team/{tmp_path.name}"


@pytest.fixture
def s3(url: str, store: Path) -> ReleaseStore:
    """A release store in S3 that holds both releases, the first in service."""
    found = open_store(url, "flights")
    for version in (FIRST, SECOND):
        found.publish(store / "flights" / version)
    found.write("pointer.json", json.dumps({"version": FIRST, "sequence": 1, "breaking": False}).encode())
    return found


def test_a_release_comes_back_as_it_was_published(s3: ReleaseStore, tmp_path: Path) -> None:
    assert s3.releases() == [FIRST, SECOND]
    folder = s3.fetch(FIRST, tmp_path / "cache")
    assert load_release(folder).version == FIRST
    damage(folder / "model.onnx")
    assert load_release(s3.fetch(FIRST, tmp_path / "cache")).version == FIRST  # a damaged copy is fetched again
    assert sorted(path.name for path in (tmp_path / "cache").iterdir()) == [".lock", FIRST]


def test_workers_that_share_a_cache_all_get_a_whole_release(s3: ReleaseStore, url: str, tmp_path: Path) -> None:
    stores = [open_store(url, "flights") for _ in range(6)]
    for attempt in range(5):
        with ThreadPoolExecutor(len(stores)) as pool:
            cache = tmp_path / f"cache-{attempt}"
            found = pool.map(lambda store, where=cache: load_release(store.fetch(FIRST, where)).version, stores)
            assert list(found) == [FIRST] * len(stores)
    assert s3.releases() == [FIRST, SECOND]


def test_a_copy_does_not_hide_what_the_place_has_lost(s3: ReleaseStore, url: str, tmp_path: Path) -> None:
    copy = s3.fetch(FIRST, tmp_path / "cache")
    assert s3.lacks(FIRST, copy) == ""
    store: Any = open_store(url, "flights")
    store._call("delete_object", f"{FIRST}/model.onnx")
    assert s3.lacks(FIRST, copy) == f"release {FIRST}: model.onnx is missing in {url}/flights"
    store._call("delete_object", f"{FIRST}/{MANIFEST}")
    assert "holds another MANIFEST.sha256 than the copy on this machine, or none" in s3.lacks(FIRST, copy)


def test_a_lock_that_cannot_be_removed_does_not_turn_what_was_done_into_a_failure(s3: ReleaseStore) -> None:
    with pytest.MonkeyPatch.context() as away, s3.hold():
        away.setenv("AWS_SECRET_ACCESS_KEY", "not-the-secret")
        away.setattr(s3, "read", lambda _: (_ for _ in ()).throw(ReleaseStoreError("it cannot be reached")))


def test_an_upload_that_was_cut_off_does_not_count_and_the_next_one_completes_it(
    s3: ReleaseStore, url: str, tmp_path: Path
) -> None:
    folder = make_release(tmp_path / "more", "20261126-0c0c0c0c")
    manifest = (folder / MANIFEST).read_bytes()
    s3.write(f"{folder.name}/schema.json", b"half")
    assert folder.name not in s3.releases()
    s3.publish(folder)
    assert s3.read(f"{folder.name}/{MANIFEST}") == manifest
    load_release(open_store(url, "flights").fetch(folder.name, tmp_path / "cache"))


def test_the_stamp_of_the_pointer_changes_with_it(s3: ReleaseStore) -> None:
    before = s3.stamp("pointer.json")
    assert s3.stamp("pointer.json") == before
    s3.write("pointer.json", b"{}")
    assert s3.stamp("pointer.json") not in {before, ""}
    assert s3.stamp("none.json") == ""
    assert s3.read("none.json") is None


def test_a_line_of_the_history_is_written_once(s3: ReleaseStore) -> None:
    for sequence, line in ((1, b"one"), (2, b"two"), (2, b"another"), (10, b"ten")):
        s3.append(sequence, line)
    assert s3.history() == [b"one", b"two", b"ten"]


class Conditional(ThreadingHTTPServer):
    """Stands before an S3 that ignores conditions, and keeps them as AWS does; everything else it passes on."""

    def __init__(self, to: int) -> None:
        self.to, self.there, self.turn = to, set[str](), threading.Lock()
        super().__init__(("127.0.0.1", 0), _PassOn)


class _PassOn(BaseHTTPRequestHandler):
    server: Conditional

    def _answer(self) -> None:
        body = self.rfile.read(int(self.headers.get("content-length", 0)))
        with self.server.turn:
            refused = self.headers.get("if-none-match") == "*" and self.path in self.server.there
            if refused:
                status, headers = 412, []
                content = b"<Error><Code>PreconditionFailed</Code><Message>no</Message></Error>"
            else:
                connection = http.client.HTTPConnection("127.0.0.1", self.server.to)
                connection.request(self.command, self.path, body, dict(self.headers.items()))
                answer = connection.getresponse()
                status, headers, content = answer.status, answer.getheaders(), answer.read()
                connection.close()
                if self.command == "PUT":
                    self.server.there.add(self.path)
                elif self.command == "DELETE":
                    self.server.there.discard(self.path)
        self.send_response(status)
        for name, value in headers:
            if name.lower() not in {"transfer-encoding", "connection", "date", "server"}:
                self.send_header(name, value)
        if refused:
            self.send_header("content-length", str(len(content)))
        self.end_headers()
        self.wfile.write(content)

    do_GET = do_PUT = do_HEAD = do_DELETE = _answer  # noqa: N815  names of the standard library

    def log_message(self, *_: object) -> None:
        return


@pytest.fixture(params=["conditions are kept", "conditions are ignored"])
def locked(
    request: pytest.FixtureRequest, s3: ReleaseStore, port: int, monkeypatch: pytest.MonkeyPatch
) -> Iterator[ReleaseStore]:
    if request.param == "conditions are ignored":
        yield s3
        return
    with Conditional(port) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        monkeypatch.setenv("AWS_ENDPOINT_URL", f"http://127.0.0.1:{server.server_address[1]}")
        yield s3
        server.shutdown()


def test_of_many_who_come_at_once_one_moves_the_pointer(
    locked: ReleaseStore, url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert locked.read("lock.json") is None
    monkeypatch.setattr("onebutton_serving.s3.SETTLED", 3.0)  # on a busy machine "the same moment" is a longer one
    stores = [open_store(url, "flights") for _ in range(6)]
    together, refused = threading.Barrier(len(stores)), threading.Semaphore(0)

    def press(store: ReleaseStore) -> bool:
        together.wait(60)
        try:
            with store.hold():
                for _ in range(len(stores) - 1):
                    assert refused.acquire(timeout=60)
                return True
        except ReleaseStoreError:
            refused.release()
            return False

    with ThreadPoolExecutor(len(stores)) as pool:
        assert sum(pool.map(press, stores)) == 1


def test_two_cannot_move_the_pointer_at_once_and_a_lock_left_behind_ends(locked: ReleaseStore, url: str) -> None:
    s3 = open_store(url, "flights")
    assert locked.stamp("lock.json") == ""
    other = open_store(url, "flights")
    with s3.hold(), pytest.raises(ReleaseStoreError, match="deploys or rolls back right now"), other.hold():
        pass
    with other.hold():
        pass
    assert s3.read("lock.json") is None
    s3.write("lock.json", json.dumps({"who": "ann", "until": time.time() - 1, "token": "x"}).encode())
    with other.hold():
        pass
    s3.write("lock.json", json.dumps({"who": "ann on laptop", "until": time.time() + 60, "token": "x"}).encode())
    with pytest.raises(ReleaseStoreError, match="ann on laptop deploys or rolls back right now"), other.hold():
        pass


@pytest.mark.usefixtures("s3")
def test_what_is_wrong_is_said_in_a_line(
    url: str, free_port: Callable[[], int], monkeypatch: pytest.MonkeyPatch
) -> None:
    def said(address: str) -> str:
        with pytest.raises(ReleaseStoreError) as refused:
            open_store(address, "flights").read("pointer.json")
        assert "\n" not in str(refused.value)
        return str(refused.value)

    assert "there is no such bucket" in said("s3://nobody/x")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "not-the-secret")
    assert "the key that is set is refused" in said(url)
    monkeypatch.delenv("AWS_SECRET_ACCESS_KEY")
    monkeypatch.delenv("AWS_ACCESS_KEY_ID")
    assert "no key is set" in said(url)
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", SECRET)
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", KEY)
    monkeypatch.setenv("AWS_ENDPOINT_URL", f"http://127.0.0.1:{free_port()}")
    begun = time.monotonic()
    assert "cannot be reached" in said(url)
    assert time.monotonic() - begun < 10


def test_a_server_follows_a_pointer_in_s3_and_keeps_its_model_when_s3_is_gone(
    s3: ReleaseStore, url: str, variables: dict[str, str], serve: Callable[..., Server]
) -> None:
    server = serve("--store", url, "--pipeline", "flights", **variables).ready()
    s3.write("pointer.json", json.dumps({"version": SECOND, "sequence": 2, "breaking": False}).encode())
    server.until(lambda: server.versions() == {SECOND})
    assert server.predict(golden_rows("second")[0]["input"])[1]["predictions"] == [golden_rows("second")[0]["output"]]
    assert (server.state / "releases" / SECOND / MANIFEST).is_file()
