"""Say what is wrong with a body, by row, field and rule: the slow way, gone only after the fast one has refused it."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from typing import Any, Literal

import msgspec

from onebutton_serving.rows import MAX_ROWS, bounds, is_number, needed, pattern_of
from onebutton_serving.schema import Field, Schema

MOST = 100  # faults told of one body
SHOWN = 60  # characters of a value that a message repeats

Rule = Literal[
    "missing", "type", "minimum", "maximum", "allowed", "pattern", "min_length", "max_length", "unknown field", "json",
    "rows", "body", "size", "time", "content type", "model", "not ready", "busy", "path", "method",
]  # fmt: skip


class Fault(msgspec.Struct, frozen=True):
    """What one rule says.

    Attributes:
        row: counted from 0; null when it is not about one row.
        field: null when it is not about one field.
        rule: the name of what is broken.
        message: for people.
    """

    rule: Rule
    message: str
    row: int | None = None
    field: str | None = None


class Refusal(msgspec.Struct, frozen=True):
    """Why a request is not answered with a prediction."""

    errors: Sequence[Fault]


def faults_in(body: bytes, schema: Schema, refusal: str) -> tuple[int, list[Fault]]:
    """Say what is wrong with a body that was refused.

    Args:
        body: of the request.
        schema: of the release.
        refusal: the words of the fast way, for what is not found here.

    Returns:
        The status to answer with, and the first `MOST` faults.
    """
    try:
        content = msgspec.json.decode(body)
    except RecursionError:
        return 400, [Fault("json", 'the body is nested too deeply; send {"rows": [{field: value}]}')]
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        return 400, [Fault("json", f"the body is not JSON that can be read: {error}")]
    if not isinstance(content, dict):
        return 422, [Fault("type", 'the body must be an object: {"rows": [{field: value}]}')]
    found = [
        Fault("unknown field", f"{_shown(name)} is no part of a request; it has rows alone", field=name[:SHOWN])
        for name in list(content)[:MOST]
        if name != "rows"
    ]
    rows = content.get("rows")
    if rows is None:
        found.append(Fault("missing", 'rows are missing: {"rows": [{field: value}]}', field="rows"))
    elif not isinstance(rows, list):
        found.append(Fault("type", "rows must be a list", field="rows"))
    elif not rows:
        found.append(Fault("rows", "there is no row", field="rows"))
    elif len(rows) > MAX_ROWS:
        return 422, [Fault("rows", f"{len(rows):,} rows; at most {MAX_ROWS:,} in one request", field="rows")]
    else:
        for fault in _of_rows(rows, schema):
            found.append(fault)
            if len(found) >= MOST:
                break
    return 422, found or [Fault("type", refusal)]


def _of_rows(rows: list[Any], schema: Schema) -> Iterator[Fault]:
    known = {field.name: field for field in schema.inputs}
    for at, row in enumerate(rows):
        if not isinstance(row, dict):
            yield Fault("type", f"row {at} must be an object of named values, it is {_shown(row)}", at)
            continue
        for name in row.keys() - known.keys():
            yield Fault("unknown field", f"{_shown(name)} is no field of this model", at, name[:SHOWN])
        for field in schema.inputs:
            if broken := _of_value(row, field):
                rule, words = broken
                yield Fault(rule, f"{field.name} {words}", at, field.name)


def _of_value(row: Mapping[str, Any], field: Field) -> tuple[Rule, str] | None:
    value = row.get(field.name)
    if value is None:
        if not needed(field):
            return None
        return "missing", "is missing" if field.name not in row else "is null, a value is needed"
    if field.type == "boolean":
        return _of_boolean(value, field)
    return _of_text(value, field) if field.type == "string" else _of_number(value, field)


def _of_text(value: object, field: Field) -> tuple[Rule, str] | None:
    if not isinstance(value, str):
        return "type", f"must be text, it is {_shown(value)}"
    if field.allowed:
        allowed = [str(one) for one in field.allowed]
        return None if value in allowed else ("allowed", f"must be {_listed(allowed)}, it is {_shown(value)}")
    if field.min_length is not None and len(value) < field.min_length:
        return "min_length", f"must have at least {field.min_length} characters, it has {len(value)}"
    if field.max_length is not None and len(value) > field.max_length:
        return "max_length", f"must have at most {field.max_length} characters, it has {len(value)}"
    if field.pattern and not re.search(pattern_of(field), value):
        return "pattern", f"must match {field.pattern}, it is {_shown(value)}"
    return None


def _of_boolean(value: object, field: Field) -> tuple[Rule, str] | None:
    if not isinstance(value, bool):
        return "type", f"must be true or false, it is {_shown(value)}"
    if field.allowed and value not in field.allowed:
        return "allowed", f"must be {_shown(field.allowed[0])}, it is {_shown(value)}"
    return None


def _of_number(value: Any, field: Field) -> tuple[Rule, str] | None:
    what = "a whole number" if field.type == "integer" else "a number"
    if isinstance(value, bool) or not isinstance(value, int | float):
        return "type", f"must be {what}, it is {_shown(value)}"
    low, high = bounds(field)
    unit = f" {field.unit}" if field.unit else ""
    if value > high or (not is_number(value) and value > 0):
        return "maximum", f"must be at most {high:g}{unit}, it is {_shown(value)}"
    if value < low or not is_number(value):
        return "minimum", f"must be at least {low:g}{unit}, it is {_shown(value)}"
    if field.type == "integer" and not float(value).is_integer():
        return "type", f"must be {what}, it is {_shown(value)}"
    if field.allowed and value not in field.allowed:
        return "allowed", f"must be {_listed([f'{one:g}' for one in field.allowed])}, it is {_shown(value)}"
    return None


def _listed(allowed: list[str]) -> str:
    return allowed[0] if len(allowed) == 1 else f"{', '.join(allowed[:-1])} or {allowed[-1]}"


def _shown(value: object) -> str:
    if isinstance(value, int) and not isinstance(value, bool) and abs(value) > 10**SHOWN:
        return "a number of many digits"  # Python refuses to write some of them at all
    if isinstance(value, dict | list):
        return "an object" if isinstance(value, dict) else "a list"
    text = {True: "true", False: "false"}.get(value, repr(value)) if isinstance(value, bool) else repr(value)
    return text if len(text) <= SHOWN else f"{text[:SHOWN]}…"
