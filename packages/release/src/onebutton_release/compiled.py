"""Compile contracts to the `schema.json` of a release: what the server checks, and what its pages show."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from typing import Any, Literal

from onebutton_contracts.errors import InputError
from onebutton_contracts.terms import Column, Contract
from onebutton_release.declared import Declared
from onebutton_serving.schema import FORMAT, Field, Schema

_TYPES: Mapping[str, Literal["string", "number", "integer"]] = {
    "string": "string",
    "number": "number",
    "integer": "integer",
}


def compile_schema(one: Declared, takes: Mapping[str, str], answers: Sequence[str]) -> Schema:
    """Describe a model's inputs and outputs by their contracts.

    Args:
        one: what the pipeline declares.
        takes: each input of the model and its kind, `string` or `float`, as the file says.
        answers: the columns of the contract of predictions that the model answers, in its order.

    Raises:
        InputError: a contract has no such column, or one of another type than the model's.
    """
    return Schema(
        pipeline=one.pipeline,
        title=one.title,
        input_contract=f"{one.inputs.name} {one.inputs.version}",
        output_contract=f"{one.outputs.name} {one.outputs.version}",
        inputs=tuple(_field(one.inputs, name, kind) for name, kind in takes.items()),
        outputs=tuple(_field(one.outputs, name, "float") for name in answers),
    )


def _field(contract: Contract, name: str, kind: str) -> Field:
    if name not in contract.column_names:
        message = f"{contract.path}: the model has {name!r}, of which this contract says nothing. Describe it there"
        raise InputError(message)
    column = contract.column(name)
    field_type = _TYPES.get(column.logical_type)
    if field_type is None or (field_type == "string") != (kind == "string"):
        message = (
            f"{contract.path}: {name} is {column.logical_type}, the model takes {kind}: it cannot be asked over HTTP"
        )
        raise InputError(message)
    return Field(
        name=name,
        type=field_type,
        required=column.required or field_type == "string",  # a text that is missing has no place in a tensor
        unit=column.unit,
        description=column.description,
        minimum=_limit(column, column.minimum),
        maximum=_limit(column, column.maximum),
        allowed=column.allowed,
        pattern=column.pattern,
        min_length=column.min_length,
        max_length=column.max_length,
        classification=column.classification,  # type: ignore[arg-type]  # the contract's reader lets no other in
    )


def _limit(column: Column, value: object) -> float | None:
    if value is None:
        return None
    if not isinstance(value, int | float):
        message = f"{column.name}: the limit {value} is no number"
        raise InputError(message)
    return value


def schema_text(schema: Schema) -> str:
    """Write `schema.json`, without what is left at its default."""
    content = {"format": FORMAT, **asdict(schema)}
    for side in ("inputs", "outputs"):
        content[side] = [_short(one) for one in content[side]]
    return json.dumps(content, indent=1, ensure_ascii=False) + "\n"


def _short(field: Mapping[str, Any]) -> dict[str, Any]:
    always = ("name", "type", "required")
    return {name: value for name, value in field.items() if name in always or value not in ("", None, ())}
