"""Compile contracts to the `schema.json` of a release: what the server checks, and what its pages show."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import msgspec

from onebutton_contracts.errors import InputError
from onebutton_contracts.terms import Contract
from onebutton_models.scoring import Limits
from onebutton_release.declared import Declared
from onebutton_serving.schema import Field, Schema

_TYPES = ("string", "number", "integer", "boolean")  # that a field of a request can have


def compile_schema(one: Declared, takes: Mapping[str, str], limits: Limits | None = None) -> Schema:
    """Describe a model's inputs and outputs by their contracts.

    Args:
        one: what the pipeline declares.
        takes: each input of the model and its kind, `string` or `float`, as the file says.
        limits: what the model does not take although the contract does; the schema then says that too.

    Raises:
        InputError: a contract has no such column, or one of another type than the model's.
    """
    judging = one.said.judging
    quantiles = tuple(judging.quantiles.values())
    return Schema(
        pipeline=one.pipeline,
        title=one.title,
        input_contract=f"{one.inputs.name} {one.inputs.version}",
        output_contract=f"{one.outputs.name} {one.outputs.version}",
        inputs=tuple(_limited(_field(one.inputs, name, kind), limits or Limits()) for name, kind in takes.items()),
        outputs=tuple(_field(one.outputs, name, "float") for name in (*judging.predicted(), *quantiles)),
        classes=judging.classes,
        threshold=judging.threshold,
        quantiles=quantiles,
        draft=one.draft,
    )


def _field(contract: Contract, name: str, kind: str) -> Field:
    if name not in contract.column_names:
        message = f"{contract.path}: the model has {name!r}, of which this contract says nothing. Describe it there"
        raise InputError(message)
    column = contract.column(name)
    field_type: Any = column.logical_type
    if field_type not in _TYPES or (field_type == "string") != (kind == "string"):
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
        minimum=column.minimum,  # type: ignore[arg-type]  # only a date has another limit than a number
        maximum=column.maximum,  # type: ignore[arg-type]  # as above
        allowed=column.allowed,
        pattern=column.pattern,
        min_length=column.min_length,
        max_length=column.max_length,
        classification=column.classification,  # type: ignore[arg-type]  # the contract's reader lets no other in
    )


def _limited(field: Field, limits: Limits) -> Field:
    """Narrow a field to what the model was proven to answer, and say so."""
    said = [field.description] if field.description else []
    required, allowed = field.required, field.allowed
    if field.name in limits.required and not required:
        required = True
        said.append("the model takes no missing value here")
    if field.name in limits.allowed:
        kinds: Mapping[str, Callable[[Any], Any]] = {"integer": int, "boolean": bool}
        known = tuple(map(kinds.get(field.type, lambda value: value), limits.allowed[field.name]))
        allowed = tuple(value for value in known if not allowed or value in allowed)
        said.append("the model takes only the values that it was trained on")
    return msgspec.structs.replace(field, required=required, allowed=allowed, description="; ".join(said))
