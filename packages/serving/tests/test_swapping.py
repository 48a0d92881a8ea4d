"""The history grows: which release is in service then, and why."""

import hashlib
import json
import shutil
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from packages.serving.tests.conftest import FIRST, SECOND, Client, damage, golden_rows, make_release, point

from onebutton_serving import service as service_module
from onebutton_serving.release_store import ReleaseStore, ReleaseStoreError
from onebutton_serving.sealed import seal
from onebutton_serving.service import Service, watch


@pytest.fixture
def service(store: Path, tmp_path: Path) -> Iterator[Service]:
    client = Client(tmp_path / "state")
    client.service.follow(ReleaseStore(str(store), "flights"))
    yield client.service
    client.close()


def in_service(service: Service) -> str:
    return service.current.version if service.current else ""


def test_the_pointer_is_followed_there_and_back(service: Service, store: Path) -> None:
    assert in_service(service) == FIRST
    for sequence, version in enumerate((SECOND, FIRST, SECOND), start=2):
        point(store, version, sequence)
        service.follow(ReleaseStore(str(store), "flights"))
        assert (in_service(service), service.refused) == (version, None)


@pytest.mark.parametrize("name", ["model.onnx", "schema.json", "golden.json", "card.md", "MANIFEST.sha256"])
def test_one_flipped_bit_is_refused_by_name_and_the_old_model_stays(service: Service, store: Path, name: str) -> None:
    damage(store / "flights" / SECOND / name)
    point(store, SECOND, 2)
    service.follow(ReleaseStore(str(store), "flights"))
    assert in_service(service) == FIRST
    assert service.refused is not None
    assert service.refused["version"] == SECOND
    assert "damaged" in service.refused["why"] or "missing" in service.refused["why"]
    assert "\n" not in service.refused["why"]
    point(store, FIRST, 3)
    service.follow(ReleaseStore(str(store), "flights"))
    assert service.refused is None


def test_a_model_that_answers_otherwise_than_it_was_judged_is_refused(service: Service, store: Path) -> None:
    folder = make_release(store, "20261126-0c0c0c0c", "first")
    for file in folder.iterdir():
        file.chmod(0o644)
    shutil.copyfile(Path(__file__).parent / "second.onnx", folder / "model.onnx")
    seal(folder)
    point(store, folder.name, 2)
    service.follow(ReleaseStore(str(store), "flights"))
    assert in_service(service) == FIRST
    assert service.refused is not None
    assert "golden example" in service.refused["why"]


@pytest.mark.parametrize("content", [b"", b"{", b"[]", b'{"version": "../../etc"}', b'{"version": 7}'])
def test_a_damaged_history_is_told_and_the_model_stays(service: Service, store: Path, content: bytes) -> None:
    (store / "flights/history/000002.json").write_bytes(content)
    with pytest.raises(ReleaseStoreError, match=r"history/000002\.json is damaged .* remove it: then the move before"):
        service.follow(ReleaseStore(str(store), "flights"))
    assert in_service(service) == FIRST
    (store / "flights/history/000002.json").unlink()
    service.follow(ReleaseStore(str(store), "flights"))
    assert (in_service(service), service.refused) == (FIRST, None)


def reseal(folder: Path) -> None:
    """Change a release together with its digests."""
    for name in ("card.md", "MANIFEST.sha256"):
        (folder / name).chmod(0o644)
    (folder / "card.md").write_text("another card", encoding="utf-8")
    seal(folder)


def test_a_release_that_was_sealed_again_in_place_is_not_served(service: Service, store: Path, tmp_path: Path) -> None:
    """All of its own digests agree: only the history remembers the manifest that was deployed."""
    point(store, SECOND, 2)
    reseal(store / "flights" / SECOND)
    service.follow(ReleaseStore(str(store), "flights"))
    assert in_service(service) == FIRST
    assert service.refused is not None
    assert f"release {SECOND} is not what was in service under that name" in service.refused["why"]
    reseal(store / "flights" / FIRST)
    again = Service(tmp_path / "state")  # nor the one before, by a worker that comes back
    again.follow(ReleaseStore(str(store), "flights"))
    assert again.current is None


def test_a_server_of_which_nothing_was_deployed_names_the_button(tmp_path: Path) -> None:
    service = Service(tmp_path / "state")
    service.follow(ReleaseStore(str(tmp_path), "flights"))
    assert "nothing was deployed here yet. `make deploy PIPELINE=flights` puts a model into service" in service.reason


