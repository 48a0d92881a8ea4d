"""Score rows of a table: hold them to what the release takes, with the rules that contracts have, and ask the model.

What the model is asked is the same as what was checked: both come from one cast of each column.
"""

import csv
from collections.abc import Iterator, Sequence
from itertools import islice
from pathlib import Path

import msgspec
import numpy as np
import polars as pl

from onebutton_contracts.errors import InputError, require
from onebutton_contracts.frames import POLARS_TYPES
from onebutton_contracts.terms import Column, Contract
from onebutton_contracts.validation import Rule, row_rules
from onebutton_models.scoring import ScoringError
from onebutton_serving.loading import Loaded, labels
from onebutton_serving.schema import LABEL, Field

BATCH = 16_384  # rows of one call of the model: what it computes on the way stays in the processor's cache
SHOWN = 5  # example rows
RELEASE = "release"  # the column that says which release answered
TEXTS = (pl.String, pl.Categorical, pl.Enum)


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
        types = rows.collect_schema()
        self._source, self._rows, self._release = source, rows, release
        self._fields = {field.name: field for field in release.schema.inputs}
        fault = self._fault(types)
        require(not fault, f"{source}: {fault}")
        self._casts = {name: _cast(field, types[name]) for name, field in self._fields.items()}
        self._type_rules = [_type_rule(field, types[name], self._casts[name]) for name, field in self._fields.items()]
        columns = []
        for field in self._fields.values():
            terms = msgspec.structs.asdict(field)
            columns.append(Column(logical_type=terms.pop("type"), **terms))
        contract = Contract(Path(), release.schema.input_contract, "0.0.0", "", tuple(columns))
        self._row_rules = [rule for rule in row_rules(contract) if rule.name != "personal data"]

    def _fault(self, columns: pl.Schema) -> str:
        """Say why a table's columns will not do, before a row is read."""
        schema = self._release.schema
        if missing := [name for name in self._fields if name not in columns]:
            words = f"missing column{'s' if missing[1:] else ''}: {', '.join(missing)}"
            return f"{words}; release {self._release.version} takes {', '.join(self._fields)}"
        for name, field in self._fields.items():
            if not is_text(self._source) and not _fits(columns[name], field):
                return f"column {name} must be {field.type}, is {columns[name]} [type]"
        answers = [field.name for field in schema.outputs] + [LABEL] * bool(schema.classes) + [RELEASE]
        taken = [name for name in answers if name in columns]
        return f"it has a column {taken[0]} already, where the answer would stand. Rename that column" if taken else ""

    def score(self, part: range) -> pl.DataFrame:
        """Return the rows of a part with the answers beside them; columns of a CSV that the model takes get their type.

        Raises:
            InputError: names the first rule that is broken, how many of these rows break it, and up to five of them.
        """
        rows = self._rows.slice(part.start, len(part)).collect()
        typed = rows.select(**self._casts)  # what has no such value becomes null, and breaks the rule `type`
        try:
            self._check(rows, typed, part)
            answers = self._answers(typed)
        except (InputError, ScoringError) as error:
            raise InputError(f"{self._source}: {error}. Nothing was written") from None
        known = rows.with_columns(typed) if is_text(self._source) else rows
        return known.with_columns(*answers, pl.lit(self._release.version).alias(RELEASE))

    def _check(self, rows: pl.DataFrame, typed: pl.DataFrame, part: range) -> None:
        found = [*_marks(self._type_rules, rows), *_marks(self._row_rules, typed)]
        broken = [(rule, marks) for rule, marks in found if marks.any()]
        if not broken:
            return
        (rule, marks), *others = broken
        masked = self._fields[rule.column].classification == "personal"
        shown = [
            f"{place(self._source, part.start + at)} ({'***' if masked else _cell(rows[rule.column][at])})"
            for at in marks.fill_null(value=False).arg_true().head(SHOWN).to_list()
        ]
        among = f"{marks.sum():,} of rows {part.start + 1:,} to {part.stop:,} break it: {', '.join(shown)}"
        message = f"column {rule.column} {rule.words} [{rule.name}]; {among}"
        more = ", ".join(f"{other.column} [{other.name}]" for other, _ in others)
        raise InputError(f"{message}. Broken there too: {more}" if others else message)

    def _answers(self, typed: pl.DataFrame) -> list[pl.Series]:
        """Ask the model, a batch at a time, and lay the answers out as columns."""
        arrays = {
            name: typed[name].cast(pl.String if field.type == "string" else pl.Float32).to_numpy().reshape(-1, 1)
            for name, field in self._fields.items()
        }
        starts = range(0, typed.height, BATCH)
        batches = ({name: values[at : at + BATCH] for name, values in arrays.items()} for at in starts)
        numbers = np.concatenate([self._release.ask(batch) for batch in batches])
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


def _type_rule(field: Field, actual: pl.DataType, value: pl.Expr) -> Rule:
    """Mark the cells that a cast made null or another number."""
    cell, whole = pl.col(field.name), field.type == "integer"
    broken = value.is_null() & cell.is_not_null()
    if whole and actual.is_float():
        broken |= value.cast(pl.Float64) != cell
    return Rule("type", field.name, f"must be a {'whole number' if whole else field.type}", broken, ())


def _marks(rules: Sequence[Rule], rows: pl.DataFrame) -> Iterator[tuple[Rule, pl.Series]]:
    """Mark the rows that break each rule."""
    marked = rows.select(rule.broken.alias(str(number)) for number, rule in enumerate(rules))
    return zip(rules, marked, strict=True)


def _cell(value: object) -> str:
    text = "null" if value is None else f"{value:.6g}" if isinstance(value, float) else str(value)
    return text if len(text) <= 60 else f"{text[:60]}…"  # noqa: PLR2004  a cell of a terminal
