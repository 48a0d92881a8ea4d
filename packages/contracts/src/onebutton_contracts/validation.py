"""Hold a table to its contract, in one pass over its rows; rows are read again only to show those that break a rule."""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import TypeVar

import polars as pl

from onebutton_contracts.errors import InputError
from onebutton_contracts.frames import POLARS_TYPES, polars_schema
from onebutton_contracts.personal import marked
from onebutton_contracts.terms import Column, Contract

Frame = TypeVar("Frame", pl.DataFrame, pl.LazyFrame)
SHOWN = 5  # example rows


@dataclass(frozen=True)
class Rule:
    """A rule that each row, or the whole table, keeps or breaks."""

    name: str  # such as `maximum`
    column: str  # what it is about; `table` when about several
    words: str  # what must hold, for people
    broken: pl.Expr  # true for a row that breaks it, or once for the table
    shown: tuple[str, ...] = ()  # the columns of a row that tell why
    suspected: pl.Expr | None = None  # a quick count, 0 only when no row breaks it; None when `broken` is quick itself
    value: pl.Expr | None = None  # what of the whole table the rule is about; None where it is about rows


def validate(frame: Frame, contract: Contract) -> Frame:
    """Return the frame when it is what its contract says, its columns in any order.

    Raises:
        InputError: names each broken rule, how many rows break it, up to five of them, the owner and the page.
    """
    found: list[str] = list(_structure(frame.collect_schema(), contract))
    found = found or list(_broken(frame.lazy(), contract))
    if found:
        first = f"{contract.name} breaks its contract {contract.path} {contract.version}, so nothing was written:"
        last = f"Owner: {contract.owner}. What to do: docs/contracts.md"
        raise InputError("\n".join([first, *(f"  {line}" for line in found), last]))
    return frame


def _structure(schema: pl.Schema, contract: Contract) -> Iterator[str]:
    """Compare columns and types."""
    wanted = polars_schema(contract.columns)
    yield from (f"{name}: this column is missing [missing column]" for name in wanted if name not in schema)
    yield from (f"{name}: the contract knows no such column [unknown column]" for name in schema if name not in wanted)
    for column in contract.columns:
        actual, right = schema.get(column.name), wanted[column.name]
        if actual is not None and actual != right:
            words = f"must be {right}, which the contract calls {column.logical_type}, is {actual}"
            yield f"{column.name}: {words} [type]"


def _broken(frame: pl.LazyFrame, contract: Contract) -> Iterator[str]:
    """Ask in one pass which rules are broken, and look again only at what these are about."""
    rules = [*row_rules(contract), *table_rules(contract)]
    counts = (rule.broken.sum() if rule.suspected is None else rule.suspected for rule in rules)
    found = frame.select(count.alias(str(at)) for at, count in enumerate(counts)).collect().row(0)
    for rule, count in zip(rules, found, strict=True):
        if count and rule.value is None:
            yield from _rows(rule, frame, contract)
        elif count:
            value = frame.select(rule.value).collect().item()
            yield f"{rule.column}: {rule.words}, is {_value(value)} [{rule.name}]"


def _rows(rule: Rule, frame: pl.LazyFrame, contract: Contract) -> Iterator[str]:
    """Count the rows that break a rule, and show a few of them, personal columns masked."""
    shown = list(dict.fromkeys([*contract.primary_key, *rule.shown]))
    broken = frame.filter(rule.broken).select(shown)
    count, rows = pl.collect_all([broken.select(pl.len()), broken.head(SHOWN)])
    masked = {column.name for column in contract.columns if column.classification == "personal"}
    masked |= {rule.column} if rule.name == "personal data" else set()
    if count.item():
        yield f"{rule.column}: {rule.words} ({count.item():,} rows) [{rule.name}]"
    for row in rows.iter_rows(named=True):
        cells = (f"{name}={'***' if name in masked else _value(value)}" for name, value in row.items())
        yield f"    {' '.join(cells)}"


def _value(value: object) -> str:
    text = f"{value:.6g}" if isinstance(value, float) else str(value)
    return text if len(text) <= 60 else f"{text[:60]}…"  # noqa: PLR2004  a cell of a terminal