def test_a_first_deployment_that_was_undone_is_out_of_service_again(service: Service, store: Path) -> None:
    point(store, "", 2)
    service.follow(ReleaseStore(str(store), "flights"))
    assert service.current is None
    assert "the first deployment was undone, so nothing is in service" in service.reason
    point(store, SECOND, 3)
    service.follow(ReleaseStore(str(store), "flights"))
    assert in_service(service) == SECOND


def test_a_server_says_which_pipeline_and_store_it_follows_and_no_path(store: Path, tmp_path: Path) -> None:
    client = Client(tmp_path / "state")
    (store / "flights/store.id").write_text("0123abcd\n", encoding="utf-8")
    client.service.follow(ReleaseStore(str(store), "flights"))
    content = client.ask("GET", "/v1/model")[2]
    assert json.loads(content)["follows"] == {
        "pipeline": "flights",
        "folder": hashlib.sha256(str(store).encode()).hexdigest()[:16],
        "store": "0123abcd",
    }
    assert str(tmp_path).encode() not in content
    client.close()


def test_a_release_that_was_refused_is_tried_again_without_a_move_of_the_pointer(
    service: Service, store: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The disk may have been full, or a part of it not there yet."""
    schema = store / "flights" / SECOND / "schema.json"
    whole = schema.read_bytes()
    damage(schema)
    point(store, SECOND, 2)
    monkeypatch.setattr(service_module, "NEAR", 0.01)
    monkeypatch.setattr(service_module, "AGAIN", 0.05)
    stop = threading.Event()
    watcher = threading.Thread(target=watch, args=(service, ReleaseStore(str(store), "flights"), stop))
    watcher.start()
    eventually(lambda: service.refused is not None)
    assert in_service(service) == FIRST
    schema.write_bytes(whole)
    eventually(lambda: in_service(service) == SECOND)
    stop.set()
    watcher.join()
    assert service.refused is None
    assert service.swaps["refusals"] == 1  # the same refusal is said and counted once


def eventually(seen: Callable[[], bool]) -> None:
    for _ in range(1000):
        if seen():
            return
        time.sleep(0.01)
    raise AssertionError


def test_a_pointer_at_nothing_is_refused(service: Service, store: Path) -> None:
    point(store, "20261130-ffffffff", 2)
    service.follow(ReleaseStore(str(store), "flights"))
    assert service.refused is not None
    assert "never sealed" in service.refused["why"]


def test_when_the_place_disappears_the_model_stays(
    service: Service, store: Path, caplog: pytest.LogCaptureFixture
) -> None:
    shutil.rmtree(store)
    service.follow(ReleaseStore(str(store), "flights"))
    assert in_service(service) == FIRST
    assert f"{FIRST} stays in service" in caplog.text


def test_a_worker_that_comes_back_has_what_the_others_have(store: Path, tmp_path: Path) -> None:
    """The history names a release that all refuse; the one that was killed must not stand there with nothing."""
    damage(store / "flights" / SECOND / "model.onnx")
    point(store, SECOND, 2)
    again = Service(tmp_path / "state")
    again.follow(ReleaseStore(str(store), "flights"))
    assert in_service(again) == FIRST
    assert again.refused is not None


def test_a_request_is_answered_by_the_release_that_it_began_with(store: Path, tmp_path: Path) -> None:
    client = Client(tmp_path / "state")
    client.service.follow(ReleaseStore(str(store), "flights"))
    point(store, SECOND, 2)
    row = golden_rows()[0]
    body = json.dumps({"rows": [row["input"]]}).encode()

    async def swap_meanwhile() -> None:
        import asyncio

        asked = [asyncio.ensure_future(client.once("POST", "/v1/predict", [body])) for _ in range(20)]
        await asyncio.sleep(0)
        client.service.follow(ReleaseStore(str(store), "flights"))
        asked += [asyncio.ensure_future(client.once("POST", "/v1/predict", [body])) for _ in range(20)]
        versions = []
        for status, headers, content in await asyncio.gather(*asked):
            answer = json.loads(content)
            wanted = golden_rows("first" if answer["version"] == FIRST else "second")[0]["output"]
            assert (status, answer["predictions"], headers["x-model-version"]) == (200, [wanted], answer["version"])
            versions.append(answer["version"])
        assert versions == [FIRST] * 20 + [SECOND] * 20

    client.runner.run(swap_meanwhile())
    client.close()
