"""What callers notice: answers, refusals, limits, pages."""

import asyncio
import json
from pathlib import Path
from typing import Any

import pytest
from packages.serving.tests.conftest import FIRST, JSON, SCHEMA, Client, golden_rows, make_release

from onebutton_models.scoring import ScoringError
from onebutton_serving import app
from onebutton_serving.openapi import example
from onebutton_serving.rows import MAX_ROWS, Reader
from onebutton_serving.schema import Field, Schema

GOOD: dict[str, Any] = golden_rows()[0]["input"]


def faults(client: Client, *rows: Any) -> list[tuple[int | None, str | None, str]]:
    status, content = client.predict(*rows)
    assert status == 422
    assert all(one["message"] for one in content["errors"])
    return [(one["row"], one["field"], one["rule"]) for one in content["errors"]]


def test_golden_examples_are_answered_as_they_were_judged(client: Client) -> None:
    rows = golden_rows()
    status, content = client.predict(*(row["input"] for row in rows))
    assert status == 200
    assert content == {"version": FIRST, "predictions": [row["output"] for row in rows]}


def test_the_version_is_in_the_header_and_an_id_of_the_client_comes_back(client: Client) -> None:
    body = json.dumps({"rows": [GOOD]}).encode()
    _, headers, _ = client.ask("POST", "/v1/predict", body, JSON | {"x-request-id": "order-17"})
    assert (headers["x-model-version"], headers["x-request-id"]) == (FIRST, "order-17")
    assert client.ask("POST", "/v1/predict", body)[1]["x-request-id"]


@pytest.mark.parametrize(
    ("field", "value", "rule"),
    [
        ("carrier", None, "missing"),
        ("carrier", 7, "type"),
        ("carrier", "United", "pattern"),
        ("carrier", "UA\n", "pattern"),
        ("origin", "BOS", "allowed"),
        ("distance", "1400", "type"),
        ("distance", True, "type"),
        ("distance", 0, "minimum"),
        ("distance", 6000, "maximum"),
        ("departure_minute", 12.5, "type"),
        ("temp", 1e39, "maximum"),
        ("temp", 10**400, "maximum"),
        ("wind_gust", [], "type"),
        ("colour", "red", "unknown field"),
    ],
)
def test_a_bad_row_is_refused_by_row_field_and_rule(client: Client, field: str, value: Any, rule: str) -> None:
    assert faults(client, GOOD, GOOD | {field: value}) == [(1, field, rule)]


def test_a_field_left_out_is_missing_and_an_optional_one_may_be(client: Client) -> None:
    assert faults(client, {name: value for name, value in GOOD.items() if name != "origin"}) == [
        (0, "origin", "missing")
    ]
    without = {name: value for name, value in GOOD.items() if name not in ("temp", "wind_gust")}
    status, content = client.predict(without, GOOD | {"temp": None, "wind_gust": None})
    assert status == 200
    assert content["predictions"][0] == content["predictions"][1]


def test_a_whole_number_may_be_written_as_tables_with_nulls_write_it(client: Client) -> None:
    assert client.predict(GOOD | {"departure_minute": 970})[1] == client.predict(GOOD | {"departure_minute": 970.0})[1]


def test_every_fault_of_a_request_is_told_at_once(client: Client) -> None:
    bad = GOOD | {"origin": "BOS", "distance": -1}
    assert faults(client, bad, GOOD, 7) == [(0, "origin", "allowed"), (0, "distance", "minimum"), (2, None, "type")]


@pytest.mark.parametrize(
    ("body", "status", "rule"),
    [
        (b"", 400, "json"),
        (b"{", 400, "json"),
        (b"\xff\xfe{}", 400, "json"),
        (b'{"rows": [{"distance": NaN}]}', 400, "json"),
        (b'{"rows": [{"distance": Infinity}]}', 400, "json"),
        (b"[" * 100_000, 400, "json"),
        (b'{"rows": ' * 50_000, 400, "json"),
        (b"[]", 422, "type"),
        (b"{}", 422, "missing"),
        (b'{"rows": []}', 422, "rows"),
        (b'{"rows": 1}', 422, "type"),
        (b'{"rows": [{}] , "more": 1}', 422, "unknown field"),
        (json.dumps({"rows": [{}] * (MAX_ROWS + 1)}).encode(), 422, "rows"),
        (b" " * (app.MAX_BYTES + 1), 413, "size"),
    ],
)
def test_a_body_that_is_no_request_is_refused_with_a_reason(
    client: Client, body: bytes, status: int, rule: str
) -> None:
    found, _, content = client.ask("POST", "/v1/predict", body)
    assert found == status
    assert json.loads(content)["errors"][0]["rule"] == rule


