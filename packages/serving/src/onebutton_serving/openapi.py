"""The OpenAPI page of a release, made from its schema: types, units, ranges, and an example from its golden rows."""

from __future__ import annotations

from typing import Any

from onebutton_serving.answering import predictions
from onebutton_serving.loading import Loaded
from onebutton_serving.rows import MAX_ROWS, bounds, needed
from onebutton_serving.schema import LABEL, Field, Schema

Described = dict[str, Any]


def describe(loaded: Loaded) -> Described:
    """Describe the server with this release in service, in OpenAPI 3.1."""
    schema = loaded.schema
    outputs = prediction_of(schema)
    example_in = {field.name: loaded.golden["input"].get(field.name) for field in schema.inputs}
    example_out = (loaded.golden["output"][field.name] for field in schema.outputs)
    row = {
        "type": "object",
        "additionalProperties": False,
        "required": [field.name for field in schema.inputs if needed(field)],
        "properties": {field.name: _input(field) for field in schema.inputs},
    }
    prediction = {"type": "object", "required": list(outputs), "properties": outputs}
    answer = {
        "type": "object",
        "required": ["version", "predictions"],
        "properties": {
            "version": {"type": "string", "description": "the release that answered all rows"},
            "predictions": {"type": "array", "items": {"$ref": "#/components/schemas/Prediction"}},
        },
        "example": {"version": loaded.version, "predictions": predictions(schema, [list(example_out)])},
    }
    body = {
        "type": "object",
        "additionalProperties": False,
        "required": ["rows"],
        "properties": {
            "rows": {
                "type": "array",
                "minItems": 1,
                "maxItems": MAX_ROWS,
                "items": {"$ref": "#/components/schemas/Row"},
            }
        },
        "example": {"rows": [example_in]},
    }
    return {
        "openapi": "3.1.0",
        "info": {
            "title": schema.title,
            "version": loaded.version,
            "description": f"Pipeline {schema.pipeline}; inputs as {schema.input_contract}, answers as {schema.output_contract}.",
        },
        "paths": _paths(),
        "components": {
            "schemas": {"Row": row, "Body": body, "Prediction": prediction, "Answer": answer, "Errors": _errors()}
        },
    }


def prediction_of(schema: Schema) -> Described:
    """Describe what comes back for a row, by name."""
    numbers = {field.name: _output(field) for field in schema.outputs}
    if schema.by_class:
        each = dict(zip(schema.classes, numbers.values(), strict=True))
        numbers = {schema.prediction: {"type": "object", "required": list(each), "properties": each}}
    label = {"type": "string", "enum": list(schema.classes), "description": "the class that the row is called"}
    return {LABEL: label, **numbers} if schema.classes else numbers


def limits(field: Field) -> str:
    """Say in words what a field takes, for people."""
    if field.allowed:
        return f"one of {', '.join(map(str, field.allowed))}"
    if field.type == "string":
        return f"text that matches {field.pattern}" if field.pattern else "text"
    low, high = (None if one is None else f"{one:g}" for one in (field.minimum, field.maximum))
    what = "a whole number" if field.type == "integer" else "a number"
    if low is not None and high is not None:
        return f"{what}, {low} to {high}"
    if low is not None:
        return f"{what}, at least {low}"
    return f"{what}, at most {high}" if high is not None else what


def _input(field: Field) -> Described:
    found: Described = {"type": field.type if needed(field) else [field.type, "null"]}
    words = ", ".join(word for word in (field.description, f"in {field.unit}" if field.unit else "") if word)
    if words:
        found["description"] = words
    if field.unit:
        found["x-unit"] = field.unit
    if field.allowed:
        values = [str(one) for one in field.allowed] if field.type == "string" else list(field.allowed)
        found["enum"] = values if needed(field) else [*values, None]
    if field.type == "string":
        said = {"pattern": field.pattern, "minLength": field.min_length, "maxLength": field.max_length}
        return (
            found if field.allowed else found | {name: value for name, value in said.items() if value not in (None, "")}
        )
    low, high = bounds(field)
    return found | {"minimum": low, "maximum": high}


def _output(field: Field) -> Described:
    words = ", ".join(word for word in (field.description, f"in {field.unit}" if field.unit else "") if word)
    found: Described = {"type": ["number", "null"]}
    said = {"description": words, "minimum": field.minimum, "maximum": field.maximum}
    return found | {name: value for name, value in said.items() if value not in (None, "")}


def _errors() -> Described:
    fault = {
        "type": "object",
        "required": ["rule", "message", "row", "field"],
        "properties": {
            "row": {"type": ["integer", "null"], "description": "counted from 0"},
            "field": {"type": ["string", "null"]},
            "rule": {"type": "string", "description": "what is broken: missing, type, minimum, allowed and so on"},
            "message": {"type": "string", "description": "for people"},
        },
    }
    return {"type": "object", "required": ["errors"], "properties": {"errors": {"type": "array", "items": fault}}}


def _paths() -> Described:
    def said(words: str, schema: str = "", kind: str = "application/json") -> Described:
        content = {"schema": {"$ref": f"#/components/schemas/{schema}"}} if schema else {"schema": {}}
        return {"description": words, "content": {kind: content}}

    refusals = {
        "400": "the body is no JSON", "408": "the body came too slowly", "413": "the body is too large",
        "415": "the body is not announced as JSON", "422": "a row breaks a rule, or the model refuses it",
        "429": "too many large bodies at a time", "503": "no release is in service",
    }  # fmt: skip
    predict = {
        "summary": "Predict",
        "operationId": "predict",
        "requestBody": {
            "required": True,
            "content": {"application/json": {"schema": {"$ref": "#/components/schemas/Body"}}},
        },
        "responses": {"200": said("One prediction per row, in their order", "Answer")}
        | {status: said(words, "Errors") for status, words in refusals.items()},
    }
    reads = {
        "/v1/model": (
            "model",
            "What is in service, its card and provenance, the pointer followed, every worker",
            "application/json",
        ),
        "/health/live": ("live", "Whether the process answers", "application/json"),
        "/health/ready": ("ready", "Whether a release is in service", "application/json"),
        "/metrics": ("metrics", "Figures for Prometheus", "text/plain"),
    }
    found: Described = {"/v1/predict": {"post": predict}}
    for path, (name, words, kind) in reads.items():
        answers = {"200": said(words, kind=kind)}
        if name == "ready":
            answers["503"] = said("No release is in service; `reason` says why")
        found[path] = {"get": {"summary": words, "operationId": name, "responses": answers}}
    return found
