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

import re
from collections.abc import Iterable, Sequence
from typing import Any

import polars as pl

from onebutton_contracts.errors import InputError, require
from onebutton_contracts.frames import polars_schema
from onebutton_contracts.terms import Column, RowRule, TableRule

RULE_KEYS = {"id", "name", "description", "dimension", "businessImpact", "tags", "type", "metric", "arguments", "query"}
OPERATORS = {
    "mustBe",
    "mustBeGreaterOrEqualTo",
    "mustBeLessOrEqualTo",
    "mustBeBetween",
}  # the standard lets a rule say one
COUNT = re.compile(r"\s*SELECT\s+COUNT\(\*\)\s+FROM\s+(?P<table>\w+)\s+WHERE\s+(?P<what>.+)", re.IGNORECASE | re.DOTALL)
MEASURE = re.compile(r"\s*SELECT\s+(?P<what>.+?)\s+FROM\s+(?P<table>\w+)\s*", re.IGNORECASE | re.DOTALL)


def only(said: Iterable[str], known: set[str], place: str) -> None:
    """Refuse keys that nothing here checks: a rule that is not held reads as if it were."""
    unknown = sorted(set(said) - known)
    require(not unknown, f"{place}: {', '.join(unknown)} would not be checked, so it may not be said")


def read_column_rules(item: dict[str, Any]) -> dict[str, Any]:
    """Read the quality rules of one column, by the attributes of `Column`.

    Raises:
        InputError: a rule is not one of those above.
    """
    place = f"column {item['name']!r}"
    by_metric = _by_metric(item.get("quality", []), {"invalidValues", "nullValues"}, place)
    found: dict[str, Any] = {}
    if rule := by_metric.get("invalidValues"):
        values = rule.get("arguments", {}).get("validValues")
        kind = {"string": str, "integer": int}.get(item["logicalType"])
        good = isinstance(values, list) and values and all(type(value) is kind for value in values)
        good = good and rule.get("mustBe") == 0 and (kind is str or max(map(abs, values)) < 2**63)
        words = f"validValues must be a list of what a {item['logicalType']} column may hold, with mustBe: 0; it is {values!r}"
        require(good, f"{place}: {words}")
        found["allowed"] = tuple(values)
    if rule := by_metric.get("nullValues"):
        share = found["null_percent"] = rule.get("mustBeLessOrEqualTo", -1)
        good = rule.get("unit") == "percent" and 0 <= share <= 100  # noqa: PLR2004
        require(good, f"{place}: nullValues must say mustBeLessOrEqualTo: 0 to 100, with unit: percent")
    return found


def read_table_rules(table: dict[str, Any], columns: Sequence[Column]) -> dict[str, Any]:
    """Read the quality rules of the whole table, by the attributes of `Contract`.

    Args:
        table: its schema.
        columns: what SQL may use.

    Raises:
        InputError: a rule is not one of those above, or its SQL cannot be used.
    """
    place, rules = f"the table {table['name']!r}", table.get("quality", [])
    count = _by_metric([rule for rule in rules if rule.get("type") != "sql"], {"rowCount"}, place).get("rowCount")
    low, high = _limits(count, f"{place}: rowCount") if count else (None, None)
    in_sql = [_sql_rule(rule, table["name"], columns) for rule in rules if rule.get("type") == "sql"]
    return {
        "minimum_rows": low or 0,
        "maximum_rows": high,
        "row_rules": tuple(rule for rule in in_sql if isinstance(rule, RowRule)),
        "table_rules": tuple(rule for rule in in_sql if isinstance(rule, TableRule)),
    }


def _by_metric(rules: list[dict[str, Any]], known: set[str], place: str) -> dict[str, dict[str, Any]]:
    """Return the rules of the standard's library by their metric, each once."""
    found: dict[str, dict[str, Any]] = {}
    for rule in rules:
        metric = rule.get("metric", rule.get("type", "a rule without metric"))
        only([metric], known - set(found), place)
        only(rule, RULE_KEYS | OPERATORS | {"unit"} if metric == "nullValues" else RULE_KEYS | OPERATORS, place)
        found[metric] = rule
    return found


def _sql_rule(rule: dict[str, Any], table: str, columns: Sequence[Column]) -> RowRule | TableRule:
    """Read a rule in SQL: a count of rows that must be none, or a measure of the table."""
    name, words = rule.get("name", ""), rule.get("description", "")
    place = f"the rule {name!r}"
    only(rule, RULE_KEYS | OPERATORS, place)
    require(name and words, f"a rule in SQL needs a name and a description of what must hold: {rule['query']}")
    count = COUNT.fullmatch(rule["query"])
    match = count or MEASURE.fullmatch(rule["query"])
    if match is None or match["table"] != table:
        message = f"{place}: write SELECT COUNT(*) FROM {table} WHERE ..., or SELECT <a measure> FROM {table}"  # noqa: S608  words
        raise InputError(message)
    _check_sql(match["what"], place, columns, boolean=bool(count))
    if count:
        require(rule.get("mustBe") == 0, f"{place}: a count of rows that break it must be mustBe: 0")
        return RowRule(name, match["what"], words)
    return TableRule(name, match["what"], *_limits(rule, place), words)


def _check_sql(text: str, place: str, columns: Sequence[Column], *, boolean: bool) -> None:
    """Refuse SQL that polars cannot use on a table with these columns: it is tried on one without rows."""
    wanted = "true or false for each row" if boolean else "one number"
    try:
        expression = pl.sql_expr(text)
        answer = pl.DataFrame(schema=polars_schema(columns)).select(expression.alias("answer"))["answer"]
        fits = answer.dtype == pl.Boolean if boolean else len(answer) == 1 and answer.dtype.is_numeric()
        reason = "" if fits and expression.meta.root_names() else f"it gives {answer.dtype}, not {wanted}"
    except (pl.exceptions.PolarsError, pl.exceptions.PanicException, ValueError, TypeError) as error:
        reason = " ".join(str(error).split())[:120] or "polars cannot read it"
    require(not reason, f"{place}: {text!r} cannot be used: {reason}")


def _limits(rule: dict[str, Any], place: str) -> tuple[float | None, float | None]:
    """Read the one operator of a rule, whose numbers the standard has looked at but for `mustBe`."""
    exact = rule.get("mustBe")
    low, high = rule.get("mustBeBetween", (exact, exact))
    low, high = rule.get("mustBeGreaterOrEqualTo", low), rule.get("mustBeLessOrEqualTo", high)
    good = exact is None or (isinstance(exact, int | float) and not isinstance(exact, bool))
    require(good and (low, high) != (None, None), f"{place}: say one of {', '.join(sorted(OPERATORS))}, with a number")
    return low, high