def test_a_body_of_another_or_no_kind_is_415_and_an_announced_giant_is_not_read(client: Client) -> None:
    good = json.dumps({"rows": [GOOD]}).encode()
    for kind in ({"content-type": "text/plain"}, {"content-type": "application/jsonx"}, {}):
        assert client.ask("POST", "/v1/predict", good, kind)[0] == 415
    assert client.ask("POST", "/v1/predict", good, {"content-type": "Application/JSON; charset=utf-8"})[0] == 200
    assert client.ask("POST", "/v1/predict", b"", JSON | {"content-encoding": "gzip"})[0] == 415
    assert client.ask("POST", "/v1/predict", b"", JSON | {"content-length": "9000000"})[0] == 413


def test_a_body_that_never_ends_is_408(client: Client, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(app, "MAX_SECONDS", 0.1)
    status, _, content = client.runner.run(client.once("POST", "/v1/predict", [b'{"rows"', b": ["], ends=False))
    assert (status, json.loads(content)["errors"][0]["rule"]) == (408, "time")
    assert client.predict(GOOD)[0] == 200


def test_a_body_in_many_parts_is_one_body(client: Client) -> None:
    body = json.dumps({"rows": [GOOD]}).encode()
    parts = [body[at : at + 10] for at in range(0, len(body), 10)]
    asked = client.once("POST", "/v1/predict", parts)
    assert client.runner.run(asked)[2] == client.ask("POST", "/v1/predict", body)[2]


def test_large_and_small_requests_at_once_are_each_answered_with_their_own_rows(client: Client) -> None:
    rows = [row["input"] for row in golden_rows()]
    wanted = [row["output"] for row in golden_rows()]

    async def all_at_once() -> list[Any]:
        sizes = [1, 2, 300, 1, 5, 1000, 3]
        asked = [json.dumps({"rows": (rows * 200)[at : at + size]}).encode() for at, size in enumerate(sizes)]
        answers = await asyncio.gather(*(client.once("POST", "/v1/predict", [body]) for body in asked))
        for (status, _, content), at, size in zip(answers, range(7), sizes, strict=True):
            assert status == 200
            assert json.loads(content)["predictions"] == (wanted * 200)[at : at + size]
        return answers

    assert len(client.runner.run(all_at_once())) == 7


def test_other_paths_and_methods_are_refused_as_json(client: Client) -> None:
    for method, path, status in (("GET", "/nowhere", 404), ("GET", "/v1/predict", 405), ("POST", "/v1/model", 405)):
        found, headers, content = client.ask(method, path)
        assert (found, headers["content-type"]) == (status, "application/json")
        assert json.loads(content)["errors"][0]["message"]


def test_the_model_page_says_what_is_in_service_and_what_is_behind_it(client: Client) -> None:
    content = json.loads(client.ask("GET", "/v1/model")[2])
    assert content["workers"] == [{"pid": content["workers"][0]["pid"], "version": FIRST, "refused": None}]
    del content["workers"]
    assert content == {
        "pipeline": "flights",
        "version": FIRST,
        "title": SCHEMA["title"],
        "draft": False,
        "contracts": {"inputs": "features 1.0.0", "outputs": "predictions 1.0.0"},
        "card": "# Flights\n\nMade for tests.\n",
        "provenance": {"commit": "0123456"},
        "verdicts": {"passed": 2},
        "follows": None,
    }


def test_the_openapi_page_has_types_units_ranges_and_an_example_that_is_answered(client: Client) -> None:
    content = json.loads(client.ask("GET", "/openapi.json")[2])
    row = content["components"]["schemas"]["Row"]["properties"]
    assert row["distance"] == {
        "type": "number",
        "description": "in miles",
        "x-unit": "miles",
        "minimum": 1,
        "maximum": 5500,
    }
    assert row["origin"]["enum"] == ["EWR", "JFK", "LGA"]
    assert row["wind_gust"]["type"] == ["number", "null"]
    example = content["components"]["schemas"]["Body"]["example"]
    assert client.predict(*example["rows"])[0] == 200


def test_a_golden_row_is_shown_and_asked_as_its_contract_has_it_though_a_model_takes_floats() -> None:
    fields = (Field("paid", "boolean"), Field("seats", "integer"), Field("temp", "number"))
    schema = Schema("flights", "Late?", "features 1.0.0", "predictions 1.0.0", fields, (Field("late", "number"),))
    golden = {"input": {"paid": 1.0, "seats": 3.0, "temp": 62.29999923706055}}
    assert json.dumps(example(schema, golden)) == '{"paid": true, "seats": 3, "temp": 62.3}'


def test_a_draft_says_so_wherever_people_look(tmp_path: Path) -> None:
    client = Client(tmp_path)
    client.service.fix(make_release(tmp_path, draft=True))
    assert json.loads(client.ask("GET", "/v1/model")[2])["draft"] is True
    assert json.loads(client.ask("GET", "/openapi.json")[2])["info"]["title"] == f"Draft: {SCHEMA['title']}"
    client.close()


def test_before_a_release_is_loaded_the_server_says_what_it_waits_for(tmp_path: Path) -> None:
    client = Client(tmp_path)
    client.service.reason = "nothing was deployed here yet"
    for method, path, status in (
        ("GET", "/health/live", 200), ("GET", "/health/ready", 503), ("POST", "/v1/predict", 503), ("GET", "/openapi.json", 503),
        ("GET", "/v1/model", 200),
    ):  # fmt: skip
        found, _, content = client.ask(method, path, b"{}")
        assert found == status
        assert path == "/health/live" or b"nothing was deployed here yet" in content
    client.close()


def test_a_column_may_have_any_name() -> None:
    """Names that Python reserves, or that mean something to a page, are only names."""
    names = ["class", "rows", "a b", "<script>", "π"]
    schema = Schema("p", "t", "a 1", "b 1", tuple(Field(name, "number") for name in names), (Field("out", "number"),))
    body = json.dumps({"rows": [dict.fromkeys(names, 1)]}).encode()
    assert Reader(schema).read(body) == [(1.0,) * 5]


def test_large_bodies_that_wait_for_an_answer_are_counted_and_too_many_are_told_to_come_again(
    client: Client, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Else a burst of them would fill the memory while one thread computes."""
    body = json.dumps({"rows": [golden_rows()[0]["input"]] * 600}).encode()
    monkeypatch.setattr(app, "MAX_HELD", 3 * len(body))

    async def burst() -> list[int]:
        answers = await asyncio.gather(*[client.once("POST", "/v1/predict", [body]) for _ in range(5)])
        return sorted(status for status, _, _ in answers)

    for _ in range(3):  # what was counted is let go of
        assert client.runner.run(burst()) == [200, 200, 200, 429, 429]


def test_what_is_wrong_with_large_bodies_is_searched_for_one_by_one_and_found(client: Client) -> None:
    body = json.dumps({"rows": [golden_rows()[0]["input"] | {"origin": 7}] * 600}).encode()

    async def burst() -> list[int]:
        answers = await asyncio.gather(*[client.once("POST", "/v1/predict", [body]) for _ in range(4)])
        return [status for status, _, _ in answers]

    assert client.runner.run(burst()) == [422] * 4


def test_rows_that_the_model_refuses_are_named_and_cost_no_other_request(
    client: Client, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert client.service.current is not None
    model = client.service.current.models[0]
    answer = model.answer

    def refuse(feed: Any) -> Any:
        if 13 in feed["distance"]:
            message = "13 miles were never proven"
            raise ScoringError(message)
        return answer(feed)

    monkeypatch.setattr(model, "answer", refuse)
    bodies_at_once = [[GOOD], [GOOD, GOOD | {"distance": 13}, GOOD, GOOD | {"distance": 13}], [GOOD]]

    async def together() -> list[Any]:
        asked = [json.dumps({"rows": rows}).encode() for rows in bodies_at_once]
        return await asyncio.gather(*(client.once("POST", "/v1/predict", [body]) for body in asked))

    (first, _, _), (status, _, content), (last, _, _) = client.runner.run(together())
    assert (first, status, last) == (200, 422, 200)
    assert [(one["row"], one["rule"]) for one in json.loads(content)["errors"]] == [(1, "model"), (3, "model")]