def row_rules(contract: Contract) -> list[Rule]:
    """Compile every rule that a row can break."""
    rules = [rule for column in contract.columns for rule in _of_column(column)]
    if contract.primary_key:
        key = pl.struct(contract.primary_key) if len(contract.primary_key) > 1 else pl.col(contract.primary_key[0])
        words = f"{', '.join(contract.primary_key)} must name one row only"
        # Comparing hashes takes a third of the time; two keys may share one, so it only suspects.
        hashes = pl.len() - key.hash().n_unique()
        rules.append(Rule("primary key", "table", words, key.is_duplicated(), contract.primary_key, hashes))
    for rule in contract.row_rules:
        broken = pl.sql_expr(rule.condition)
        rules.append(Rule(rule.name, "table", rule.words, broken, tuple(dict.fromkeys(broken.meta.root_names()))))
    return rules


def without_broken(rows: pl.DataFrame, contract: Contract) -> pl.DataFrame:
    """Leave out made-up rows that break a rule by themselves; keys and rules about columns that are not there are left aside."""
    for rule in row_rules(contract):
        if rule.name not in {"primary key", "unique"} and set(rule.shown) <= set(rows.columns):
            rows = rows.filter(~rule.broken.fill_null(value=False))
    return rows


def table_rules(contract: Contract) -> Iterator[Rule]:
    """Compile every rule about the whole table."""
    least = contract.minimum_rows
    yield Rule("row count", "table", f"rows must be at least {least:,}", pl.len() < least, value=pl.len())
    for column in contract.columns:
        if column.null_percent is not None:
            words = f"at most {column.null_percent:g} percent may be missing"
            share = pl.col(column.name).is_null().mean() * 100
            yield Rule("missing share", column.name, words, share > column.null_percent, value=share)
    if fresh := contract.freshness:
        words = f"the newest must be of {fresh.until:%Y-%m-%d %H:%M} UTC or later"
        newest = pl.col(fresh.column).max().cast(POLARS_TYPES["timestamp"])  # a date begins at midnight
        yield Rule("freshness", fresh.column, words, newest.is_null() | (newest < fresh.until), value=newest)


def _of_column(column: Column) -> Iterator[Rule]:
    """Compile what a column says of its cells; an expression of what it does not say is built, and left out."""
    cell, low, high = pl.col(column.name), column.minimum, column.maximum
    least, most = column.min_length, column.max_length
    is_number = column.logical_type == "number"
    below, above = cell < pl.lit(low), cell > pl.lit(high)
    # polars holds NaN for larger than any number; it has a rule of its own
    above = above & cell.is_not_nan() if is_number else above
    allowed = ", ".join(map(str, column.allowed))
    described = column.allowed or column.pattern or column.classification == "personal"
    free_text = column.logical_type == "string" and not described  # an address or a card number could stand there
    personal = "must hold no personal data, as it is not classified personal"
    holds_some = cell.map_batches(marked, return_dtype=pl.Boolean(), is_elementwise=True)
    for said, name, words, broken in (
        (column.required, "required", "must not be missing", cell.is_null()),
        (column.unique, "unique", "must stand in one row only", cell.is_duplicated() & cell.is_not_null()),
        (column.allowed, "allowed values", f"must be one of {allowed}", ~cell.is_in(column.allowed or [None])),
        (is_number, "not a number", "must be a number, or missing where that is allowed", cell.is_nan()),
        (low is not None, "minimum", f"must be at least {_value(low)} {column.unit}".rstrip(), below),
        (high is not None, "maximum", f"must be at most {_value(high)} {column.unit}".rstrip(), above),
        (column.pattern, "pattern", f"must match {column.pattern}", ~cell.str.contains(column.pattern)),
        (least is not None, "shortest", f"must have at least {least} characters", cell.str.len_chars() < (least or 0)),
        (most is not None, "longest", f"must have at most {most} characters", cell.str.len_chars() > (most or 0)),
        (free_text, "personal data", personal, holds_some),
    ):
        if said:
            yield Rule(name, column.name, words, broken, (column.name,))
