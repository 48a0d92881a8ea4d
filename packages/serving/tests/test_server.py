"""Real servers: swaps under load, kills, full disks, fuzzed bodies."""

import asyncio
import contextlib
import json
import os
import random
import resource
import signal
import socket
import time
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest
from packages.serving.tests.conftest import FIRST, SECOND, Server, damage, golden_rows, make_release, point

from onebutton_serving.segments import read_log

pytestmark = pytest.mark.slow
ROW: dict[str, Any] = golden_rows()[0]["input"]
BODY = json.dumps({"rows": [ROW]}).encode()
ANSWERS = {version: golden_rows(model)[0]["output"] for version, model in ((FIRST, "first"), (SECOND, "second"))}
Serve = Callable[..., Server]


def head(body: bytes, more: str = "") -> bytes:
    fields = f"host: x\r\ncontent-type: application/json\r\ncontent-length: {len(body)}\r\n{more}"
    return f"POST /v1/predict HTTP/1.1\r\n{fields}\r\n".encode()


async def exchange(reader: asyncio.StreamReader, writer: asyncio.StreamWriter, body: bytes) -> tuple[int, bytes]:
    writer.write(head(body) + body)
    return await read_answer(reader)


async def read_answer(reader: asyncio.StreamReader) -> tuple[int, bytes]:
    answer = await reader.readuntil(b"\r\n\r\n")
    size = int(answer.lower().partition(b"content-length:")[2].partition(b"\r\n")[0])
    return int(answer[9:12]), await reader.readexactly(size)


@dataclass
class Load:
    """Clients that ask again and again, each on its own connection."""

    port: int
    clients: int = 8
    going: bool = True
    versions: list[str] = field(default_factory=list)
    failed: list[str] = field(default_factory=list)

    async def client(self) -> None:
        reader, writer = await asyncio.open_connection("127.0.0.1", self.port)
        while self.going:
            try:
                status, content = await exchange(reader, writer, BODY)
                answer = json.loads(content)
                if status != 200 or answer["predictions"] != [ANSWERS[answer["version"]]]:
                    self.failed.append(content.decode())
                self.versions.append(answer["version"])
            except (OSError, asyncio.IncompleteReadError) as error:
                self.failed.append(repr(error))
                reader, writer = await asyncio.open_connection("127.0.0.1", self.port)
        writer.close()

    async def during(self, work: Callable[[], Any]) -> Any:
        tasks = [asyncio.create_task(self.client()) for _ in range(self.clients)]
        try:
            return await asyncio.to_thread(work)
        finally:
            self.going = False
            await asyncio.gather(*tasks)


def test_swaps_under_load_fail_nobody_mix_nothing_and_take_less_than_a_second(serve: Serve, store: Path) -> None:
    server = serve("--store", str(store), "--pipeline", "flights", "--workers", "2").ready(2)
    load = Load(server.port)

    def swaps() -> list[float]:
        taken = []
        for sequence, version in enumerate([SECOND, FIRST, SECOND, FIRST], start=2):
            point(store, version, sequence)
            taken.append(server.until(lambda version=version: server.versions() == {version}))  # type: ignore[misc]
            time.sleep(0.2)
        return taken

    taken = asyncio.run(load.during(swaps))
    assert load.failed == []
    assert set(load.versions) == {FIRST, SECOND}
    assert min(taken) < 1  # the clients take every core: how much longer the others took, says how busy those are


def test_a_release_that_is_refused_under_load_changes_nothing_and_is_told(serve: Serve, store: Path) -> None:
    damage(store / "flights" / SECOND / "golden.json")
    server = serve("--store", str(store), "--pipeline", "flights").ready()
    load = Load(server.port)

    def refusal() -> None:
        point(store, SECOND, 2)
        server.until(lambda: bool(server.workers()[0]["refused"]))

    asyncio.run(load.during(refusal))
    assert load.failed == []
    assert set(load.versions) == {FIRST}
    (worker,) = server.workers()
    assert worker["version"] == FIRST
    assert worker["refused"] == {"version": SECOND, "why": f"release {SECOND} is damaged: golden.json was changed"}
    assert "onebutton_swaps_refused_total 1.0" in server.get("/metrics")[1]
    assert f"{FIRST} stays in service" in server.said()


def test_a_server_that_starts_on_a_damaged_release_says_so_and_recovers(serve: Serve, store: Path) -> None:
    damage(store / "flights" / FIRST / "model.onnx")
    server = serve("--store", str(store), "--pipeline", "flights")
    server.until(lambda: "model.onnx was changed" in str(server.get("/health/ready")))
    assert server.get("/health/ready")[0] == 503
    assert server.predict(ROW)[0] == 503
    point(store, SECOND, 2)
    server.until(lambda: server.get("/health/ready")[0] == 200)
    assert server.predict(ROW)[1]["version"] == SECOND


