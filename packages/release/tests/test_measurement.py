import threading
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest

from onebutton_contracts.errors import InputError
from onebutton_release.measurement import in_words, load, measure


class Answers(BaseHTTPRequestHandler):
    """Answers every request with the status that the server has."""

    def do_POST(self) -> None:
        self.rfile.read(int(self.headers["content-length"]))
        self.send_response(self.server.status)  # type: ignore[attr-defined]
        self.send_header("x-model-version", "one")
        self.send_header("content-length", "0")
        self.end_headers()

    def log_message(self, *_: object) -> None:
        """Say nothing."""


@pytest.fixture
def server() -> Iterator[ThreadingHTTPServer]:
    with ThreadingHTTPServer(("127.0.0.1", 0), Answers) as server:
        threading.Thread(target=server.serve_forever, args=(0.01,)).start()
        yield server
        server.shutdown()


def test_each_answer_has_its_time_and_its_version(server: ThreadingHTTPServer) -> None:
    server.status = 200  # type: ignore[attr-defined]
    answers = load(f"http://127.0.0.1:{server.server_port}", '{"価格": "süß"}', seconds=0.2)
    assert {version for _, version in answers} == {"one"}
    assert all(0 < milliseconds < 10_000 for milliseconds, _ in answers)


def test_a_server_that_fails_a_request_is_not_fit_for_service(server: ThreadingHTTPServer) -> None:
    server.status = 500  # type: ignore[attr-defined]
    with pytest.raises(InputError, match="a request failed, so it is not fit for service"):
        load(f"http://127.0.0.1:{server.server_port}", "{}", seconds=0.2)


def test_a_server_that_is_not_there_is_not_fit_either() -> None:
    with pytest.raises(InputError, match="not fit for service"):
        load("http://127.0.0.1:9", "{}", seconds=0.2)


@pytest.mark.slow
def test_the_real_server_is_measured(make_release: Callable[..., Path], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("onebutton_release.measurement.SECONDS", 0.3)
    found = measure(make_release("20261101-aaaaaaaa"))
    assert 0 < found["p50_ms"] <= found["p95_ms"] <= found["p99_ms"]
    assert found["requests_per_second"] > 0
    assert "requests/s, p95 " in in_words(found)
