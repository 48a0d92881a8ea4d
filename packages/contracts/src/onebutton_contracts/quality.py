"""Read the quality rules of a contract: those that are checked here, in the standard's own words.

| where | rule | means |
|---|---|---|
| column | `metric: invalidValues, mustBe: 0, arguments: {validValues: [...]}` | no other value |
| column | `metric: nullValues, mustBeLessOrEqualTo: 5, unit: percent` | at most so many nulls |
| table | `metric: rowCount, mustBeGreaterOrEqualTo: 1000` | at least, or `mustBeBetween`, so many rows |
| table | `type: sql, query: SELECT COUNT(*) FROM flights WHERE ..., mustBe: 0` | no row for which this is true |
| table | `type: sql, query: SELECT AVG(distance) FROM flights, mustBeBetween: [900, 1200]` | a measure of the table |
"""

from __future__ import annotations

import math
import re
from collections.abc import Sequence
from typing import Any

from onebutton_contracts.errors import InputError
from onebutton_contracts.frames import polars_schema
from onebutton_contracts.terms import Column, RowRule, TableRule

RULE_KEYS = {"id", "name", "description", "dimension", "businessImpact", "tags", "type", "metric", "arguments", "query"}
OPERATORS = {"mustBe", "mustBeGreaterOrEqualTo", "mustBeLessOrEqualTo", "mustBeBetween"}
COUNT = re.compile(r"\s*SELECT\s+COUNT\(\*\)\s+FROM\s+(?P<table>\w+)\s+WHERE\s+(?P<what>.+)", re.IGNORECASE | re.DOTALL)
MEASURE = re.compile(r"\s*SELECT\s+(?P<what>.+?)\s+FROM\s+(?P<table>\w+)\s*", re.IGNORECASE | re.DOTALL)


class ContractError(InputError):
    """A contract says what cannot be held; the message says which key."""


def read_column_rules(item: dict[str, Any]) -> dict[str, Any]:
    """Read the quality rules of one column, by the attributes of `Column`.

    Raises:
        ContractError: a rule is not one of those above.
    """
    place = f"column {item['name']!r}"
    by_metric = _by_metric(item, place, {"invalidValues", "nullValues"})
    found: dict[str, Any] = {}
    if rule := by_metric.get("invalidValues"):
        values = rule.get("arguments", {}).get("validValues")
        kind = {"string": str, "integer": int}.get(item["logicalType"])
        good = isinstance(values, list) and values and all(type(value) is kind for value in values)
        if not good or rule.get("mustBe") != 0 or (kind is int and max(map(abs, values)) >= 2**63):
            message = (
                f"{place}: validValues must be a list of what a {item['logicalType']} column may hold, "
                f"with mustBe: 0; it is {values!r}"
            )
            raise ContractError(message)
        found["allowed"] = tuple(values)
    if rule := by_metric.get("nullValues"):
        share = found["null_percent"] = rule.get("mustBeLessOrEqualTo")
        if rule.get("unit") != "percent" or not isinstance(share, int | float) or not 0 <= share <= 100:  # noqa: PLR2004
            message = f"{place}: nullValues must say mustBeLessOrEqualTo: 0 to 100, with unit: percent"
            raise ContractError(message)
    return found


def read_table_rules(table: dict[str, Any], columns: Sequence[Column]) -> dict[str, Any]:
    """Read the quality rules of the whole table, by the attributes of `Contract`.

    Args:
        table: its schema.
        columns: what SQL may use.

    Raises:
        ContractError: a rule is not one of those above, or its SQL cannot be used.
    """
    place = f"the table {table['name']!r}"
    low, high = None, None
    if rule := _by_metric(table, place, {"rowCount"}).get("rowCount"):
        low, high = _limits(rule, f"{place}: rowCount")
    in_sql = [_sql_rule(rule, table["name"], columns) for rule in table.get("quality", []) if rule.get("type") == "sql"]
    return {
        "minimum_rows": int(low or 0),
        "maximum_rows": None if high is None else int(high),
        "row_rules": tuple(rule for rule in in_sql if isinstance(rule, RowRule)),
        "table_rules": tuple(rule for rule in in_sql if isinstance(rule, TableRule)),
    }