def test_a_fixed_release_that_does_not_answer_as_judged_is_not_served_and_says_why(
    serve: Serve, tmp_path: Path
) -> None:
    folder = make_release(tmp_path / "store")
    golden = json.loads((folder / "golden.json").read_text(encoding="utf-8"))
    golden["rows"][1]["output"]["probability"] = 0.99
    for file in folder.iterdir():
        file.chmod(0o644)
    (folder / "golden.json").write_text(json.dumps(golden), encoding="utf-8")
    from onebutton_serving.sealed import seal

    seal(folder)
    server = serve("--release", str(folder))
    server.until(lambda: "golden example 2" in str(server.get("/health/ready")))
    assert server.get("/health/ready")[0] == server.predict(ROW)[0] == 503
    assert f"refused: release {FIRST}: golden example 2" in server.said()


def test_a_killed_worker_comes_back_and_its_log_is_whole(serve: Serve, store: Path) -> None:
    server = serve("--store", str(store), "--pipeline", "flights").ready()
    for _ in range(50):
        assert server.predict(ROW)[0] == 200
    server.until(lambda: "onebutton_log_rows_written_total 50.0" in server.get("/metrics")[1])
    (before,) = server.workers()
    os.kill(before["pid"], signal.SIGKILL)
    server.until(lambda: server.workers()[0]["pid"] != before["pid"] and server.versions() == {FIRST})
    assert len(server.workers()) == 1
    assert server.predict(ROW)[0] == 200
    assert server.stop() == 0
    assert read_log(server.state / "log").collect().height == 51
    assert list((server.state / "log").glob("*.jsonl")) == []


def test_when_the_server_is_killed_its_workers_end_and_the_port_is_free(serve: Serve, store: Path) -> None:
    server = serve("--store", str(store), "--pipeline", "flights").ready()
    server.process.kill()
    server.process.wait()
    for _ in range(1500):
        with socket.socket() as probe:
            if probe.connect_ex(("127.0.0.1", server.port)) != 0:
                return
        time.sleep(0.02)
    raise AssertionError(server.said())


def test_requests_under_way_are_answered_when_the_server_is_told_to_end(serve: Serve, store: Path) -> None:
    server = serve("--store", str(store), "--pipeline", "flights").ready()
    large = json.dumps({"rows": [ROW] * 10_000}).encode()

    async def end_meanwhile() -> list[tuple[int, bytes]]:
        connections = [await asyncio.open_connection("127.0.0.1", server.port) for _ in range(4)]
        for reader, writer in connections:  # that the server asks for a body shows that it has taken the request
            writer.write(head(large, "expect: 100-continue\r\n"))
            assert await reader.readuntil(b"\r\n\r\n") == b"HTTP/1.1 100 Continue\r\n\r\n"
            writer.write(large)
        await asyncio.sleep(0.05)
        server.process.terminate()
        answers = await asyncio.gather(*(read_answer(reader) for reader, _ in connections))
        for _, writer in connections:
            writer.close()
            with contextlib.suppress(OSError):
                await writer.wait_closed()
        return answers

    answers = asyncio.run(end_meanwhile())
    assert [status for status, _ in answers] == [200] * 4
    assert server.process.wait(30) == 0
    assert read_log(server.state / "log").collect().height == 40_000


@pytest.mark.parametrize("attempt", range(4))  # it takes a signal at the wrong hundred microseconds
def test_a_server_that_is_told_to_end_by_several_at_once_ends(serve: Serve, store: Path, attempt: int) -> None:
    server = serve("--store", str(store), "--pipeline", "flights").ready()
    for _ in range(200):
        server.process.terminate()
        begun = time.perf_counter()
        while time.perf_counter() - begun < (attempt + 1) * 1e-5:
            pass
    assert server.process.wait(20) in {0, -signal.SIGTERM}, server.said()  # the last one may come after it has ended


def test_a_full_disk_drops_the_log_and_counts_it_and_answers_go_on(serve: Serve, store: Path) -> None:
    def little_room() -> None:
        resource.setrlimit(resource.RLIMIT_FSIZE, (150_000, 150_000))

    server = serve("--store", str(store), "--pipeline", "flights", before=little_room).ready()
    for _ in range(20):
        assert server.predict(*[ROW] * 200)[0] == 200
        time.sleep(0.05)
    server.until(lambda: "onebutton_log_rows_dropped_total 0.0" not in server.get("/metrics")[1])
    assert server.said().count("rows are dropped and counted") == 1
    assert server.stop() == 0
    assert read_log(server.state / "log").collect().height > 0


def test_a_second_server_on_the_same_port_or_state_is_refused_in_a_line(serve: Serve, store: Path) -> None:
    words = ("--store", str(store), "--pipeline", "flights")
    server = serve(*words).ready()
    second = serve(*words, "--port", str(server.port))
    assert second.process.wait(20) == 1
    assert "Address already in use; PORT= (--port) takes another" in second.said()
    assert second.said().count("\n") == 1
    third = serve(*words, "--state", str(server.state))
    assert third.process.wait(20) == 1
    assert third.said().startswith("serving: cannot use the state folder")


