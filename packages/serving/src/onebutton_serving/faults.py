"""Say what is wrong with a body, by row, field and rule: the slow way, gone only after the fast one has refused it."""

import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from itertools import islice
from operator import ge, le
from typing import Any, Literal

import msgspec

from onebutton_serving.rows import MAX_ROWS, limits, needed, python_pattern
from onebutton_serving.schema import Field, Schema

MOST = 100  # faults told of one body
SHOWN = 60  # characters of a value that a message repeats
TYPES = {"string": "text", "boolean": "true or false", "integer": "a whole number", "number": "a number"}

Rule = Literal[
    "missing", "type", "minimum", "maximum", "allowed", "pattern", "min_length", "max_length", "unknown field", "json",
    "rows", "body", "size", "time", "content type", "model", "not ready", "busy", "path", "method",
]  # fmt: skip


# By the name of a limit in JSON Schema: the rule, whether a value keeps it, and what is said where it does not.
LIMITS: dict[str, tuple[Rule, Callable[[Any, Any], object], str]] = {
    "enum": ("allowed", lambda value, known: value in known, "must be {known}, it is {value}"),
    "pattern": ("pattern", lambda value, text: re.search(python_pattern(text), value), "must match {limit}, it is {value}"),
    "minLength": ("min_length", lambda value, size: len(value) >= size, "must have at least {limit} characters: {value}"),
    "maxLength": ("max_length", lambda value, size: len(value) <= size, "must have at most {limit} characters: {value}"),
    "minimum": ("minimum", ge, "must be at least {limit:g}{unit}, it is {value}"),
    "maximum": ("maximum", le, "must be at most {limit:g}{unit}, it is {value}"),
}  # fmt: skip


class Fault(msgspec.Struct, frozen=True):
    """What one rule says."""

    rule: Rule
    message: str  # for people
    row: int | None = None  # counted from 0; null when it is not about one row
    field: str | None = None  # null when it is not about one field


class Refusal(msgspec.Struct, frozen=True):
    """Why a request is not answered with a prediction."""

    errors: Sequence[Fault]


def faults_in(body: bytes | bytearray, schema: Schema, refusal: str) -> tuple[int, list[Fault]]:
    """Say what is wrong with a body that was refused: the status to answer with, and the first `MOST` faults.

    What is not found here is told in the words of the refusal.
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
        for name in islice(content, MOST)
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
        found += islice(_of_rows(rows, schema), MOST)
    return 422, found[:MOST] or [Fault("type", refusal)]


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
    if not _has_type(value, field.type):
        return "type", f"must be {TYPES[field.type]}, it is {_shown(value)}"
    for name, limit in limits(field).items():
        rule, keeps, words = LIMITS[name]
        if not keeps(value, limit):
            known, unit = " or ".join(map(_shown, field.allowed)), field.unit and f" {field.unit}"
            return rule, words.format(limit=limit, known=known, unit=unit, value=_shown(value))
    return None


def _has_type(value: Any, kind: str) -> bool:
    if kind in {"string", "boolean"} or isinstance(value, bool):
        return isinstance(value, {"string": str, "boolean": bool}.get(kind, ()))
    return isinstance(value, int) or (isinstance(value, float) and (kind == "number" or value.is_integer()))


def _shown(value: object) -> str:
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, int) and abs(value) > 10**SHOWN:
        return "a number of many digits"  # Python refuses to write some of them at all
    if isinstance(value, dict | list):
        return "an object" if isinstance(value, dict) else "a list"
    text = repr(value)
    return text if len(text) <= SHOWN else f"{text[:SHOWN]}…"
