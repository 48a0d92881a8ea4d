"""What the button says of packages, held against a server that answers as an index and as OSV do, and of keys in a history."""

import hashlib
import io
import json
import re
import zipfile
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Thread
from typing import Any

import pytest

from onebutton_workbench.checks.audit import leaks, of_the_index, vulnerabilities
from onebutton_workbench.environment import call
from onebutton_workbench.workspace import ROOT

PROJECT = '[project]\nname = "{}"\nversion = "0"\nrequires-python = ">=3.11"\ndependencies = {}\n'
WORKSPACE = (
    '[tool.uv]\npackage = false\nworkspace.members = ["packages/*"]\nindex = [{{ url = "{}simple", default = true }}]\n'
)


def wheel() -> bytes:
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w") as archive:
        archive.writestr("one-1.0.dist-info/METADATA", "Metadata-Version: 2.1\nName: one\nVersion: 1.0\n")
        archive.writestr("one-1.0.dist-info/WHEEL", "Wheel-Version: 1.0\nRoot-Is-Purelib: true\nTag: py3-none-any\n")
        archive.writestr("one-1.0.dist-info/RECORD", "")
    return file.getvalue()


class Server:
    """An index of the package `one`, and an OSV that knows `weak` packages."""

    def __init__(self) -> None:
        self.weak: set[str] = set()
        content = wheel()
        name = "one-1.0-py3-none-any.whl"
        page = f'<a href="/{name}#sha256={hashlib.sha256(content).hexdigest()}">{name}</a>'.encode()

        class Handler(BaseHTTPRequestHandler):
            def do_GET(handler) -> None:  # noqa: N805  the server is `self`
                weakness = {"id": "GHSA-1", "summary": "planted", "modified": "2026-01-01T00:00:00Z"}
                if handler.path.startswith("/v1"):
                    handler.say("application/json", json.dumps(weakness).encode())
                else:
                    of_file = handler.path.endswith(".whl")
                    handler.say("application/octet-stream" if of_file else "text/html", content if of_file else page)

            def do_HEAD(handler) -> None:  # noqa: N805
                handler.do_GET()

            def do_POST(handler) -> None:  # noqa: N805
                asked = json.loads(handler.rfile.read(int(handler.headers["content-length"])))["queries"]
                known = {"vulns": [{"id": "GHSA-1", "modified": "2026-01-01T00:00:00Z"}]}
                results = [known if one["package"]["name"] in self.weak else {} for one in asked]
                handler.say("application/json", json.dumps({"results": results}).encode())

            def say(handler, kind: str, body: bytes) -> None:  # noqa: N805
                handler.send_response(200)
                handler.send_header("content-type", kind)
                handler.send_header("content-length", str(len(body)))
                handler.end_headers()
                if handler.command != "HEAD":
                    handler.wfile.write(body)

            def log_message(handler, *_: Any) -> None:  # noqa: N805
                """Say nothing."""

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.address = f"http://127.0.0.1:{self._server.server_port}/"
        self._thread = Thread(target=self._server.serve_forever, args=(0.01,))
        self._thread.start()

    def stop(self) -> None:
        if self._thread.is_alive():
            self._server.shutdown()
            self._thread.join()
            self._server.server_close()


@pytest.fixture
def server() -> Iterator[Server]:
    one = Server()
    yield one
    one.stop()


@pytest.fixture
def root(server: Server, tmp_path: Path, shell: Any, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A workspace of one member, which needs `one`, locked from that index."""
    monkeypatch.setenv("UV_HTTP_RETRIES", "0")
    monkeypatch.setenv("UV_CACHE_DIR", str(tmp_path / "cache"))
    folder = tmp_path / "repo"
    (folder / "packages/own").mkdir(parents=True)
    (folder / "pyproject.toml").write_text(PROJECT.format("team", []) + WORKSPACE.format(server.address), "utf-8")
    (folder / "packages/own/pyproject.toml").write_text(PROJECT.format("own", ["one"]), "utf-8")
    shell("git", "init", "--quiet", folder=folder)
    done = call("uv", "lock", folder=folder, UV_FROZEN="0")
    assert done.returncode == 0, done.stderr
    return folder


def test_a_file_that_is_not_the_one_of_the_index_is_found_with_its_line(root: Path, server: Server) -> None:
    assert of_the_index(root).result == "passed"
    lock = root / "uv.lock"
    lock.write_text(re.sub(r"sha256:\w+", f"sha256:{'0' * 64}", lock.read_text(encoding="utf-8")), encoding="utf-8")
    found = of_the_index(root)
    assert found.result == "failed"
    assert re.fullmatch(r"uv\.lock:\d+: not so there: \{ url = .*0{64}.*\n", found.output)
    server.stop()
    assert of_the_index(root).result == "NOT RUN"


def test_a_package_with_a_known_weakness_is_named(root: Path, server: Server) -> None:
    server.weak = {"one"}
    found = vulnerabilities(root, "--service-url", server.address)
    assert found.result == "failed"
    assert found.output == "one 1.0: GHSA-1, mended in none: planted\n"


def test_a_lock_without_known_weaknesses_passes(root: Path, server: Server) -> None:
    assert vulnerabilities(root, "--service-url", server.address).result == "passed"


def test_what_cannot_be_asked_is_not_run_and_never_passed(root: Path, server: Server) -> None:
    server.stop()
    found = vulnerabilities(root, "--service-url", server.address)
    assert found.result == "NOT RUN"
    assert "Connection refused" in found.output


def test_an_answer_about_fewer_packages_than_are_locked_is_none(
    root: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Such as of a uv whose settings leave everything out: green, having looked at nothing."""
    answer = '{"summary": {"audited_packages": 0}, "vulnerabilities": [], "adverse_statuses": []}'
    program = tmp_path / "uv"
    program.write_text(f"#!/bin/sh\necho '{answer}'\n", encoding="utf-8")
    program.chmod(0o755)
    monkeypatch.setenv("PATH", f"{tmp_path}:/usr/bin:/bin")
    found = vulnerabilities(root)
    assert (found.result, found.output) == ("NOT RUN", "only 0 of 1 locked packages were looked at")


def test_a_key_that_a_later_commit_took_out_is_found(tmp_path: Path, shell: Any) -> None:
    (tmp_path / ".github").mkdir()
    (tmp_path / ".github/betterleaks.toml").write_bytes((ROOT / ".github/betterleaks.toml").read_bytes())
    shell("git", "init", "--quiet", "--initial-branch", "main", folder=tmp_path)
    token = "ghp_" + hashlib.sha256(b"planted").hexdigest()[:36]
    for number, text in enumerate(("", f"token = '{token}'\n", "")):
        (tmp_path / "settings.py").write_text(text, encoding="utf-8")
        shell("git", "add", "--all", folder=tmp_path)
        shell("git", "commit", "--quiet", "--allow-empty", "--message", str(number), folder=tmp_path)
    found = leaks(tmp_path, "HEAD~2")
    assert found.result == "failed"
    assert "settings.py" in found.output
    assert leaks(tmp_path, "HEAD").result == "passed"
    assert leaks(tmp_path).check.finds.endswith("since HEAD^")
