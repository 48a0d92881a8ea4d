"""The log of predictions: what is in it, and what a kill or a full disk does to it."""

import json
import os
import time
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import polars as pl
import pytest
from packages.serving.tests.conftest import FIRST, SECOND, Client, golden_rows, make_release

from onebutton_serving import log as log_module
from onebutton_serving.rows import Reader
from onebutton_serving.schema import Field, Schema
from onebutton_serving.segments import forget, read_log, roll

ROWS = [row["input"] for row in golden_rows()]


@pytest.fixture
def folder(client: Client, tmp_path: Path) -> Path:
    """A log with three predictions in two requests, its journal still open."""
    assert client.predict(ROWS[0], ROWS[1])[0] == 200
    body = json.dumps({"rows": [ROWS[2]]}).encode()
    client.ask("POST", "/v1/predict", body, {"content-type": "application/json", "x-request-id": "order-17"})
    wait_for(client, 3)
    return tmp_path / "state/log"


def wait_for(client: Client, rows: int) -> None:
    for _ in range(500):
        if client.log.written + client.log.dropped >= rows:
            return
        time.sleep(0.01)
    raise AssertionError(client.log.written)


def test_every_prediction_is_in_the_log_with_inputs_and_answers(folder: Path) -> None:
    found = read_log(folder).collect()
    assert found.columns[:4] == ["time", "version", "latency_ms", "request"]
    assert found["time"].dtype == pl.Datetime("us", "UTC")
    assert found["version"].to_list() == [FIRST] * 3
    assert found["request"].to_list()[2] == "order-17"
    assert found["row"].to_list() == [0, 1, 0]
    assert found["distance"].to_list() == [row["distance"] for row in ROWS[:3]]
    assert found["departure_minute"].dtype == pl.Int64
    assert found["probability"].to_list() == [row["output"]["probability"] for row in golden_rows()[:3]]
    assert found["latency_ms"].min() > 0  # type: ignore[operator]


def test_personal_values_are_left_out(folder: Path) -> None:
    assert read_log(folder).collect()["temp"].to_list() == [None] * 3


def test_a_closed_journal_becomes_a_segment_that_reads_the_same(folder: Path, client: Client) -> None:
    before = read_log(folder).collect()
    roll(folder)
    assert not list(folder.glob("*.parquet"))  # it is being written
    client.log.close()
    roll(folder)
    assert [path.suffix for path in folder.iterdir() if not path.name.startswith(".")] == [".parquet"]
    assert read_log(folder).collect().equals(before)


def test_a_log_that_is_too_large_loses_its_oldest_segments(folder: Path, client: Client) -> None:
    """Kubernetes ends a pod that writes more than its volume may hold: no full disk would stop the log there."""
    client.log.close()
    roll(folder)
    for day in range(1, 6):
        (folder / f"2026010{day}T000000-17-1.parquet").write_bytes(bytes(1_000_000))
    forget(folder, 10)
    assert len(list(folder.glob("2026010*.parquet"))) == 5
    forget(folder, 4)
    assert sorted(path.name[:8] for path in folder.glob("2026010*.parquet")) == ["20260103", "20260104", "20260105"]
    assert sum(path.stat().st_size for path in folder.glob("*.parquet")) < 4_000_000


def test_inputs_with_the_log_s_own_names_are_kept_beside_them(client: Client, tmp_path: Path) -> None:
    fields = (Field("time", "number"), Field("request", "string"))
    schema = Schema("flights", "Late?", "features 1.0.0", "predictions 1.0.0", fields, (Field("time", "number"),))
    current = client.service.current
    assert current is not None
    release = replace(current, schema=schema, reader=Reader(schema))
    client.log.add(release, [("a seat", 12.5)], [[0.25]], "order-17", 0.5)
    client.log.close()
    (row,) = read_log(tmp_path / "state/log").collect().to_dicts()
    assert (row["request"], row["time_in"], row["request_in"], row["time_out"]) == ("order-17", 12.5, "a seat", 0.25)
    assert abs((datetime.now(UTC) - row["time"]).total_seconds()) < 600


def test_a_line_that_a_kill_tore_costs_that_line_alone(folder: Path, client: Client) -> None:
    client.log.close()
    (journal,) = folder.glob("*.jsonl")
    content = journal.read_bytes()
    journal.write_bytes(content[:-20])
    assert read_log(folder).collect().height == 2
    roll(folder)
    assert read_log(folder).collect().height == 2


def test_a_kill_between_segment_and_journal_counts_nothing_twice(folder: Path, client: Client) -> None:
    client.log.close()
    (journal,) = folder.glob("*.jsonl")
    content = journal.read_bytes()
    roll(folder)
    journal.write_bytes(content)
    assert read_log(folder).collect().height == 3
    roll(folder)
    assert not list(folder.glob("*.jsonl"))
    assert read_log(folder).collect().height == 3


def test_releases_with_other_inputs_share_a_log(folder: Path, client: Client, tmp_path: Path) -> None:
    from packages.serving.tests.conftest import SCHEMA

    renamed: list[dict[str, Any]] = [field | {"classification": "public"} for field in SCHEMA["inputs"]]
    client.service.fix(make_release(tmp_path / "second", SECOND, "second", inputs=renamed))
    client.predict(ROWS[3])
    wait_for(client, 4)
    client.log.close()
    found = read_log(folder).collect()
    assert found["version"].to_list() == [FIRST] * 3 + [SECOND]
    assert found["temp"].to_list() == [None] * 3 + [ROWS[3]["temp"]]


def test_a_full_disk_drops_rows_and_counts_them_and_answers_go_on(
    folder: Path, client: Client, monkeypatch: pytest.MonkeyPatch
) -> None:
    room = [30]  # bytes
    write = os.write

    def fill(number: int, content: bytes) -> int:
        if not room:
            raise OSError(28, "No space left on device")
        return write(number, content[: room.pop()])

    monkeypatch.setattr(os, "write", fill)
    assert client.predict(ROWS[0])[0] == 200
    wait_for(client, 4)
    assert client.log.dropped == 1
    monkeypatch.undo()
    assert client.predict(ROWS[1])[0] == 200
    wait_for(client, 5)
    client.log.close()
    assert read_log(folder).collect().height == client.log.written == 4


def test_a_full_queue_drops_rows_and_counts_them(client: Client, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(log_module, "QUEUE", 0)
    assert client.predict(ROWS[0], ROWS[1])[0] == 200
    assert client.log.dropped == 2


def test_a_log_without_a_prediction_is_an_empty_frame(tmp_path: Path) -> None:
    assert read_log(tmp_path).collect().height == 0
    roll(tmp_path)
    assert not list(tmp_path.iterdir())
