"""A release store in S3: against a server that checks signatures, and one that keeps conditions as AWS does."""

import os
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any
from urllib.request import Request, urlopen

import pytest
from packages.serving.tests.conftest import FIRST, SECOND, Server, damage, golden_rows, make_release, point

from onebutton_serving.history import HISTORY, in_service, read_history
from onebutton_serving.loading import load_release
from onebutton_serving.release_store import ReleaseStore, ReleaseStoreError
from onebutton_serving.sealed import MANIFEST

pytestmark = pytest.mark.slow
KEY, SECRET = "a-key-of-the-test", "a-secret-of-the-test"


@pytest.fixture(scope="module", params=["nanio", "moto_server"])
def port(
    request: pytest.FixtureRequest,
    tmp_path_factory: pytest.TempPathFactory,
    not_run: Callable[[str], None],
    free_port: Callable[[], int],
) -> Iterator[int]:
    program = Path(sys.executable).with_name(request.param)
    if not program.is_file():
        not_run(f"{request.param} is not installed. `make test SLOW=1` brings it")
    folder = tmp_path_factory.mktemp("s3")
    (folder / "team").mkdir()  # a bucket
    port = free_port()
    environment = os.environ | {"NANIO_ACCESS_KEY": KEY, "NANIO_SECRET_KEY": SECRET}
    words = ["serve", "--data-dir", str(folder), "--port", str(port), "--host", "127.0.0.1"]
    command = [str(program), *(words if request.param == "nanio" else ["-H", "127.0.0.1", "-p", str(port)])]
    quiet: dict[str, Any] = {"stdout": subprocess.DEVNULL, "stderr": subprocess.DEVNULL}
    with subprocess.Popen(command, env=environment, start_new_session=True, **quiet) as server:
        try:
            for _ in range(300):
                with socket.socket() as probe:
                    if probe.connect_ex(("127.0.0.1", port)) == 0:
                        break
                time.sleep(0.05)
            if request.param == "moto_server":
                address = f"http://127.0.0.1:{port}/team"
                urlopen(Request(address, method="PUT"), timeout=10).close()
            yield port
        finally:
            os.killpg(server.pid, signal.SIGTERM)


@pytest.fixture
def variables(port: int, tmp_path: Path) -> dict[str, str]:
    return {
        "AWS_ENDPOINT_URL": f"http://127.0.0.1:{port}", "AWS_ACCESS_KEY_ID": KEY, "AWS_SECRET_ACCESS_KEY": SECRET,
        "AWS_DEFAULT_REGION": "us-east-1", "HOME": str(tmp_path),
    }  # fmt: skip


@pytest.fixture
def url(variables: dict[str, str], monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> str:
    for name, value in variables.items():
        monkeypatch.setenv(name, value)
    return f"s3://team/{tmp_path.name}"


@pytest.fixture
def s3(url: str, store: Path) -> ReleaseStore:
    """A release store in S3 that holds both releases, the first in service."""
    found = ReleaseStore(url, "flights")
    for version in (FIRST, SECOND):
        found.publish(store / "flights" / version)
    point(url, FIRST)
    return found


def test_a_release_comes_back_as_it_was_published(s3: ReleaseStore, tmp_path: Path) -> None:
    assert s3.releases() == [FIRST, SECOND]
    folder = s3.fetch(FIRST, tmp_path / "cache")
    assert load_release(folder).version == FIRST
    damage(folder / "model.onnx")
    assert load_release(s3.fetch(FIRST, tmp_path / "cache")).version == FIRST  # a damaged copy is fetched again
    assert sorted(path.name for path in (tmp_path / "cache").iterdir()) == [".lock", FIRST]


def test_workers_that_share_a_cache_all_get_a_whole_release(s3: ReleaseStore, url: str, tmp_path: Path) -> None:
    stores = [ReleaseStore(url, "flights") for _ in range(6)]
    for attempt in range(5):
        with ThreadPoolExecutor(len(stores)) as pool:
            cache = tmp_path / f"cache-{attempt}"
            found = pool.map(lambda store, where=cache: load_release(store.fetch(FIRST, where)).version, stores)
            assert list(found) == [FIRST] * len(stores)
    assert s3.releases() == [FIRST, SECOND]


def test_an_upload_that_was_cut_off_does_not_count_and_the_next_one_completes_it(
    s3: ReleaseStore, url: str, tmp_path: Path
) -> None:
    folder = make_release(tmp_path / "more", "20261126-0c0c0c0c")
    manifest = (folder / MANIFEST).read_bytes()
    s3.create(f"{folder.name}/schema.json", b"half")
    assert folder.name not in s3.releases()
    s3.publish(folder)
    assert s3.read(f"{folder.name}/{MANIFEST}") == manifest
    load_release(ReleaseStore(url, "flights").fetch(folder.name, tmp_path / "cache"))


def test_a_move_is_one_file_more_and_what_is_not_there_is_nothing(s3: ReleaseStore, url: str) -> None:
    before = s3.names(HISTORY)
    point(url, SECOND, 2)
    assert s3.names(HISTORY) == [*before, f"{HISTORY}/000002.json"]
    assert s3.names("nothing") == []
    assert s3.read("none.json") is None


@pytest.mark.parametrize("port", ["moto_server"], indirect=True)
def test_of_many_who_come_at_once_one_moves_what_is_in_service(s3: ReleaseStore, url: str) -> None:
    together = threading.Barrier(8)

    def press(version: str) -> str:
        together.wait(60)
        try:
            point(url, version, 2)
        except ReleaseStoreError as error:
            assert "somebody else deployed or rolled back meanwhile" in str(error)  # noqa: PT017  of some of them
            return ""
        return version

    with ThreadPoolExecutor(8) as pool:
        took = [version for version in pool.map(press, [FIRST, SECOND] * 4) if version]
    last = in_service(s3)
    assert last is not None
    assert took == [last.after]
    assert [move.sequence for move in read_history(s3)] == [1, 2]


@pytest.mark.usefixtures("s3")
@pytest.mark.parametrize("port", ["nanio"], indirect=True)
def test_what_is_wrong_is_said_in_a_line(
    url: str, free_port: Callable[[], int], monkeypatch: pytest.MonkeyPatch
) -> None:
    def said(address: str) -> str:
        with pytest.raises(ReleaseStoreError) as refused:
            ReleaseStore(address, "flights").read("store.id")
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


@pytest.mark.usefixtures("s3")
def test_a_server_follows_a_pointer_in_s3_and_keeps_its_model_when_s3_is_gone(
    url: str, variables: dict[str, str], serve: Callable[..., Server]
) -> None:
    server = serve("--store", url, "--pipeline", "flights", **variables).ready()
    point(url, SECOND, 2)
    server.until(lambda: server.versions() == {SECOND})
    assert server.predict(golden_rows("second")[0]["input"])[1]["predictions"] == [golden_rows("second")[0]["output"]]
    assert (server.state / "releases" / SECOND / MANIFEST).is_file()
