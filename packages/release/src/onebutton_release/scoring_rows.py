"""Score rows of a table: hold them to what the release takes, with the rules that contracts have, and ask the model.

What the model is asked is the same as what was checked: both come from one cast of each column.
"""

from __future__ import annotations

import csv
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import islice
from pathlib import Path

import msgspec
import numpy as np
import polars as pl

from onebutton_contracts.errors import InputError
from onebutton_contracts.frames import POLARS_TYPES
from onebutton_contracts.rules import row_rules
from onebutton_contracts.terms import Column, Contract
from onebutton_models.scoring import ScoringError
from onebutton_serving.answering import labels
from onebutton_serving.loading import Loaded
from onebutton_serving.schema import LABEL, Field

BATCH = 16_384  # rows of one call of the model: what it computes on the way stays in the processor's cache
SHOWN = 5  # example rows
RELEASE = "release"  # the column that says which release answered
TEXTS = (pl.String, pl.Categorical, pl.Enum)


@dataclass(frozen=True)
class Part:
    """Neighbouring rows that are scored in one piece."""

    number: int
    first: int
    rows: int

    @property
    def stem(self) -> str:
        """The name under which its answers are kept."""
        return f"part-{self.number:06}"

    @property
    def span(self) -> str:
        """Its rows, for people."""
        return f"rows {self.first + 1:,} to {self.first + self.rows:,}"


def is_text(source: Path) -> bool:
    """Whether it is a CSV; anything else is parquet."""
    return source.suffix.lower() == ".csv"


def place(source: Path, row: int) -> str:
    """Say where a row of a file stands, counted from 0 here: its number, and of a CSV the line where it begins."""
    if not is_text(source):
        return f"row {row + 1:,}"
    with source.open(encoding="utf-8-sig", newline="") as stream:
        records = csv.reader(stream)
        for _ in islice(records, row + 1):  # the header, and the rows before; a quoted cell may hold lines
            pass
        return f"row {row + 1:,} in line {records.line_num + 1:,}"


