"""Compile a contract to polars expressions: what marks a row that breaks a rule, and what measures a whole table."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import polars as pl

from onebutton_contracts.personal import marked
from onebutton_contracts.terms import Column, Contract, Limit


@dataclass(frozen=True)
class Rule:
    """A rule that each row, or the whole table, keeps or breaks.

    Attributes:
        name: of the rule, such as `maximum`.
        column: what it is about; `table` when about several.
        words: what must hold, for people.
        broken: true for a row that breaks it, or once for the table.
        shown: the columns of a row that tell why.
        suspected: a quick count that is 0 only when no row breaks the rule; None when `broken` is quick itself.
        value: what of the whole table the rule is about; None where it is about rows.
    """

    name: str
    column: str
    words: str
    broken: pl.Expr
    shown: tuple[str, ...] = ()
    suspected: pl.Expr | None = None
    value: pl.Expr | None = None


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
        newest = pl.col(fresh.column).max()
        if contract.column(fresh.column).logical_type == "date":
            newest = newest.cast(pl.Datetime("us")).dt.replace_time_zone("UTC")
        yield Rule("freshness", fresh.column, words, newest.is_null() | (newest < fresh.until), value=newest)


def _of_column(column: Column) -> Iterator[Rule]:
    """Compile what a column says of its cells; an expression of what it does not say is built, and left out."""
    cell, low, high = pl.col(column.name), column.minimum, column.maximum
    least, most = column.min_length, column.max_length
    is_number = column.logical_type == "number"
    below, above = cell < _literal(low, column), cell > _literal(high, column)
    # polars holds NaN for larger than any number; it has a rule of its own
    above = above & cell.is_not_nan() if is_number else above
    allowed = ", ".join(map(str, column.allowed))
    personal = "must hold no personal data, as it is not classified personal"
    holds_some = cell.map_batches(marked, return_dtype=pl.Boolean(), is_elementwise=True)
    for said, name, words, broken in (
        (column.required, "required", "must not be missing", cell.is_null()),
        (column.unique, "unique", "must stand in one row only", cell.is_duplicated() & cell.is_not_null()),
        (column.allowed, "allowed values", f"must be one of {allowed}", ~cell.is_in(column.allowed or [None])),
        (is_number, "not a number", "must be a number, or missing where that is allowed", cell.is_nan()),
        (low is not None, "minimum", f"must be at least {low} {column.unit}".rstrip(), below),
        (high is not None, "maximum", f"must be at most {high} {column.unit}".rstrip(), above),
        (column.pattern, "pattern", f"must match {column.pattern}", ~cell.str.contains(column.pattern)),
        (least is not None, "shortest", f"must have at least {least} characters", cell.str.len_chars() < (least or 0)),
        (most is not None, "longest", f"must have at most {most} characters", cell.str.len_chars() > (most or 0)),
        (column.is_free_text, "personal data", personal, holds_some),
    ):
        if said:
            yield Rule(name, column.name, words, broken, (column.name,))


def _literal(value: Limit | None, column: Column) -> pl.Expr:
    kind = {"date": pl.Date(), "timestamp": pl.Datetime("us", "UTC")}.get(column.logical_type)
    return pl.lit(value, dtype=kind)
