"""Hold a table to its contract, in one pass over its rows; rows are read again only to show those that break a rule."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime
from typing import TypeVar

import polars as pl

from onebutton_contracts.errors import InputError
from onebutton_contracts.frames import POLARS_TYPES, polars_schema
from onebutton_contracts.rules import Measure, Rule, measures, row_rules
from onebutton_contracts.terms import Contract

__all__ = ["POLARS_TYPES", "Breach", "breaches", "split", "validate"]

Frame = TypeVar("Frame", pl.DataFrame, pl.LazyFrame)
SHOWN = 5  # example rows
MASK = "***"
PAGE = "docs/contracts.md"


@dataclass(frozen=True)
class Breach:
    """A rule that a table breaks.

    Attributes:
        column: what it is about; `table` when about several.
        rule: its name.
        words: what must hold, and what was found.
        rows: how many rows break it; None when the table as a whole does.
        examples: up to five of these rows, personal columns masked.
        broken: marks the rows; None when the table as a whole breaks it.
    """

    column: str
    rule: str
    words: str
    rows: int | None = None
    examples: tuple[str, ...] = ()
    broken: pl.Expr | None = None


def validate(frame: Frame, contract: Contract, now: datetime | None = None) -> Frame:
    """Return the frame when it is what its contract says.

    Args:
        frame: the rows, with the contract's columns in any order and no other.
        contract: what they must be.
        now: from when the age of the newest row is counted; now, when not given.

    Raises:
        InputError: names each broken rule, how many rows break it, up to five of them, the owner and the page.
    """
    found = breaches(frame.lazy(), contract, now)
    if found:
        raise InputError(refusal(contract, found))
    return frame


def split(
    frame: pl.DataFrame, contract: Contract, now: datetime | None = None
) -> tuple[pl.DataFrame, pl.DataFrame | None]:
    """Part the rows that keep the contract from those that go to its quarantine.

    Returns:
        The rows that keep it, and those that break it with a column `broken_rules`; None when none does.

    Raises:
        InputError: the table as a whole breaks its contract, has no quarantine, or more rows break it than may go there.
    """
    found = breaches(frame.lazy(), contract, now)
    if not found:
        return frame, None
    marks = [(breach.broken, f"{breach.column}: {breach.rule}") for breach in found if breach.broken is not None]
    if contract.quarantine is None or len(marks) < len(found):
        raise InputError(refusal(contract, found))
    told = [pl.when(broken).then(pl.lit(name)) for broken, name in marks]
    marked = frame.with_columns(pl.concat_str(told, separator="; ", ignore_nulls=True).alias("broken_rules"))
    bad = marked.filter(pl.col("broken_rules") != "")
    good = marked.filter(pl.col("broken_rules") == "").drop("broken_rules")
    if bad.height > contract.quarantine.limit * frame.height:
        limit = f"at most {contract.quarantine.limit:.2%} of {frame.height:,} may go to quarantine"
        words = f"{bad.height:,} rows break it, and {limit}"
        raise InputError(refusal(contract, [*found, Breach("table", "quarantine limit", words)]))
    return validate(good, contract, now), bad


def breaches(frame: pl.LazyFrame, contract: Contract, now: datetime | None = None) -> list[Breach]:
    """Find every rule that a table breaks; rules about its values only when it has the right columns."""
    if structure := _structure(frame.collect_schema(), contract):
        return structure
    rules, wholes = row_rules(contract), measures(contract, now or datetime.now(UTC))
    counts = [_count(rule).alias(f"rule {number}") for number, rule in enumerate(rules)]
    values = [whole.value.alias(f"measure {number}") for number, whole in enumerate(wholes)]
    answer = frame.select(*counts, *values).collect().row(0, named=True)
    found = [
        breach
        for number, rule in enumerate(rules)
        if answer[f"rule {number}"] and (breach := _breach(rule, frame, contract)).rows
    ]
    return found + [
        Breach(whole.column, whole.name, f"{whole.words}, is {_value(answer[f'measure {number}'])}")
        for number, whole in enumerate(wholes)
        if not _within(answer[f"measure {number}"], whole)
    ]


def _structure(schema: pl.Schema, contract: Contract) -> list[Breach]:
    """Compare columns and types."""
    wanted = polars_schema(contract.columns)
    found = [Breach(name, "missing column", "this column is missing") for name in wanted if name not in schema]
    found += [
        Breach(name, "unknown column", "the contract knows no such column") for name in schema if name not in wanted
    ]
    for column in contract.columns:
        actual = schema.get(column.name)
        if actual is not None and actual != wanted[column.name]:
            words = f"must be {wanted[column.name]}, which the contract calls {column.logical_type}, is {actual}"
            found.append(Breach(column.name, "type", words))
    return found


def _count(rule: Rule) -> pl.Expr:
    return rule.broken.sum() if rule.suspected is None else rule.suspected


def _breach(rule: Rule, frame: pl.LazyFrame, contract: Contract) -> Breach:
    """Count the rows that break a rule, and fetch a few of them."""
    shown = list(dict.fromkeys([*contract.primary_key, *rule.shown]))
    broken = frame.filter(rule.broken).select(shown)
    count, rows = (part for part in pl.collect_all([broken.select(pl.len()), broken.head(SHOWN)]))
    personal = {column.name for column in contract.columns if column.classification == "personal"}
    if rule.name == "personal data":
        personal |= {rule.column}
    examples = tuple(
        " ".join(f"{name}={MASK if name in personal else _value(value)}" for name, value in row.items())
        for row in rows.iter_rows(named=True)
    )
    return Breach(rule.column, rule.name, rule.words, count.item(), examples, rule.broken)


def _within(value: float | datetime | None, whole: Measure) -> bool:
    if value is None or value != value:  # nothing to measure, or not a number  # noqa: PLR0124
        return whole.low is None and whole.high is None
    return (whole.low is None or value >= whole.low) and (whole.high is None or value <= whole.high)  # type: ignore[operator]


def _value(value: object) -> str:
    if isinstance(value, datetime):
        return value.isoformat()
    if isinstance(value, float):
        return f"{value:.6g}"
    text = f"{value:,}" if isinstance(value, int) and value >= 10**6 else str(value)
    return text if len(text) <= 60 else f"{text[:60]}…"  # noqa: PLR2004  a cell of a terminal


def refusal(contract: Contract, found: list[Breach]) -> str:
    """Write what is wrong, one rule a line, and whom to ask."""
    lines = [f"{contract.name} breaks its contract {contract.path} {contract.version}, so nothing was written:"]
    for breach in found:
        rows = "" if breach.rows is None else f" ({breach.rows:,} rows)"
        lines.append(f"  {breach.column}: {breach.words}{rows} [{breach.rule}]")
        lines += [f"      {example}" for example in breach.examples]
    lines.append(f"Owner: {contract.owner}. What to do: {PAGE}")
    return "\n".join(lines)
