"""Hold the rows of a part to what the release takes, with the rules that contracts have everywhere else.

What the model is asked is the same as what was checked: both come from one cast of each column.
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import polars as pl

from onebutton_contracts.errors import InputError
from onebutton_contracts.frames import POLARS_TYPES
from onebutton_contracts.rules import Rule, row_rules
from onebutton_contracts.terms import Column, Contract
from onebutton_serving.schema import LABEL, Field, Schema

if TYPE_CHECKING:
    from numpy.typing import NDArray

SHOWN = 5  # example rows
MASK = "***"
RELEASE = "release"  # the column that says which release answered
TEXTS = (pl.String, pl.Categorical, pl.Enum)


def check_columns(columns: pl.Schema, schema: Schema, release: str, *, is_text: bool) -> None:
    """Refuse a table whose columns will not do, before a row is read.

    Args:
        columns: of the table.
        schema: of the release.
        release: its version, for people.
        is_text: whether the table was a CSV, whose every cell is text.

    Raises:
        InputError: a column is missing, has the wrong type, or stands where an answer must.
    """
    missing = [field.name for field in schema.inputs if field.name not in columns]
    if missing:
        message = (
            f"missing column{'s' if missing[1:] else ''}: {', '.join(missing)}; release {release} takes "
            f"{', '.join(field.name for field in schema.inputs)}"
        )
        raise InputError(message)
    for field in schema.inputs:
        kind = columns[field.name]
        if not is_text and not _fits(kind, field):
            message = f"column {field.name} must be {field.type}, is {kind} [type]"
            raise InputError(message)
    answers = [*(field.name for field in schema.outputs), *([LABEL] if schema.classes else []), RELEASE]
    taken = [name for name in answers if name in columns]
    if taken:
        message = f"it has a column {taken[0]} already, where the answer would stand. Rename that column"
        raise InputError(message)


def _fits(kind: pl.DataType, field: Field) -> bool:
    if kind == pl.Null:
        return True  # not one value; `required` has the word
    return isinstance(kind, TEXTS) if field.type == "string" else kind.is_numeric()


def compile_rules(columns: pl.Schema, schema: Schema) -> list[Rule]:
    """Compile what marks a row that the release does not take, over columns of the types that `typed` gives them.

    That a value has its type is a rule of its own, because in a CSV, or in floats that should be whole numbers, only the value
    tells. The rule on personal data in free text is not among these: it guards what is stored, and nothing is stored here that
    is not stored already.
    """
    terms = tuple(
        Column(
            name=field.name,
            logical_type=field.type,
            required=field.required or field.type == "string",  # a model has no missing text
            unit=field.unit,
            minimum=field.minimum,
            maximum=field.maximum,
            allowed=field.allowed,  # type: ignore[arg-type]  # floats compare as numbers do
            classification=field.classification,
            pattern=field.pattern,
            min_length=field.min_length,
            max_length=field.max_length,
        )
        for field in schema.inputs
    )
    contract = Contract(Path(), schema.input_contract, "0.0.0", "", terms)
    kinds = {field.name: field.type for field in schema.inputs}
    changed = [name for name, kind in kinds.items() if columns[name] != POLARS_TYPES[kind]]
    types = [
        Rule(
            "type",
            name,
            f"must be {'a whole number' if kinds[name] == 'integer' else f'a {kinds[name]}'}",
            broken,
            (name,),
        )
        for name in changed
        if (broken := _no_such(name, kinds[name], columns[name])) is not None
    ]
    return types + [rule for rule in row_rules(contract) if rule.name != "personal data"]


def _no_such(name: str, kind: str, actual: pl.DataType) -> pl.Expr | None:
    cell, cast = pl.col(_raw(name)), pl.col(name)
    lost = cast.is_null() & cell.is_not_null()
    if kind == "integer" and (actual.is_float() or actual.is_decimal()):
        return lost | (cast.cast(pl.Float64) != cell).fill_null(value=False)
    return None if actual == pl.Null or kind == "string" else lost


def _raw(name: str) -> str:
    return f"{name} as it came"


def typed(rows: pl.DataFrame, schema: Schema) -> pl.DataFrame:
    """Give each input the type that its contract says; what has no such value becomes null, and breaks the rule `type`."""
    kinds = {field.name: POLARS_TYPES[field.type] for field in schema.inputs}
    return rows.select(pl.col(name).cast(kind, strict=False) for name, kind in kinds.items())


def check_rows(rows: pl.DataFrame, inputs: pl.DataFrame, rules: list[Rule], schema: Schema, first: int) -> None:
    """Refuse rows that the release does not take.

    Args:
        rows: as they came.
        inputs: the same as `typed` gives them.
        rules: as `compile_rules` gives them.
        schema: of the release.
        first: how many rows of the table come before these.

    Raises:
        InputError: names the first rule that is broken, how many of these rows break it, and up to five of them.
    """
    raw = [rows[rule.column].rename(_raw(rule.column)) for rule in rules if rule.name == "type"]
    frame = inputs.with_columns(raw)
    counts = frame.select(rule.broken.sum().alias(str(number)) for number, rule in enumerate(rules)).row(0)
    broken = [(rule, count) for rule, count in zip(rules, counts, strict=True) if count]
    if not broken:
        return
    rule, count = broken[0]
    (field,) = (field for field in schema.inputs if field.name == rule.column)
    places = frame.select(rule.broken.fill_null(value=False).arg_true()).to_series().head(SHOWN).to_list()
    values = [MASK if field.classification == "personal" else _cell(rows[rule.column][place]) for place in places]
    shown = ", ".join(f"row {first + place + 1:,} ({value})" for place, value in zip(places, values, strict=True))
    among = f"{count:,} of rows {first + 1:,} to {first + rows.height:,} break it"
    others = ", ".join(f"{other.column} [{other.name}]" for other, _ in broken[1:])
    more = f". Broken there too: {others}" if others else ""
    message = f"column {rule.column} {rule.words} [{rule.name}]; {among}: {shown}{more}"
    raise InputError(message)


def _cell(value: object) -> str:
    text = "null" if value is None else f"{value:.6g}" if isinstance(value, float) else str(value)
    return text if len(text) <= 60 else f"{text[:60]}…"  # noqa: PLR2004  a cell of a terminal


def feed(inputs: pl.DataFrame, schema: Schema) -> dict[str, NDArray[Any]]:
    """Make the arrays that the model takes, of shape (rows, 1) each, of rows that were checked."""
    return {
        field.name: (
            inputs[field.name].to_numpy() if field.type == "string" else inputs[field.name].cast(pl.Float32).to_numpy()
        ).reshape(-1, 1)
        for field in schema.inputs
    }
