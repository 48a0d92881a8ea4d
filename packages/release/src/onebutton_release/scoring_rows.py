"""Hold rows to what the release takes, with the rules that contracts have everywhere else, and make the model's arrays of them.

What the model is asked is the same as what was checked: both come from one cast of each column.
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import msgspec
import polars as pl

from onebutton_contracts.errors import InputError
from onebutton_contracts.frames import POLARS_TYPES
from onebutton_contracts.rules import Rule, row_rules
from onebutton_contracts.terms import Column, Contract
from onebutton_release.scoring_inputs import Part
from onebutton_serving.schema import LABEL, Field, Schema

if TYPE_CHECKING:
    from numpy.typing import NDArray

SHOWN = 5  # example rows
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
    takes = {field.name: field for field in schema.inputs}
    if missing := [name for name in takes if name not in columns]:
        words = f"missing column{'s' if missing[1:] else ''}: {', '.join(missing)}"
        message = f"{words}; release {release} takes {', '.join(takes)}"
        raise InputError(message)
    for name, field in takes.items():
        if not is_text and not _fits(columns[name], field):
            message = f"column {name} must be {field.type}, is {columns[name]} [type]"
            raise InputError(message)
    answers = [*(field.name for field in schema.outputs), *([LABEL] if schema.classes else []), RELEASE]
    if taken := [name for name in answers if name in columns]:
        message = f"it has a column {taken[0]} already, where the answer would stand. Rename that column"
        raise InputError(message)


def _fits(kind: pl.DataType, field: Field) -> bool:
    if kind == pl.Null:
        return True  # not one value; `required` has the word
    if field.type == "boolean":
        return kind == pl.Boolean
    return isinstance(kind, TEXTS) if field.type == "string" else kind.is_numeric()


class Rows:
    """Casts, checks and feeds rows of one table's columns."""

    def __init__(self, columns: pl.Schema, schema: Schema) -> None:
        """Compile the rules of the release for the columns of a table.

        That a value has its type is a rule of its own, because in a CSV, or in floats that should be whole numbers, only the
        value tells. The rule on personal data in free text is not among these: it guards what is stored, and nothing is stored
        here that is not stored already.
        """
        self._fields = {field.name: field for field in schema.inputs}
        kinds = {name: POLARS_TYPES[field.type] for name, field in self._fields.items()}
        changed = [name for name, kind in kinds.items() if columns[name] != kind]
        self._casts = [_cast(name, columns[name], kind) for name, kind in kinds.items()]
        self._casts += [pl.col(name).alias(_raw(name)) for name in changed]
        contract = Contract(Path(), schema.input_contract, "0.0.0", "", tuple(map(_column, schema.inputs)))
        self._rules = [_typed(self._fields[name], columns[name]) for name in changed]
        self._rules += [rule for rule in row_rules(contract) if rule.name != "personal data"]

    def typed(self, rows: pl.DataFrame) -> pl.DataFrame:
        """Give each input the type that its contract says; what has no such value becomes null, and breaks the rule `type`."""
        return rows.select(self._casts)

    def inputs(self, typed: pl.DataFrame) -> pl.DataFrame:
        """Return the inputs alone, of what `typed` returns."""
        return typed.select(*self._fields)

    def check(self, rows: pl.DataFrame, typed: pl.DataFrame, part: Part) -> None:
        """Refuse rows that the release does not take.

        Args:
            rows: as they came.
            typed: the same as `typed` gives them.
            part: where they stand.

        Raises:
            InputError: names the first rule that is broken, how many of these rows break it, and up to five of them.
        """
        counts = typed.select(rule.broken.sum().alias(str(number)) for number, rule in enumerate(self._rules)).row(0)
        broken = [(rule, count) for rule, count in zip(self._rules, counts, strict=True) if count]
        if not broken:
            return
        rule, count = broken[0]
        masked = self._fields[rule.column].classification == "personal"
        places = typed.select(rule.broken.fill_null(value=False).arg_true()).to_series().head(SHOWN).to_list()
        cells = ["***" if masked else _cell(rows[rule.column][place]) for place in places]
        shown = ", ".join(f"{part.place(place)} ({cell})" for place, cell in zip(places, cells, strict=True))
        among = f"{count:,} of {part.span} break it"
        others = ", ".join(f"{other.column} [{other.name}]" for other, _ in broken[1:])
        more = f". Broken there too: {others}" if others else ""
        message = f"column {rule.column} {rule.words} [{rule.name}]; {among}: {shown}{more}"
        raise InputError(message)

    def feed(self, typed: pl.DataFrame) -> dict[str, NDArray[Any]]:
        """Make the arrays that the model takes, of shape (rows, 1) each, of rows that were checked."""
        return {
            name: typed[name].cast(pl.String if field.type == "string" else pl.Float32).to_numpy().reshape(-1, 1)
            for name, field in self._fields.items()
        }


def _cast(name: str, actual: pl.DataType, kind: pl.DataType) -> pl.Expr:
    if kind == pl.Boolean and isinstance(actual, TEXTS):  # of a CSV
        known = {"true": True, "false": False}
        return pl.col(name).str.to_lowercase().replace_strict(known, default=None, return_dtype=pl.Boolean)
    return pl.col(name).cast(kind, strict=False)


def _column(field: Field) -> Column:
    """Write a field of the release as a contract has it; a model has no missing text."""
    terms = msgspec.structs.asdict(field)
    kind = terms.pop("type")
    return Column(logical_type=kind, **{**terms, "required": field.required or kind == "string"})


def _typed(field: Field, actual: pl.DataType) -> Rule:
    cell, cast = pl.col(_raw(field.name)), pl.col(field.name)
    broken = cast.is_null() & cell.is_not_null()
    if field.type == "integer" and actual.is_numeric() and not actual.is_integer():
        broken |= (cast.cast(pl.Float64) != cell).fill_null(value=False)
    words = f"must be a {'whole number' if field.type == 'integer' else field.type}"
    return Rule("type", field.name, words, broken, (field.name,))


def _raw(name: str) -> str:
    return f"{name} as it came"


def _cell(value: object) -> str:
    text = "null" if value is None else f"{value:.6g}" if isinstance(value, float) else str(value)
    return text if len(text) <= 60 else f"{text[:60]}…"  # noqa: PLR2004  a cell of a terminal
