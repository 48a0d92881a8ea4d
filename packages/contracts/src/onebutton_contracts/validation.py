"""Hold a table to its contract, in one pass over its rows; rows are read again only to show those that break a rule."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TypeVar

import polars as pl

from onebutton_contracts.errors import InputError
from onebutton_contracts.frames import polars_schema
from onebutton_contracts.rules import Rule, row_rules, table_rules
from onebutton_contracts.terms import Contract

Frame = TypeVar("Frame", pl.DataFrame, pl.LazyFrame)
SHOWN = 5  # example rows
MASK = "***"
PAGE = "docs/contracts.md"


def validate(frame: Frame, contract: Contract) -> Frame:
    """Return the frame when it is what its contract says, its columns in any order.

    Raises:
        InputError: names each broken rule, how many rows break it, up to five of them, the owner and the page.
    """
    found: list[str] = list(_structure(frame.collect_schema(), contract))
    found = found or list(_broken(frame.lazy(), contract))
    if found:
        first = f"{contract.name} breaks its contract {contract.path} {contract.version}, so nothing was written:"
        last = f"Owner: {contract.owner}. What to do: {PAGE}"
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
        cells = (f"{name}={MASK if name in masked else _value(value)}" for name, value in row.items())
        yield f"    {' '.join(cells)}"


def _value(value: object) -> str:
    text = f"{value:.6g}" if isinstance(value, float) else str(value)
    return text if len(text) <= 60 else f"{text[:60]}…"  # noqa: PLR2004  a cell of a terminal