def _by_metric(item: dict[str, Any], place: str, known: set[str]) -> dict[str, dict[str, Any]]:
    found: dict[str, dict[str, Any]] = {}
    for rule in item.get("quality", []):
        metric = rule.get("metric")
        if rule.get("type") == "sql" and "rowCount" in known:
            continue
        unknown = sorted(set(rule) - RULE_KEYS - OPERATORS - ({"unit"} if metric == "nullValues" else set()))
        if metric not in known or metric in found or unknown or rule.get("type", "library") != "library":
            what = ", ".join(unknown) or f"{metric or rule.get('type', 'a rule without metric')}"
            known_ones = ", ".join(sorted(known))
            message = f"{place}: {what} would not be checked, so it may not be said; known are {known_ones}, each once"
            raise ContractError(message)
        found[metric] = rule
    return found


def _sql_rule(rule: dict[str, Any], table: str, columns: Sequence[Column]) -> RowRule | TableRule:
    """Read a rule in SQL: a count of rows that must be none, or a measure of the table."""
    name = rule.get("name", "")
    place = f"the rule {name!r}"
    words = rule.get("description", "")
    if not name or not words or set(rule) - RULE_KEYS - OPERATORS:
        extra = ", ".join(sorted(set(rule) - RULE_KEYS - OPERATORS))
        message = f"a rule in SQL needs a name and a description of what must hold, and no more ({extra or rule.get('query')})"
        raise ContractError(message)
    count, measure = COUNT.fullmatch(rule["query"]), MEASURE.fullmatch(rule["query"])
    match = count or measure
    if match is None or match["table"] != table:
        message = f"{place}: write SELECT COUNT(*) FROM {table} WHERE ..., or SELECT <a measure> FROM {table}"  # noqa: S608  words
        raise ContractError(message)
    _check_sql(match["what"], place, columns, boolean=bool(count))
    if count:
        if rule.get("mustBe") != 0:
            message = f"{place}: a count of rows that break it must be mustBe: 0"
            raise ContractError(message)
        return RowRule(name, match["what"], words)
    low, high = _limits(rule, place)
    return TableRule(name, match["what"], low, high, words)


def _check_sql(text: str, place: str, columns: Sequence[Column], *, boolean: bool) -> None:
    """Refuse SQL that polars cannot use on a table with these columns: it is tried on one without rows."""
    import polars as pl

    nothing = pl.DataFrame(schema=polars_schema(columns))
    try:
        expression = pl.sql_expr(text)
        answer = nothing.select(expression.alias("answer"))["answer"]
        fits = bool(expression.meta.root_names()) and (
            answer.dtype == pl.Boolean if boolean else len(answer) == 1 and answer.dtype.is_numeric()
        )
        reason = (
            "" if fits else f"it gives {answer.dtype}, not {'true or false for each row' if boolean else 'one number'}"
        )
    except (pl.exceptions.PolarsError, pl.exceptions.PanicException, ValueError, TypeError) as error:
        reason = " ".join(str(error).split())[:120] or "polars cannot read it"
    if reason:
        message = f"{place}: {text!r} cannot be used: {reason}"
        raise ContractError(message)


def _limits(rule: dict[str, Any], place: str) -> tuple[float | None, float | None]:
    """Read the one operator of a rule."""
    said = [key for key in rule if key in OPERATORS]
    value = rule[said[0]] if len(said) == 1 else None
    limits = {
        "mustBe": (value, value),
        "mustBeGreaterOrEqualTo": (value, None),
        "mustBeLessOrEqualTo": (None, value),
        "mustBeBetween": tuple(value) if isinstance(value, list) else (None, "nothing"),
    }.get("".join(said), (None, "nothing"))
    for limit in limits:
        is_number = isinstance(limit, int | float) and not isinstance(limit, bool) and math.isfinite(limit)
        if limit is not None and not is_number:
            message = f"{place}: say one of {', '.join(sorted(OPERATORS))}, with a number"
            raise ContractError(message)
    low, high = limits
    return low, high
