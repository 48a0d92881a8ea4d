"""Score rows of a table: hold them to what the release takes, with the rules that contracts have, and ask the model.

What the model is asked is the same as what was checked: both come from one cast of each column.
"""

from __future__ import annotations

from pathlib import Path

import msgspec
import numpy as np
import polars as pl

from onebutton_contracts.errors import InputError
from onebutton_contracts.frames import POLARS_TYPES
from onebutton_contracts.rules import Rule, row_rules
from onebutton_contracts.terms import Column, Contract
from onebutton_models.scoring import ScoringError
from onebutton_release.scoring_inputs import Part, Table
from onebutton_serving.answering import labels
from onebutton_serving.loading import Loaded
from onebutton_serving.schema import LABEL, Field

BATCH = 16_384  # rows of one call of the model: what it computes on the way stays in the processor's cache
SHOWN = 5  # example rows
RELEASE = "release"  # the column that says which release answered
TEXTS = (pl.String, pl.Categorical, pl.Enum)


class Scorer:
    """Scores rows of tables with the same columns."""

    def __init__(self, table: Table, release: Loaded) -> None:
        """Compile the rules of the release for the columns of a table.

        That a value has its type is a rule of its own, because in a CSV, or in floats that should be whole numbers, only the
        value tells. The rule on personal data in free text is not among these: it guards what is stored, and nothing is stored
        here that is not stored already.

        Raises:
            InputError: a column is missing, has the wrong type, or stands where an answer must.
        """
        schema, columns = release.schema, table.schema
        self._release, self._fields = release, {field.name: field for field in schema.inputs}
        self._outputs = [field.name for field in schema.outputs]
        if fault := self._fault(table):
            message = f"{table.source.path}: {fault}"
            raise InputError(message)
        kinds = {name: POLARS_TYPES[field.type] for name, field in self._fields.items()}
        changed = [name for name, kind in kinds.items() if columns[name] != kind]
        self._casts = [_cast(name, columns[name], kind) for name, kind in kinds.items()]
        self._casts += [pl.col(name).alias(_raw(name)) for name in changed]
        contract = Contract(Path(), schema.input_contract, "0.0.0", "", tuple(map(_column, schema.inputs)))
        self._rules = [_typed(self._fields[name], columns[name]) for name in changed]
        self._rules += [rule for rule in row_rules(contract) if rule.name != "personal data"]

    def _fault(self, table: Table) -> str:
        """Say why a table's columns will not do, before a row is read."""
        columns, takes = table.schema, self._fields
        if missing := [name for name in takes if name not in columns]:
            words = f"missing column{'s' if missing[1:] else ''}: {', '.join(missing)}"
            return f"{words}; release {self._release.version} takes {', '.join(takes)}"
        for name, field in takes.items():
            if not table.source.is_text and not _fits(columns[name], field):
                return f"column {name} must be {field.type}, is {columns[name]} [type]"
        labelled = [LABEL] if self._release.schema.classes else []
        taken = [name for name in (*self._outputs, *labelled, RELEASE) if name in columns]
        return f"it has a column {taken[0]} already, where the answer would stand. Rename that column" if taken else ""

    def score(self, part: Part) -> pl.DataFrame:
        """Return the rows of a part with the answers beside them; columns of a CSV that the model takes get their type.

        Raises:
            InputError: names the first rule that is broken, how many of these rows break it, and up to five of them.
        """
        rows = part.read()
        typed = rows.select(self._casts)  # what has no such value becomes null, and breaks the rule `type`
        try:
            self._check(rows, typed, part)
            answers = self._answers(typed)
        except (InputError, ScoringError) as error:
            message = f"{part.table.source.path}: {error}. Nothing was written"
            raise InputError(message) from None
        known = rows.with_columns(typed.select(*self._fields)) if part.table.source.is_text else rows
        return known.with_columns(*answers, pl.lit(self._release.version).alias(RELEASE))

    def _check(self, rows: pl.DataFrame, typed: pl.DataFrame, part: Part) -> None:
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

    def _answers(self, typed: pl.DataFrame) -> list[pl.Series]:
        """Ask the model, a batch at a time, and lay the answers out as columns."""
        arrays = {
            name: typed[name].cast(pl.String if field.type == "string" else pl.Float32).to_numpy().reshape(-1, 1)
            for name, field in self._fields.items()
        }
        starts = range(0, typed.height, BATCH)
        batches = ({name: values[at : at + BATCH] for name, values in arrays.items()} for at in starts)
        numbers = np.concatenate([self._release.model.answer(batch) for batch in batches])
        columns = [pl.Series(name, numbers[:, at], pl.Float64) for at, name in enumerate(self._outputs)]
        schema = self._release.schema
        return [*columns, pl.Series(LABEL, labels(schema, numbers), pl.String)] if schema.classes else columns


def _fits(kind: pl.DataType, field: Field) -> bool:
    if kind == pl.Null:
        return True  # not one value; `required` has the word
    if field.type == "boolean":
        return kind == pl.Boolean
    return isinstance(kind, TEXTS) if field.type == "string" else kind.is_numeric()


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
