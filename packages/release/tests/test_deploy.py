"""Deploying small releases that load for real, with servers that say what a test wants of them."""

import json
import os
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import nullcontext
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest

from onebutton_contracts.errors import InputError
from onebutton_release import candidate, deploy
from onebutton_release.aliases import promotions
from onebutton_release.moves import been_in_service, rollback
from onebutton_release.status import status as status_of
from onebutton_release.target import FILE, Target, find_target
from onebutton_serving.history import Move, last_move, read_history, record
from onebutton_serving.release_store import ReleaseStore, ReleaseStoreError
from onebutton_serving.sealed import MANIFEST, ReleaseError, seal

A, B, C = "20261101-aaaaaaaa", "20261102-bbbbbbbb", "20261103-cccccccc"
Make = Callable[..., Path]


class Fake:
    """What answers `/v1/model` at an address: it follows the history of a release store, or refuses to."""

    def __init__(self, store: Path) -> None:
        self.store, self.refuses, self.has = store, "", ""
        self.follows: dict[str, str] | None = {"pipeline": "flights", "folder": "", "store": ""}
        self.status = 200  # of its answers
        fake = self

        class Handler(BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                workers = [fake.worker(), fake.worker()]
                answer = {"pipeline": "flights", "version": fake.has, "follows": fake.follows, "workers": workers}
                body = json.dumps(answer).encode()
                self.send_response(fake.status)
                self.send_header("content-length", str(len(body)))
                self.end_headers()
                self.wfile.write(body)

            def log_message(self, format: str, *args: Any) -> None:  # noqa: A002  its own name
                pass

        self.server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.server.daemon_threads = False
        self.address = f"http://127.0.0.1:{self.server.server_port}"
        threading.Thread(target=self.server.serve_forever, args=(0.01,), daemon=True).start()

    def worker(self) -> dict[str, Any]:
        files = sorted(self.store.glob("history/*.json"))
        wanted = json.loads(files[-1].read_bytes())["after"] if files else ""
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


def put(target: Target, version: str, **typed: Any) -> str:
    return deploy.deploy(target, version=version, **typed).after


def press(repo: Path, environment: str = "local", version: str = "") -> str:
    return deploy.deploy_and_report(find(repo, environment), version=version, why="", breaking=False)


@pytest.fixture(autouse=True)
def declared(repo: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Results of another day are deployed by their version, so what this checkout declares is not asked."""
    monkeypatch.setattr(candidate, "declared", lambda folder: folder)
    del repo


def test_a_release_is_in_service_when_every_process_says_so(
    repo: Path, fake: Fake, make_release: Make, capsys: pytest.CaptureFixture[str]
) -> None:
    make_release(A)
    assert put(find(repo), A) == A
    assert capsys.readouterr().out == f"  {fake.address} has {A} in service in 2 processes\n"
    assert [entry.after for entry in read_history(find(repo).store)] == [A]


def test_a_server_that_refuses_takes_the_pointer_back(repo: Path, fake: Fake, make_release: Make) -> None:
    make_release(A)
    make_release(B, slope=0.002)
    put(find(repo), A)
    fake.refuses = B
    with pytest.raises(InputError) as refused:
        put(find(repo), B)
    assert "stays on the old release: golden example 1 differs" in str(refused.value)
    assert f"So it was moved back: {A} is in service in local" in str(refused.value)
    last = last_move(find(repo).store)
    assert last
    assert (last.after, last.sequence) == (A, 3)
    assert [(entry.action, entry.after) for entry in read_history(find(repo).store)] == [
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
    with pytest.raises(InputError, match=f"stays on the old release.*The history names {A} and was not moved"):
        put(find(repo), A)


def moves(target: Target) -> list[tuple[str, str, str]]:
    return [(entry.action, entry.before, entry.after) for entry in read_history(target.store)]


def test_a_server_that_stops_answering_takes_the_pointer_back(
    repo: Path, fake: Fake, make_release: Make, monkeypatch: pytest.MonkeyPatch
) -> None:
    make_release(A)
    make_release(B, slope=0.002)
    put(find(repo), A)
    fake.status = 502
    monkeypatch.setattr(deploy, "PATIENCE", 0.2)
    with pytest.raises(InputError, match=rf"{fake.address} does not answer .it answers 502.* it was moved back: {A}"):
        put(find(repo), B)
    assert moves(find(repo)) == [("deploy", "", A), ("deploy", A, B), ("undo", B, A)]


def test_a_declared_server_that_is_off_or_not_ours_stops_a_deployment_before_anything_moves(
    repo: Path, fake: Fake, make_release: Make
) -> None:
    make_release(A)
    make_release(B, slope=0.002)
    put(find(repo), A)
    ours = (Path(find(repo).store.url) / "store.id").read_text(encoding="utf-8").strip()
    for follows, words in (
        ({"pipeline": "churn", "folder": "0" * 16, "store": "1" * 32}, "serves pipeline churn, not flights, so nobody"),
        (
            {"pipeline": "flights", "folder": "0" * 16, "store": "1" * 32},
            "serves pipeline flights from ANOTHER RELEASE STORE",
        ),
        (None, "serves one fixed release of flights and follows no history"),
    ):
        fake.follows = follows
        with pytest.raises(InputError, match=words) as refused:
            put(find(repo), B)
        assert "Nothing was changed. Start the server of flights there, or mend `servers` of local" in str(
            refused.value
        )
    fake.follows = {"pipeline": "flights", "folder": "0" * 16, "store": ours}  # mounted under another path
    assert put(find(repo), B) == B
    text = (repo / FILE).read_text(encoding="utf-8")
    (repo / FILE).write_text(text.replace(fake.address, "http://127.0.0.1:9"), encoding="utf-8")
    with pytest.raises(InputError, match=r"http://127.0.0.1:9 does not answer .*refused.*Nothing was changed"):
        put(find(repo), A)
    assert moves(find(repo)) == [("deploy", "", A), ("deploy", A, B)]


@pytest.mark.parametrize(
    "told",
    [
        ({"pipeline": "churn", "folder": "0" * 16, "store": ""}, "serves pipeline churn from ANOTHER FOLDER"),
        ({"pipeline": "flights", "folder": "0" * 16, "store": ""}, "serves pipeline flights from ANOTHER FOLDER"),
        ({"pipeline": "churn", "folder": "", "store": ""}, "serves pipeline churn, not flights"),
        (None, "serves one fixed release of flights and follows no history"),
        ({}, "is no model server: it answers something else"),
    ],
)
def test_on_a_laptop_what_has_the_port_and_is_not_ours_is_named_and_not_waited_for(
    repo: Path,
    fake: Fake,
    make_release: Make,
    capsys: pytest.CaptureFixture[str],
    told: tuple[dict[str, str] | None, str],
) -> None:
    follows, words = told
    make_release(A)
    on_a_laptop(repo)
    fake.follows, fake.refuses = follows, A
    begun = time.monotonic()
    assert put(find(repo), A) == A
    assert time.monotonic() - begun < 5
    remedy = "`make serve PIPELINE=flights PORT=…` takes another port"
    said = capsys.readouterr().out
    assert said == f"  {fake.address} {words}; this deployment does not wait for it. {remedy}\n"
    assert moves(find(repo)) == [("deploy", "", A)]
    assert f"  server     {fake.address} {words}" in "\n".join(status_of(find(repo)))


def test_a_draft_goes_to_a_laptop_which_says_so_and_nowhere_else(repo: Path, fake: Fake, make_release: Make) -> None:
    make_release(A, draft=True)
    assert fake.address in find(repo).servers
    with pytest.raises(
        InputError, match=r"flights is a draft.* take `draft = true` out of pipelines/flights/pyproject"
    ):
        put(find(repo), A)
    assert not moves(find(repo))
    on_a_laptop(repo)
    assert press(repo, version=A).startswith(f"{A}, a draft, is in service in local. Next: make serve")
    assert not (repo / "pipelines/flights/champion").exists()  # with which no model is compared
    assert next(status_of(find(repo))).startswith(f"flights in local: {A}, a draft, since ")
    assert [one.alias for one in promotions(find(repo))] == ["local"]


def test_on_a_laptop_another_program_on_the_port_is_not_waited_for(
    repo: Path, fake: Fake, make_release: Make, capsys: pytest.CaptureFixture[str]
) -> None:
    make_release(A)
    on_a_laptop(repo)
    fake.status = 404
    assert put(find(repo), A) == A
    assert (
        f"{fake.address} is no model server: it answers 404; this deployment does not wait for it. "
        in capsys.readouterr().out
    )


def on_a_laptop(repo: Path) -> None:
    with (repo / FILE).open("a", encoding="utf-8") as stream:
        stream.write("laptop = true\n")


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
    with pytest.raises(ReleaseError, match=f"release {B} is damaged: {name} was changed"):
        put(find(repo), B)
    assert fake.worker()["version"] == A


def test_a_release_that_was_changed_together_with_its_digests_is_refused_by_every_button(
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
        rollback(find(repo), why="bad")
    assert fake.worker()["version"] == B


def test_a_release_whose_golden_answers_differ_is_refused(repo: Path, fake: Fake, make_release: Make) -> None:
    make_release(A)
    make_release(B, answer=0.9)
    put(find(repo), A)
    with pytest.raises(ReleaseError, match="golden example 1 of 1 is answered with"):
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


@pytest.mark.parametrize(
    ("inputs", "words"),
    [
        ({"origin": True, "distance": True, "hour": True}, "hour is needed"),
        ({"origin": True, "distance": True, "hour": False}, ""),
        ({"origin": True}, "distance is no input any more"),
    ],
)
def test_a_release_that_would_refuse_callers_needs_a_word_whatever_its_version_says(
    inputs: dict[str, bool], words: str, tmp_path: Path, make_release: Make
) -> None:
    current = make_release(A)
    schema = json.loads((current / "schema.json").read_text(encoding="utf-8"))
    schema["inputs"] = [{"name": name, "type": "number", "required": needed} for name, needed in inputs.items()]
    (tmp_path / "schema.json").write_text(json.dumps(schema), encoding="utf-8")
    with pytest.raises(InputError, match=rf"would be refused \({words}\)") if words else nullcontext():
        deploy._check_callers(current, tmp_path)


def test_production_takes_only_what_was_in_service_in_staging(repo: Path, fake: Fake, make_release: Make) -> None:
    (repo / "prod").mkdir()
    with (repo / FILE).open("a", encoding="utf-8") as stream:
        stream.write(
            '[environments.production]\nstore = "prod"\nmay_deploy = ["*"]\non_call = "Ann"\nafter = "local"\nlaptop = true\n'
        )
    make_release(A)
    make_release(B, slope=0.002)
    with pytest.raises(InputError, match="nothing is in service in local yet, and must be before it comes here"):
        deploy.deploy(find(repo, "production"))
    put(find(repo), A)
    fake.refuses = B
    with pytest.raises(InputError):
        put(find(repo), B)
    with pytest.raises(InputError, match=f"{B} was never in service in local"):
        deploy.deploy(find(repo, "production"), version=B)
    moved = deploy.deploy(find(repo, "production"))
    assert moved.after == A
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
    with pytest.raises(InputError, match=f"So it was moved back: {B}"):
        put(find(repo), A)
    fake.refuses = ""
    assert rollback(find(repo), why="bad").after == A


def test_a_first_release_that_a_server_refuses_is_out_of_service_again(
    repo: Path, fake: Fake, make_release: Make
) -> None:
    make_release(A)
    fake.refuses = A
    for _ in range(2):
        with pytest.raises(InputError, match=r"So it was moved back: nothing is in service in local$"):
            put(find(repo), A)
    assert moves(find(repo)) == [("deploy", "", A), ("undo", A, "")] * 2
    assert been_in_service(read_history(find(repo).store)) == set()
    assert "nothing is in service" in next(status_of(find(repo)))
    with pytest.raises(InputError, match="no release of flights is in service in local"):
        rollback(find(repo), why="bad")
    fake.refuses = ""
    assert put(find(repo), A) == A
    assert been_in_service(read_history(find(repo).store)) == {A}


def test_a_server_that_does_not_go_back_is_named(
    repo: Path, fake: Fake, make_release: Make, monkeypatch: pytest.MonkeyPatch
) -> None:
    make_release(A)
    make_release(B, slope=0.002)
    put(find(repo), A)
    stuck = {"pid": 1, "version": C, "refused": None}
    monkeypatch.setattr(fake, "worker", lambda: stuck)
    monkeypatch.setattr(deploy, "PATIENCE", 0.2)
    with pytest.raises(
        InputError, match=rf"did not take {B}.*moved back: {A} is in service in local. .* DID NOT GO BACK"
    ):
        put(find(repo), B)


def test_a_pointer_that_cannot_be_moved_back_is_told(
    repo: Path, fake: Fake, make_release: Make, monkeypatch: pytest.MonkeyPatch
) -> None:
    make_release(A)
    fake.refuses = A

    def fails_to_undo(store: ReleaseStore, move: Move) -> Move:
        if move.action == "undo":
            message = "the disk is gone"
            raise ReleaseStoreError(message)
        return record(store, move)

    monkeypatch.setattr(deploy, "record", fails_to_undo)
    with pytest.raises(
        InputError, match=r"could not be moved back .the disk is gone.* STATUS=1` says what is in service"
    ):
        put(find(repo), A)
    assert moves(find(repo)) == [("deploy", "", A)]


def test_without_servers_that_could_confirm_a_release_nothing_moves(repo: Path, fake: Fake, make_release: Make) -> None:
    make_release(A)
    text = (repo / FILE).read_text(encoding="utf-8")
    (repo / FILE).write_text(text.replace("flights = ", "weather = "), encoding="utf-8")
    with pytest.raises(InputError, match=r"names no server of flights, .* Name them under `servers` in deploy"):
        put(find(repo), A)
    assert last_move(find(repo).store) is None
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
    rollback(find(repo), why="every flight is late")
    monkeypatch.setattr(deploy, "release_of_results", lambda *_: bad)
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

    monkeypatch.setattr(deploy, "release_of_results", without_uv)
    with pytest.raises(FileNotFoundError, match="uv"):
        press(repo)
    assert fake.has == ""


def test_a_full_disk_leaves_the_old_release_in_service(
    repo: Path, fake: Fake, make_release: Make, monkeypatch: pytest.MonkeyPatch
) -> None:
    make_release(A)
    put(find(repo), A)
    (repo / "prod").mkdir()
    monkeypatch.setattr(os, "fsync", _full)
    with (repo / FILE).open("a", encoding="utf-8") as stream:
        stream.write(
            '[environments.production]\nstore = "prod"\nmay_deploy = ["*"]\non_call = "Ann"\nafter = "local"\nlaptop = true\n'
        )
    with pytest.raises(ReleaseStoreError, match=r"no space left on the disk\. Make room, then press again"):
        press(repo, "production")
    assert last_move(find(repo, "production").store) is None
    assert sorted(path.name for path in (repo / "prod/flights").iterdir()) == []
    assert fake.worker()["version"] == A


def _full(*_arguments: object, **_more: object) -> None:
    raise OSError(28, "No space left on device")


def test_the_status_says_what_one_needs_at_night(repo: Path, fake: Fake, make_release: Make) -> None:
    make_release(A)
    make_release(B, slope=0.002)
    put(find(repo), A)
    put(find(repo), B, why="better on JFK")
    shown = "\n".join(status_of(find(repo)))
    assert f"flights in local: {B}, since " in shown
    assert "by ann@acme.example (git)" in shown
    assert f"server     {fake.address} has {B} in service in 2 processes" in shown
    assert f"back to    {A}" in shown
    assert "on call    you (docs/runbook.md)" in shown
    assert f"deploy   {A} -> {B}  ann@acme.example (git): better on JFK" in shown