def bodies(count: int) -> list[bytes]:
    """Fuzz: half of them mutated good ones, half of them strange."""
    chance = random.Random(0)  # noqa: S311  fuzz
    strange = [
        b"", b"null", b"0", b'"x"', b"[" * 50_000, b'{"rows":' * 20_000, b'{"rows":[{"distance":NaN}]}', b"\xff\xfe\x00",
        json.dumps({"rows": [ROW]}).encode("utf-16"), b"\xef\xbb\xbf" + BODY, b'{"rows":[' + b"{}," * 9000 + b"{}]}",
        b'{"rows":[{"distance":' + b"9" * 5000 + b"}]}", b'{"rows":[{"carrier":"' + b"A" * 100_000 + b'"}]}',
        b'{"rows":[{"carrier":"\\ud800"}]}', b'{"rows":[{"carrier":"\\u0000\\u0000"}]}', b'{"rows":[{"distance":-0.0}]}',
        b'{"rows":[{"distance":1e-400}]}', BODY * 2, BODY[:-1], json.dumps({"rows": [ROW] * 70}).encode(),
    ]  # fmt: skip
    found = []
    for _ in range(count):
        if chance.random() < 0.5:
            found.append(chance.choice(strange))
            continue
        body = bytearray(BODY)
        for _ in range(chance.randint(1, 4)):
            body[chance.randrange(len(body))] = chance.randrange(256)
        found.append(bytes(body))
    return found


def test_malformed_framing_is_the_client_s_fault_and_leaves_the_server_as_it_was(serve: Serve, store: Path) -> None:
    server = serve("--store", str(store), "--pipeline", "flights").ready()
    line, length = "POST /v1/predict HTTP/1.1\r\nhost: x\r\n", f"content-length: {len(BODY)}\r\n"
    start, chunked = f"{line}content-type: application/json\r\n", "transfer-encoding: chunked\r\n"
    chunk = f"{len(BODY):x}\r\n{BODY.decode()}\r\n0\r\n\r\n"

    def status(request: str, *, broken_off: bool = False) -> int:
        with socket.create_connection(("127.0.0.1", server.port), timeout=20) as client:
            client.sendall(request.encode("latin-1"))
            if broken_off:
                client.shutdown(socket.SHUT_WR)
            return int(client.recv(100)[9:12])

    assert status(f"{start}{chunked}\r\n{chunk}") == 200
    # What HTTP lets a server do, and granian does: the chunks count, not the length, and the connection ends.
    assert status(f"{start}{length}{chunked}\r\n{chunk}") == 200
    assert status(f"{start}{chunked}\r\nzz\r\n{{}}\r\n0\r\n\r\n") == 400
    assert status(f"{start}{chunked}\r\n9\r\n{{}}\r\n0\r\n\r\n", broken_off=True) == 400
    assert status(f"{start}{length}\r\n{{", broken_off=True) == 400
    assert status(f"{start}{length}content-length: 5\r\n\r\n{BODY.decode()}") == 400
    assert status(f"{start}content-length: -5\r\n\r\n") == 400
    assert status(f"{start}transfer-encoding: gzip\r\n\r\n") == 400
    assert status(f"{start}{length}content-encoding: gzip\r\n\r\n{BODY.decode()}") == 415
    assert status(f"{line}{length}\r\n{BODY.decode()}") == 415
    assert server.predict(ROW)[0] == 200


def memory(pid: int) -> float:
    return int(Path(f"/proc/{pid}/statm").read_text(encoding="utf-8").split()[1]) * resource.getpagesize() / 1e6


def test_10_000_fuzzed_bodies_crash_nothing_and_leave_no_memory_behind(serve: Serve, store: Path) -> None:
    server = serve("--store", str(store), "--pipeline", "flights").ready()
    pid = server.workers()[0]["pid"]
    statuses: Counter[int] = Counter()

    async def ask(some: list[bytes]) -> None:
        reader, writer = await asyncio.open_connection("127.0.0.1", server.port, limit=2**20)
        for body in some:
            status, _ = await exchange(reader, writer, body)
            statuses[status] += 1
        writer.close()

    async def ask_all(count: int) -> None:
        every = bodies(count)
        await asyncio.gather(*(ask(every[at::8]) for at in range(8)))

    async def slow() -> list[bytes]:
        """Clients that send a part and stop, or go away in the middle."""
        kept = []
        for number in range(60):
            reader, writer = await asyncio.open_connection("127.0.0.1", server.port)
            writer.write(head(b" " * 1000) + b"{")
            await writer.drain()
            if number % 3:
                writer.close()
            else:
                kept.append((reader, writer))
        answers = await asyncio.wait_for(asyncio.gather(*(reader.read(400) for reader, _ in kept)), 60)
        for _, writer in kept:
            writer.close()
        return answers

    async def everything() -> list[bytes]:
        slow_ones = asyncio.create_task(slow())
        await ask_all(2000)
        settled.append(memory(pid))
        await ask_all(8000)
        return await slow_ones

    settled: list[float] = []
    answers = asyncio.run(everything())
    assert all(b" 408 " in answer for answer in answers)
    assert sum(statuses.values()) == 10_000
    assert set(statuses) <= {200, 400, 413, 422}
    assert server.workers()[0]["pid"] == pid
    assert memory(pid) < settled[0] * 1.25 + 20
    assert server.predict(ROW)[0] == 200
