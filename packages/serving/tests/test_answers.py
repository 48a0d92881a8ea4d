"""What comes back, by task: a label with the probability of each class, or a number with its quantiles."""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import pytest
from packages.serving.tests.conftest import (
    CLASSES,
    HERE,
    OF_CLASSES,
    SCHEMA,
    Client,
    change,
    golden_rows,
    make_release,
)

from onebutton_models.scoring import OnnxModel
from onebutton_serving.loading import labels, predictions
from onebutton_serving.schema import read_schema, schema_text
from onebutton_serving.sealed import ReleaseError
from onebutton_serving.segments import read_log

ROWS = [row["input"] for row in golden_rows("classes")]


@pytest.fixture
def empty(tmp_path: Path) -> Iterator[Client]:
    """The application with nothing in service."""
    client = Client(tmp_path / "state")
    yield client
    client.close()


def of_quantile(folder: Path) -> Path:
    """A release of a number and, by the second model, of a quantile."""
    outputs = [{"name": name, "type": "number"} for name in ("minutes", "p90")]
    made = make_release(folder, format=2, outputs=outputs, quantiles=["p90"])
    pairs = zip(golden_rows("first"), golden_rows("second"), strict=True)
    rows = [
        row | {"output": {"minutes": row["output"]["probability"], "p90": other["output"]["probability"]}}
        for row, other in pairs
    ]
    return change(made, p90=(HERE / "second.onnx").read_bytes(), golden=json.dumps({"tolerance": 1e-5, "rows": rows}))


def test_of_several_classes_the_likeliest_is_the_label_and_each_has_its_probability(
    empty: Client, tmp_path: Path
) -> None:
    empty.service.fix(make_release(tmp_path, model="classes", **OF_CLASSES))
    status, content = empty.predict(*ROWS)
    wanted = OnnxModel(HERE / "classes.onnx").predict(pl.DataFrame(ROWS))
    assert status == 200
    assert [row["probability"] for row in content["predictions"]] == [
        dict(zip(CLASSES, map(float, numbers), strict=True)) for numbers in wanted
    ]
    assert [row["label"] for row in content["predictions"]] == [CLASSES[at] for at in wanted.argmax(axis=1)]
    assert len({row["label"] for row in content["predictions"]}) > 1


@pytest.mark.parametrize(("threshold", "label"), [(0.0001, "late"), (0.9999, "in time")])
def test_of_two_named_classes_the_threshold_says_which(
    threshold: float, label: str, empty: Client, tmp_path: Path
) -> None:
    empty.service.fix(make_release(tmp_path, format=2, classes=["in time", "late"], threshold=threshold))
    example = golden_rows()[0]
    assert empty.predict(example["input"])[1]["predictions"] == [{"label": label} | example["output"]]


def test_a_batch_and_a_request_call_a_row_alike_that_is_exactly_at_the_threshold(tmp_path: Path) -> None:
    schema = read_schema(make_release(tmp_path, format=2, classes=["in time", "late"], threshold=0.7))
    answer = np.array([[0.7]], dtype=np.float32)
    assert labels(schema, answer).tolist() == [row["label"] for row in predictions(schema, answer.tolist())]


def test_behind_the_prefix_of_a_proxy_a_redirect_stays_there(empty: Client) -> None:
    status, headers, _ = empty.ask("GET", "/")
    assert (status, headers["location"]) == (307, "docs")
    assert empty.ask("GET", "/docs/")[0] == 404


def test_true_and_false_are_what_a_model_was_trained_to_see_as_1_and_0(empty: Client, tmp_path: Path) -> None:
    inputs = [
        field if field["name"] != "wind_gust" else {"name": "wind_gust", "type": "boolean", "required": False}
        for field in SCHEMA["inputs"]
    ]
    empty.service.fix(make_release(tmp_path, format=2, inputs=inputs))
    rows = [golden_rows()[0]["input"] | {"wind_gust": value} for value in (True, False, None)]
    status, content = empty.predict(*rows)
    wanted = OnnxModel(HERE / "first.onnx").predict(pl.DataFrame(rows, strict=False))
    assert (status, [row["probability"] for row in content["predictions"]]) == (200, wanted.tolist())
    status, content = empty.predict(rows[0] | {"wind_gust": 1})
    assert (status, content["errors"][0]["message"]) == (422, "wind_gust must be true or false, it is 1")
    empty.log.close()
    assert read_log(tmp_path / "state/log").collect()["wind_gust"].to_list() == [True, False, None]
    page = json.loads(empty.ask("GET", "/openapi.json")[2])
    assert page["components"]["schemas"]["Row"]["properties"]["wind_gust"] == {"type": ["boolean", "null"]}


def test_quantiles_come_with_the_number(empty: Client, tmp_path: Path) -> None:
    empty.service.fix(of_quantile(tmp_path))
    row = golden_rows()[0]["input"]
    numbers = [golden_rows(name)[0]["output"]["probability"] for name in ("first", "second")]
    assert empty.predict(row)[1]["predictions"] == [dict(zip(("minutes", "p90"), numbers, strict=True))]


def test_a_release_without_the_file_of_a_quantile_is_refused(empty: Client, tmp_path: Path) -> None:
    empty.service.fix(change(of_quantile(tmp_path), p90=None))
    assert empty.service.current is None
    assert "not a model that can be loaded" in empty.service.reason


def test_the_openapi_page_describes_what_comes_back_and_shows_it(empty: Client, tmp_path: Path) -> None:
    empty.service.fix(make_release(tmp_path, model="classes", **OF_CLASSES))
    schemas = json.loads(empty.ask("GET", "/openapi.json")[2])["components"]["schemas"]
    prediction = schemas["Prediction"]
    assert prediction["required"] == ["label", "probability"]
    assert prediction["properties"]["label"]["enum"] == CLASSES
    assert list(prediction["properties"]["probability"]["properties"]) == CLASSES
    assert schemas["Answer"]["example"] == empty.predict(ROWS[0])[1]


def test_the_log_has_a_column_for_the_probability_of_each_class(empty: Client, tmp_path: Path) -> None:
    empty.service.fix(make_release(tmp_path, model="classes", **OF_CLASSES))
    _, content = empty.predict(*ROWS[:2])
    empty.log.close()
    logged = read_log(tmp_path / "state/log").select(f"probability[{name}]" for name in CLASSES).collect()
    assert logged.rows() == [tuple(row["probability"].values()) for row in content["predictions"]]


def test_a_schema_reads_as_it_was_written_and_one_of_the_format_before_still_does(tmp_path: Path) -> None:
    made = make_release(tmp_path, model="classes", **OF_CLASSES)
    (made / "schema.json").chmod(0o644)
    schema = read_schema(made)
    (made / "schema.json").write_text(schema_text(schema), encoding="utf-8")
    assert read_schema(made) == schema
    before: dict[str, Any] = SCHEMA | {"format": 1}
    (made / "schema.json").write_text(json.dumps(before), encoding="utf-8")
    assert read_schema(made).classes == ()
    (made / "schema.json").write_text(json.dumps(before | {"format": 3, "colour": "red"}), encoding="utf-8")
    with pytest.raises(ReleaseError, match=r"at `\$\.format`; a newer `format` needs a newer server"):
        read_schema(made)