class Scorer:
    """Scores rows of a table."""

    def __init__(self, source: Path, rows: pl.LazyFrame, release: Loaded) -> None:
        """Compile the rules of the release for the rows of a file; of a CSV every cell is text.

        That a value has its type is a rule of its own, because in a CSV, or in floats that should be whole numbers, only the
        value tells. The rule on personal data in free text is not among these: it guards what is stored, and nothing is stored
        here that is not stored already.
        """
        schema, types = release.schema, rows.collect_schema()
        self._source, self._rows, self._release = source, rows, release
        self._fields = {field.name: field for field in schema.inputs}
        if fault := self._fault(types):
            message = f"{source}: {fault}"
            raise InputError(message)
        self._casts = [_cast(field, types[field.name]) for field in schema.inputs]
        columns = []
        for field in schema.inputs:
            terms = msgspec.structs.asdict(field)
            columns.append(Column(logical_type=terms.pop("type"), **terms))
        contract = Contract(Path(), schema.input_contract, "0.0.0", "", tuple(columns))
        self._rules = [rule for rule in row_rules(contract) if rule.name != "personal data"]

    def _fault(self, columns: pl.Schema) -> str:
        """Say why a table's columns will not do, before a row is read."""
        schema = self._release.schema
        if missing := [name for name in self._fields if name not in columns]:
            words = f"missing column{'s' if missing[1:] else ''}: {', '.join(missing)}"
            return f"{words}; release {self._release.version} takes {', '.join(self._fields)}"
        for field in schema.inputs:
            if not is_text(self._source) and not _fits(columns[field.name], field):
                return f"column {field.name} must be {field.type}, is {columns[field.name]} [type]"
        answers = [field.name for field in schema.outputs] + [LABEL] * bool(schema.classes) + [RELEASE]
        taken = [name for name in answers if name in columns]
        return f"it has a column {taken[0]} already, where the answer would stand. Rename that column" if taken else ""

    def score(self, part: Part) -> pl.DataFrame:
        """Return the rows of a part with the answers beside them; columns of a CSV that the model takes get their type.

        Raises:
            InputError: names the first rule that is broken, how many of these rows break it, and up to five of them.
        """
        rows = self._rows.slice(part.first, part.rows).collect()
        typed = rows.select(self._casts)  # what has no such value becomes null, and breaks the rule `type`
        try:
            self._check(rows, typed, part)
            answers = self._answers(typed)
        except (InputError, ScoringError) as error:
            message = f"{self._source}: {error}. Nothing was written"
            raise InputError(message) from None
        known = rows.with_columns(typed.select(*self._fields)) if is_text(self._source) else rows
        return known.with_columns(*answers, pl.lit(self._release.version).alias(RELEASE))

    def _check(self, rows: pl.DataFrame, typed: pl.DataFrame, part: Part) -> None:
        broken = [rule for rule in self._marked(rows, typed) if rule[-1].any()]
        if not broken:
            return
        column, name, words, marks = broken[0]
        masked = self._fields[column].classification == "personal"
        places = marks.fill_null(value=False).arg_true().head(SHOWN).to_list()
        cells = ["***" if masked else _cell(rows[column][place]) for place in places]
        shown = (f"{place(self._source, part.first + at)} ({cell})" for at, cell in zip(places, cells, strict=True))
        among = f"{marks.sum():,} of {part.span} break it: {', '.join(shown)}"
        others = ", ".join(f"{other[0]} [{other[1]}]" for other in broken[1:])
        message = f"column {column} {words} [{name}]; {among}"
        raise InputError(f"{message}. Broken there too: {others}" if others else message)

    def _marked(self, rows: pl.DataFrame, typed: pl.DataFrame) -> Iterator[tuple[str, str, str, pl.Series]]:
        """Say each rule by its column, name and words, and mark the rows that break it."""
        for name, field in self._fields.items():
            cells, values = rows[name], typed[name]
            if cells.dtype == values.dtype:
                continue
            marks = values.is_null() & cells.is_not_null()
            if field.type == "integer" and cells.dtype.is_float():
                marks |= values.cast(pl.Float64) != cells
            yield name, "type", f"must be a {'whole number' if field.type == 'integer' else field.type}", marks
        marked = typed.select(rule.broken.alias(str(number)) for number, rule in enumerate(self._rules))
        for rule, marks in zip(self._rules, marked, strict=True):
            yield rule.column, rule.name, rule.words, marks

    def _answers(self, typed: pl.DataFrame) -> list[pl.Series]:
        """Ask the model, a batch at a time, and lay the answers out as columns."""
        arrays = {
            name: typed[name].cast(pl.String if field.type == "string" else pl.Float32).to_numpy().reshape(-1, 1)
            for name, field in self._fields.items()
        }
        starts = range(0, typed.height, BATCH)
        batches = ({name: values[at : at + BATCH] for name, values in arrays.items()} for at in starts)
        numbers = np.concatenate([self._release.model.answer(batch) for batch in batches])
        schema = self._release.schema
        columns = [pl.Series(field.name, numbers[:, at], pl.Float64) for at, field in enumerate(schema.outputs)]
        return [*columns, pl.Series(LABEL, labels(schema, numbers), pl.String)] if schema.classes else columns


def _fits(kind: pl.DataType, field: Field) -> bool:
    if kind == pl.Null:
        return True  # not one value; `required` has the word
    if field.type == "boolean":
        return kind == pl.Boolean
    return isinstance(kind, TEXTS) if field.type == "string" else kind.is_numeric()


def _cast(field: Field, actual: pl.DataType) -> pl.Expr:
    if field.type == "boolean" and isinstance(actual, TEXTS):  # of a CSV
        known = {"true": True, "false": False}
        return pl.col(field.name).str.to_lowercase().replace_strict(known, default=None, return_dtype=pl.Boolean)
    return pl.col(field.name).cast(POLARS_TYPES[field.type], strict=False)


def _cell(value: object) -> str:
    text = "null" if value is None else f"{value:.6g}" if isinstance(value, float) else str(value)
    return text if len(text) <= 60 else f"{text[:60]}…"  # noqa: PLR2004  a cell of a terminal
