"""The OpenAPI page of a release, made from its schema: types, units, ranges, and an example from its golden rows."""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import msgspec

from onebutton_serving.faults import Refusal
from onebutton_serving.loading import GOLDEN, Loaded, predictions
from onebutton_serving.rows import MAX_ROWS, limits, needed
from onebutton_serving.schema import LABEL, Field, Schema, read_schema

Described = dict[str, Any]
REF = "#/components/schemas/"
REFUSALS = {
    "400": "the body is no JSON, or broke off", "408": "the body came too slowly", "413": "the body is too large",
    "415": "the body is not announced as JSON", "422": "a row breaks a rule, or the model refuses it",
    "429": "too many large bodies at a time", "503": "no release is in service",
}  # fmt: skip


def describe(loaded: Loaded) -> Described:
    """Describe the server with this release in service, in OpenAPI 3.1."""
    schema, golden = loaded.schema, loaded.golden
    row = _object({field.name: _field(field, null=not needed(field)) for field in schema.inputs}, closed=True)
    row["required"] = [field.name for field in schema.inputs if needed(field)]
    rows = {"type": "array", "minItems": 1, "maxItems": MAX_ROWS, "items": {"$ref": f"{REF}Row"}}
    version = {"type": "string", "description": "the release that answered all rows"}
    answered = predictions(schema, [[golden["output"][field.name] for field in schema.outputs]])
    answer = {"version": version, "predictions": {"type": "array", "items": {"$ref": f"{REF}Prediction"}}}
    (_, refusals) = msgspec.json.schema_components([Refusal], ref_template=f"{REF}{{name}}")
    post = {
        "summary": "Predict",
        "operationId": "predict",
        "requestBody": _said("Rows of named values", "Body") | {"required": True},
        "responses": {"200": _said("One prediction per row, in their order", "Answer")}
        | {status: _said(words, "Refusal") for status, words in REFUSALS.items()},
    }
    return {
        "openapi": "3.1.0",
        "info": {
            "title": f"Draft: {schema.title}" if schema.draft else schema.title,
            "version": loaded.version,
            "description": f"Pipeline {schema.pipeline}; inputs as {schema.input_contract}, answers as {schema.output_contract}.",
        },
        "paths": {"/v1/predict": {"post": post}},
        "components": {
            "schemas": {
                "Row": row,
                "Body": _object({"rows": rows}, closed=True) | {"example": {"rows": [example(schema, golden)]}},
                "Prediction": _prediction(schema),
                "Answer": _object(answer) | {"example": {"version": loaded.version, "predictions": answered}},
                **refusals,
            }
        },
    }


def example(schema: Schema, golden: Mapping[str, Any]) -> Described:
    """Write a golden row as somebody would ask it: its numbers went through float32."""
    return {field.name: _plain(golden["input"].get(field.name), field.type) for field in schema.inputs}


def golden_request(folder: Path) -> str:
    """Write a request for the first golden row of a release."""
    golden = json.loads((folder / GOLDEN).read_text(encoding="utf-8"))["rows"][0]
    return json.dumps({"rows": [example(read_schema(folder), golden)]}, ensure_ascii=False)


def _plain(value: Any, kind: str) -> Any:
    if not isinstance(value, float):
        return value
    number = float(f"{value:.7g}")
    return bool(value) if kind == "boolean" else int(number) if number.is_integer() else number


def _said(words: str, component: str) -> Described:
    return {"description": words, "content": {"application/json": {"schema": {"$ref": f"{REF}{component}"}}}}


def _object(properties: Described, *, closed: bool = False) -> Described:
    found: Described = {"type": "object", "required": list(properties), "properties": properties}
    return found | {"additionalProperties": False} if closed else found


def _prediction(schema: Schema) -> Described:
    numbers = {field.name: _field(field, null=True) for field in schema.outputs}
    if schema.by_class:
        numbers = {schema.prediction: _object(dict(zip(schema.classes, numbers.values(), strict=True)))}
    label = {"type": "string", "enum": list(schema.classes), "description": "the class that the row is called"}
    return _object({LABEL: label, **numbers} if schema.classes else numbers)


def _field(field: Field, *, null: bool) -> Described:
    found = {"type": [field.type, "null"] if null else field.type} | limits(field)
    if null and field.allowed:
        found["enum"] = [*found["enum"], None]
    words = [field.description, field.unit and f"in {field.unit}"]
    said = {"description": ", ".join(filter(None, words)), "x-unit": field.unit}
    return found | {name: value for name, value in said.items() if value}
