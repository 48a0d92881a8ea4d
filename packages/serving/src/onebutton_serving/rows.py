"""Types of a request, made from a release's schema: msgspec reads and checks a body against them in one pass."""

from collections.abc import Callable
from typing import Annotated, Any, Literal

import msgspec

from onebutton_serving.schema import Field, Schema

MAX_ROWS = 10_000  # in one request
LARGEST = 3.4028234663852886e38  # a model computes in float32: more would become infinite
LARGEST_INTEGER = 2**53  # beyond it, JSON's numbers are no longer exact

Values = tuple[Any, ...]


def limits(field: Field) -> dict[str, Any]:
    """Return what a value that is not null keeps beside its type, by the names of JSON Schema."""
    if field.allowed:
        return {"enum": [str(one) for one in field.allowed] if field.type == "string" else [*field.allowed]}
    found: dict[str, Any] = {
        "minLength": field.min_length,
        "maxLength": field.max_length,
        "pattern": field.pattern or None,
    }
    if field.type in {"number", "integer"}:
        widest = LARGEST_INTEGER if field.type == "integer" else LARGEST
        found["minimum"] = -widest if field.minimum is None else max(field.minimum, -widest)
        found["maximum"] = widest if field.maximum is None else min(field.maximum, widest)
    return {name: limit for name, limit in found.items() if limit is not None}


def python_pattern(pattern: str) -> str:
    r"""Write a pattern for Python, whose `$` would let a line break through where other languages do not."""
    return pattern[:-1] + r"\Z" if pattern.endswith("$") and not pattern.endswith(r"\$") else pattern


def needed(field: Field) -> bool:
    """Say whether null is refused: of a text always, because no model takes a text that is not there."""
    return field.required or field.type == "string"


class Reader:
    """Reads bodies of one release's requests.

    Attributes:
        fields: of the values of a row, in their order: texts first, so that texts and numbers each become one array.
        names: of them.
        texts: how many of them are texts.
        personal: which of the values, by their place, say something of a person and are not logged.
    """

    def __init__(self, schema: Schema) -> None:
        """Make the types.

        Raises:
            re.error: a pattern of the schema is no regular expression of Python.
        """
        self.fields = fields = sorted(schema.inputs, key=lambda field: field.type != "string")
        self.names = [field.name for field in fields]
        self.texts = sum(field.type == "string" for field in fields)
        self.personal = [at for at, field in enumerate(fields) if field.classification == "personal"]
        options: dict[str, Any] = {"forbid_unknown_fields": True, "kw_only": True, "gc": False}
        members = [_member(field, f"f{number}") for number, field in enumerate(fields)]
        renamed = {f"f{number}": field.name for number, field in enumerate(fields)}  # a column may be called `class`
        row = msgspec.defstruct("Row", members, rename=renamed, **options)
        limits = msgspec.Meta(min_length=1, max_length=MAX_ROWS)
        rows: Any = Annotated[list[row], limits]  # type: ignore[valid-type]  # made at run time
        body = msgspec.defstruct("Body", [("rows", rows)], **options)
        self._decode: Callable[[bytes | bytearray], Any] = msgspec.json.Decoder(body).decode
        self._left = [  # what msgspec does not check: 1.0 is among [1, 2], too
            (at, frozenset(map(float, field.allowed)))
            for at, field in enumerate(fields)
            if field.allowed and field.type != "string"
        ]

    def read(self, body: bytes | bytearray) -> list[Values]:
        """Read a body into one tuple of values per row.

        Raises:
            msgspec.DecodeError: it is not JSON.
            msgspec.ValidationError: it breaks a rule; `faults` says which.
            RecursionError: it is too deep.
        """
        rows = list(map(msgspec.structs.astuple, self._decode(body).rows))
        for at, allowed in self._left:
            if not all(row[at] is None or row[at] in allowed for row in rows):
                raise msgspec.ValidationError(f"{self.names[at]} is not allowed")
        return rows


def _member(field: Field, name: str) -> tuple[str, Any] | tuple[str, Any, Any]:
    said = limits(field)
    lengths: dict[str, Any] = {"min_length": said.get("minLength"), "max_length": said.get("maxLength")}
    text: Any = Annotated[str, msgspec.Meta(**lengths, pattern=python_pattern(field.pattern) or None)]
    if field.type == "string":
        return name, Literal[tuple(said["enum"])] if field.allowed else text
    # No int: 3.0 is a whole number too, as tables that had nulls once write it.
    whole = 1 if field.type == "integer" else None
    number = Annotated[float, msgspec.Meta(ge=said.get("minimum"), le=said.get("maximum"), multiple_of=whole)]
    kind: Any = bool if field.type == "boolean" else number
    return (name, kind) if field.required else (name, kind | None, None)
