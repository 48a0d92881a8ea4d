"""Deploying small releases that load for real, with servers that say what a test wants of them."""

from __future__ import annotations

import json
import threading
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest

from onebutton_contracts.errors import InputError
from onebutton_release import buttons, deploy
from onebutton_release.deploy import Wish
from onebutton_release.environments import FILE
from onebutton_release.pointer import been_in_service, read_history, read_pointer
from onebutton_release.rollback import rollback
from onebutton_release.status import status
from onebutton_release.target import Target, find_target
from onebutton_serving.errors import PlaceError
from onebutton_serving.sealed import MANIFEST, seal

A, B, C = "20261101-aaaaaaaa", "20261102-bbbbbbbb", "20261103-cccccccc"
Make = Callable[..., Path]


class Fake:
    """What answers `/v1/model` at an address: it follows the pointer of a place, or refuses to."""

    def __init__(self, place: Path) -> None:
        self.place, self.refuses, self.has = place, "", ""
        fake = self

        class Handler(BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                body = json.dumps({"version": fake.has, "workers": [fake.worker(), fake.worker()]}).encode()
                self.send_response(200)
                self.send_header("content-length", str(len(body)))
                self.end_headers()
                self.wfile.write(body)

            def log_message(self, format: str, *args: Any) -> None:  # noqa: A002  its own name
                pass

        self.server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.server.daemon_threads = False
        self.address = f"http://127.0.0.1:{self.server.server_port}"
        threading.Thread(target=self.server.serve_forever, daemon=True).start()

    def worker(self) -> dict[str, Any]:
        file = self.place / "pointer.json"
        wanted = json.loads(file.read_bytes())["version"] if file.is_file() else ""
        if self.refuses and wanted == self.refuses:
            return {"pid": 1, "version": self.has, "refused": {"version": wanted, "why": "golden example 1 differs"}}
        self.has = wanted
        return {"pid": 1, "version": wanted or None, "refused": None}


@pytest.fixture
def fake(repo: Path) -> Iterator[Fake]:
    server = Fake(repo / "releases/flights")
    text = (repo / FILE).read_text(encoding="utf-8")
    named = f'servers = {{ flights = ["{server.address}"] }}\n'
    (repo / FILE).write_text(text.replace("laptop = true\n", named), encoding="utf-8")
    (repo / "releases").mkdir()
    yield server
    server.server.shutdown()
    server.server.server_close()


def find(repo: Path, name: str = "local") -> Target:
    return find_target(repo, "flights", name, name)


def put(target: Target, version: str, say: Callable[[str], None] = lambda _: None, **wish: Any) -> str:
    return deploy.deploy(target, None, Wish(version=version, **wish), say).version


@pytest.fixture(autouse=True)
def declared(repo: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Results of another day are deployed by their version, so what this checkout declares is not asked."""
    monkeypatch.setattr(deploy, "declared", lambda folder: folder)
    del repo


def test_a_release_is_in_service_when_every_process_says_so(repo: Path, fake: Fake, make_release: Make) -> None:
    make_release(A)
    said: list[str] = []
    assert put(find(repo), A, said.append) == A
    assert said == [f"{fake.address}: 2 processes have {A} in service"]
    assert [entry.after for entry in read_history(find(repo).place)] == [A]


def test_a_server_that_refuses_takes_the_pointer_back(repo: Path, fake: Fake, make_release: Make) -> None:
    make_release(A)
    make_release(B, slope=0.002)
    put(find(repo), A)
    fake.refuses = B
    with pytest.raises(InputError) as refused:
        put(find(repo), B)
    assert "stays on the old release: golden example 1 differs" in str(refused.value)
    assert f"So the pointer moved back: {A} is in service in local" in str(refused.value)
    pointer = read_pointer(find(repo).place)
    assert pointer
    assert (pointer.version, pointer.sequence) == (A, 3)
    assert [(entry.action, entry.after) for entry in read_history(find(repo).place)] == [
        ("deploy", A),
        ("deploy", B),
        ("undo", A),
    ]


def test_pressing_again_is_red_while_a_server_has_another_release(
    repo: Path, fake: Fake, make_release: Make, monkeypatch: pytest.MonkeyPatch
) -> None:
    make_release(A)
    put(find(repo), A)
    fake.refuses, fake.has = A, B
    monkeypatch.setattr(deploy, "PATIENCE", 0.2)
    with pytest.raises(InputError, match=f"stays on the old release.*The pointer names {A} and was not moved"):
        put(find(repo), A)


def test_a_server_that_does_not_answer_takes_the_pointer_back(
    repo: Path, fake: Fake, make_release: Make, monkeypatch: pytest.MonkeyPatch
) -> None:
    make_release(A)
    make_release(B, slope=0.002)
    put(find(repo), A)
    text = (repo / FILE).read_text(encoding="utf-8")
    (repo / FILE).write_text(text.replace(fake.address, "http://127.0.0.1:9"), encoding="utf-8")
    monkeypatch.setattr(deploy, "PATIENCE", 0.2)
    with pytest.raises(InputError, match=r"http://127.0.0.1:9 does not answer .* So the pointer moved back"):
        put(find(repo), B)


@pytest.mark.parametrize("name", ["model.onnx", "schema.json", "golden.json"])
def test_one_flipped_byte_is_refused_before_anybody_is_pointed_at_it(
    repo: Path, fake: Fake, make_release: Make, name: str
) -> None:
    make_release(A)
    folder = make_release(B, slope=0.002)
    put(find(repo), A)
    content = bytearray((folder / name).read_bytes())
    content[len(content) // 2] ^= 1
    (folder / name).chmod(0o644)
    (folder / name).write_bytes(content)
    with pytest.raises(InputError, match=f"release {B} is damaged: {name} was changed"):
        put(find(repo), B)
    assert fake.worker()["version"] == A


def test_a_release_that_was_changed_together_with_its_digests_is_refused_whoever_asks_for_it(
    repo: Path, fake: Fake, make_release: Make
) -> None:
    folder = make_release(A)
    make_release(B, slope=0.002)
    put(find(repo), A)
    put(find(repo), B)
    card = folder / "card.md"
    card.chmod(0o644)
    card.write_text("a card that says something else", encoding="utf-8")
    (folder / MANIFEST).chmod(0o644)
    seal(folder)
    words = f"release {A} is not what was in service under that name since .*: {MANIFEST} was changed"
    with pytest.raises(InputError, match=words):
        put(find(repo), A)
    with pytest.raises(InputError, match=words):
        rollback(find(repo), version="", why="bad", say=lambda _: None)
    assert fake.worker()["version"] == B


def test_a_release_whose_golden_answers_differ_is_refused(repo: Path, fake: Fake, make_release: Make) -> None:
    make_release(A)
    make_release(B, answer=0.9)
    put(find(repo), A)
    with pytest.raises(InputError, match="golden example 1 of 1 is answered with"):
        put(find(repo), B)
    assert fake.worker()["version"] == A


def test_a_release_for_another_contract_needs_a_word(repo: Path, fake: Fake, make_release: Make) -> None:
    make_release(A)
    make_release(B, contract="features 2.0.0")
    make_release(C, contract="features 1.4.0")
    put(find(repo), A)
    with pytest.raises(InputError, match=r"reads features 2.0.0, .* press again with BREAKING=1"):
        put(find(repo), B)
    assert fake.worker()["version"] == A
    assert put(find(repo), C) == C
    assert put(find(repo), B, breaking=True) == B


def test_production_takes_only_what_was_in_service_in_staging(repo: Path, fake: Fake, make_release: Make) -> None:
    (repo / "prod").mkdir()
    with (repo / FILE).open("a", encoding="utf-8") as stream:
        stream.write(
            '[environments.production]\nplace = "prod"\nmay_deploy = ["*"]\non_call = "Ann"\nafter = "local"\nlaptop = true\n'
        )
    make_release(A)
    make_release(B, slope=0.002)
    with pytest.raises(InputError, match="nothing is in service in local yet, and must be before it comes here"):
        deploy.deploy(find(repo, "production"), find(repo), Wish(), lambda _: None)
    put(find(repo), A)
    fake.refuses = B
    with pytest.raises(InputError):
        put(find(repo), B)
    with pytest.raises(InputError, match=f"{B} was never in service in local"):
        deploy.deploy(find(repo, "production"), find(repo), Wish(version=B), lambda _: None)
    moved = deploy.deploy(find(repo, "production"), find(repo), Wish(), lambda _: None)
    assert moved.version == A
    assert (repo / "prod/flights" / A / "MANIFEST.sha256").read_bytes() == (
        repo / "releases/flights" / A / "MANIFEST.sha256"
    ).read_bytes()


def test_an_undone_deployment_leaves_the_way_back(
    repo: Path, fake: Fake, make_release: Make, monkeypatch: pytest.MonkeyPatch
) -> None:
    make_release(A)
    make_release(B, slope=0.002)
    put(find(repo), A)
    put(find(repo), B)
    fake.refuses = A
    monkeypatch.setattr(deploy, "PATIENCE", 0.2)
    with pytest.raises(InputError, match=f"So the pointer moved back: {B}"):
        put(find(repo), A)
    fake.refuses = ""
    assert rollback(find(repo), version="", why="bad", say=lambda _: None).version == A


def test_a_first_release_that_a_server_refuses_counts_for_nothing_until_it_takes_it(
    repo: Path, fake: Fake, make_release: Make, monkeypatch: pytest.MonkeyPatch
) -> None:
    make_release(A)
    fake.refuses = A
    monkeypatch.setattr(deploy, "PATIENCE", 0.2)
    for _ in range(2):
        with pytest.raises(InputError, match=f"still names {A}. Mend that server, and press again"):
            put(find(repo), A)
    assert been_in_service(read_history(find(repo).place)) == set()
    fake.refuses = ""
    assert put(find(repo), A) == A
    assert been_in_service(read_history(find(repo).place)) == {A}


def test_without_servers_that_could_confirm_a_release_nothing_moves(repo: Path, fake: Fake, make_release: Make) -> None:
    make_release(A)
    text = (repo / FILE).read_text(encoding="utf-8")
    (repo / FILE).write_text(text.replace("flights = ", "weather = "), encoding="utf-8")
    with pytest.raises(InputError, match=r"names no server of flights, .* Name them under `servers` in deploy"):
        put(find(repo), A)
    assert read_pointer(find(repo).place) is None
    with (repo / FILE).open("a", encoding="utf-8") as stream:
        stream.write("image = true\n")  # Kubernetes confirms it
    assert put(find(repo), A) == A
    assert fake.has == ""


def test_what_was_rolled_back_comes_back_only_by_its_name(
    repo: Path, fake: Fake, make_release: Make, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Else the next push of other work would put the bad model into service again."""
    make_release(A)
    bad = make_release(B, slope=0.002)
    put(find(repo), A)
    put(find(repo), B)
    rollback(find(repo), version="", why="every flight is late", say=lambda _: None)
    monkeypatch.setattr(deploy, "_built", lambda *_: bad)
    with pytest.raises(InputError, match=rf"{B} was rolled back in local by ann@.*: every flight is late\. .* TO={B}"):
        put(find(repo), "")
    assert fake.worker()["version"] == A
    assert put(find(repo), B) == B
    assert put(find(repo), "") == B


def test_what_breaks_on_this_machine_is_not_blamed_on_the_place(
    repo: Path, fake: Fake, make_release: Make, monkeypatch: pytest.MonkeyPatch
) -> None:
    make_release(A)

    def without_uv(*_: object) -> Path:
        raise FileNotFoundError(2, "No such file or directory", "uv")

    monkeypatch.setattr(deploy, "_built", without_uv)
    with pytest.raises(FileNotFoundError, match="uv"):
        buttons.deploy(repo, "flights", "", Wish())
    assert fake.has == ""


def test_a_full_disk_leaves_the_old_release_in_service(
    repo: Path, fake: Fake, make_release: Make, monkeypatch: pytest.MonkeyPatch
) -> None:
    import shutil

    make_release(A)
    put(find(repo), A)
    (repo / "prod").mkdir()
    monkeypatch.setattr(shutil, "copytree", _full)
    with (repo / FILE).open("a", encoding="utf-8") as stream:
        stream.write(
            '[environments.production]\nplace = "prod"\nmay_deploy = ["*"]\non_call = "Ann"\nafter = "local"\nlaptop = true\n'
        )
    with pytest.raises(PlaceError, match="No space left on device"):
        buttons.deploy(repo, "flights", "production", Wish())
    assert read_pointer(find(repo, "production").place) is None
    assert [path.name for path in (repo / "prod/flights").iterdir()] == [".lock"]
    assert fake.worker()["version"] == A


def _full(*_arguments: object, **_more: object) -> None:
    raise OSError(28, "No space left on device")


def test_the_status_says_what_one_needs_at_night(repo: Path, fake: Fake, make_release: Make) -> None:
    make_release(A)
    make_release(B, slope=0.002)
    put(find(repo), A)
    put(find(repo), B, why="better on JFK")
    shown = "\n".join(status(find(repo)))
    assert f"flights in local: {B}, since " in shown
    assert "by ann@acme.example" in shown
    assert f"server     {fake.address}: {B}" in shown
    assert f"back to    {A}" in shown
    assert "on call    you (docs/runbook.md)" in shown
    assert f"deploy   {A} -> {B}  ann@acme.example: better on JFK" in shown
