"""Turn a document that keeps the standard into the terms of one table.

A rule that would not be checked reads as if it were, so whatever is not understood here is refused by name. The rules of quality
that are checked are these, in the standard's own words:

| where | rule | means |
|---|---|---|
| column | `metric: invalidValues, mustBe: 0, arguments: {validValues: [...]}` | no other value |
| column | `metric: nullValues, mustBeLessOrEqualTo: 5, unit: percent` | at most so many nulls |
| table | `metric: rowCount, mustBeGreaterOrEqualTo: 1000` | at least, or `mustBeBetween`, so many rows |
| table | `type: sql, query: SELECT COUNT(*) FROM flights WHERE ..., mustBe: 0` | no row for which this is true |
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterable, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import polars as pl

from onebutton_contracts.errors import InputError, require
from onebutton_contracts.frames import polars_schema
from onebutton_contracts.terms import CLASSIFICATIONS, LOGICAL_TYPES, Column, Contract, Freshness, Limit, RowRule

# Facts for people; every other key of a column or a table must be one that is checked.
FOR_PEOPLE = {"id", "name", "description", "businessName", "synonyms", "tags", "authoritativeDefinitions", "examples"}
FOR_PEOPLE |= {"physicalName", "physicalType", "transformDescription", "dataGranularityDescription", "deprecated"}
CHECKED = {"logicalType", "quality", "customProperties"}
TABLE_KEYS = FOR_PEOPLE | CHECKED | {"properties"}
COLUMN_KEYS = FOR_PEOPLE | CHECKED | {"logicalTypeOptions", "required", "unique", "primaryKey", "primaryKeyPosition"}
COLUMN_KEYS |= {"classification", "criticalDataElement"}
FRESHNESS_KEYS = {"id", "property", "value", "element", "driver", "description"}
RANGE, LENGTHS = {"minimum", "maximum"}, {"pattern", "minLength", "maxLength"}
OPTIONS = dict.fromkeys(("integer", "number", "date", "timestamp"), RANGE) | {"string": LENGTHS, "boolean": set()}
RULE_KEYS = {"id", "name", "description", "dimension", "businessImpact", "tags", "type", "metric", "arguments", "query"}
OPERATORS = {"mustBe", "mustBeGreaterOrEqualTo", "mustBeLessOrEqualTo", "mustBeBetween"}
COUNT = re.compile(r"\s*SELECT\s+COUNT\(\*\)\s+FROM\s+(?P<table>\w+)\s+WHERE\s+(?P<what>.+)", re.IGNORECASE | re.DOTALL)
VERSION = re.compile(r"(0|[1-9]\d*)\.(0|[1-9]\d*)\.(0|[1-9]\d*)")


def read_contract(document: dict[str, Any], path: Path) -> Contract:
    """Read the terms of a contract of one table.

    Args:
        document: keeps the standard.
        path: its file.

    Raises:
        InputError: it lacks what a contract must say here, or says what would not be checked.
    """
    require(document["apiVersion"].startswith("v3."), "apiVersion must be v3.x")
    version, tables = document["version"], document.get("schema", [])
    require(VERSION.fullmatch(version), f"version must be major.minor.patch, such as 1.0.0, it is {version!r}")
    require(len(tables) == 1, f"schema must describe one table, it describes {len(tables)}")
    (table,) = tables
    _only(table, TABLE_KEYS, f"the table {table['name']!r}")
    facts = _custom(table)
    usual = _classification(facts.get("classification", "internal"), table["name"])
    columns = tuple(_column(item, usual) for item in table.get("properties", []))
    require(columns, "the table has no columns")
    (most, times), *_ = Counter(column.name for column in columns).most_common(1)
    require(times == 1, f"column {most!r} is there twice")
    for column in columns:
        words = "would be taken for a pattern of names: none may be * or begin with ^ and end with $"
        require(not is_pattern(column.name), f"column {column.name!r} {words}")
    team = document.get("team", {})
    owner = team.get("name", "") if isinstance(team, dict) else ""
    require(owner.strip(), "team.name is missing: nobody would know whom to ask")
    return Contract(
        path=path,
        name=table["name"],
        version=version,
        owner=owner,
        columns=columns,
        primary_key=_key(table["properties"]),
        access=next((role.get("description", "") for role in document.get("roles", [])), ""),
        license=facts.get("sourceLicense", ""),
        freshness=_freshness(document.get("slaProperties", []), table["name"], columns),
        properties=facts,
        **_table_rules(table, columns),
    )


def is_pattern(name: str) -> bool:
    """Whether polars would take the name of a column for a pattern that many names match."""
    return name == "*" or (name.startswith("^") and name.endswith("$"))


def _key(items: list[dict[str, Any]]) -> tuple[str, ...]:
    keys = sorted((item.get("primaryKeyPosition", -1), item["name"]) for item in items if item.get("primaryKey"))
    positions = [position for position, _ in keys]
    good = positions in (list(range(1, len(keys) + 1)), [-1])
    require(good, f"primaryKeyPosition must count the {len(keys)} columns of the key from 1, they are {positions}")
    return tuple(name for _, name in keys)


def _column(item: dict[str, Any], usual: str) -> Column:
    name, kind, options = item["name"], item.get("logicalType", ""), item.get("logicalTypeOptions", {})
    place = f"column {name!r}"
    _only(item, COLUMN_KEYS, place)
    require(kind in LOGICAL_TYPES, f"{place} has logicalType {kind!r}; known are {', '.join(LOGICAL_TYPES)}")
    for key in options:
        require(key in OPTIONS[kind], f"{place}: {key} of a {kind} would not be checked, so it may not be said")
    low, high = (_limit(options.get(key), kind, f"{place}: {key}") for key in ("minimum", "maximum"))
    empty = low is not None and high is not None and low > high  # type: ignore[operator]  # both of one type
    require(not empty, f"{place}: minimum {low} is more than maximum {high}, so no value would do")
    return Column(
        name=name,
        logical_type=kind,
        required=item.get("required", False),
        unit=_custom(item).get("unit", ""),
        description=item.get("description", ""),
        minimum=low,
        maximum=high,
        classification=_classification(item.get("classification", usual), name),
        unique=item.get("unique", False),
        pattern=_pattern(options.get("pattern", ""), place),
        min_length=options.get("minLength"),
        max_length=options.get("maxLength"),
        **_column_rules(item),
    )


def _column_rules(item: dict[str, Any]) -> dict[str, Any]:
    """Read the quality rules of one column, by the attributes of `Column`."""
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


def _table_rules(table: dict[str, Any], columns: Sequence[Column]) -> dict[str, Any]:
    """Read the quality rules of the whole table, by the attributes of `Contract`; SQL may use the columns."""
    place, rules = f"the table {table['name']!r}", table.get("quality", [])
    count = _by_metric([rule for rule in rules if rule.get("type") != "sql"], {"rowCount"}, place).get("rowCount", {})
    low, high = count.get("mustBeBetween", (count.get("mustBeGreaterOrEqualTo"), count.get("mustBeLessOrEqualTo")))
    words = "say mustBeGreaterOrEqualTo, mustBeLessOrEqualTo or mustBeBetween"
    require(not count or (low, high) != (None, None), f"{place}: rowCount: {words}")
    in_sql = tuple(_row_rule(rule, table["name"], columns) for rule in rules if rule.get("type") == "sql")
    return {"minimum_rows": low or 0, "maximum_rows": high, "row_rules": in_sql}


def _by_metric(rules: list[dict[str, Any]], known: set[str], place: str) -> dict[str, dict[str, Any]]:
    """Return the rules of the standard's library by their metric, each once."""
    found: dict[str, dict[str, Any]] = {}
    for rule in rules:
        metric = rule.get("metric", rule.get("type", "a rule without metric"))
        _only([metric], known - set(found), place)
        _only(rule, RULE_KEYS | OPERATORS | {"unit"} if metric == "nullValues" else RULE_KEYS | OPERATORS, place)
        found[metric] = rule
    return found


def _row_rule(rule: dict[str, Any], table: str, columns: Sequence[Column]) -> RowRule:
    """Read a rule in SQL, after it was tried on a table without rows."""
    name, words, query = rule.get("name", ""), rule.get("description", ""), rule["query"]
    place = f"the rule {name!r}"
    _only(rule, RULE_KEYS | OPERATORS, place)
    require(name and words, f"a rule in SQL needs a name and a description of what must hold: {query}")
    match = COUNT.fullmatch(query)
    if match is None or match["table"] != table or rule.get("mustBe") != 0:
        message = f"{place}: write SELECT COUNT(*) FROM {table} WHERE ..., of rows that break it, and mustBe: 0"  # noqa: S608  words
        raise InputError(message)
    condition = match["what"]
    try:
        expression = pl.sql_expr(condition)
        answer = pl.DataFrame(schema=polars_schema(columns)).select(expression.alias("answer"))["answer"]
        fits = answer.dtype == pl.Boolean and expression.meta.root_names()
        reason = "" if fits else f"it gives {answer.dtype}, not true or false for each row"
    except (pl.exceptions.PolarsError, pl.exceptions.PanicException, ValueError, TypeError) as error:
        reason = " ".join(str(error).split())[:120] or "polars cannot read it"
    require(not reason, f"{place}: {condition!r} cannot be used: {reason}")
    return RowRule(name, condition, words)


def _limit(limit: Any, kind: str, place: str) -> Limit | None:
    if limit is not None and kind in {"date", "timestamp"}:
        return _instant(limit, place).date() if kind == "date" else _instant(limit, place)
    require(kind != "integer" or abs(limit or 0) < 2**63, f"{place} must be a number of 64 bits, it is {limit!r}")
    number: float | None = limit
    return number


def _instant(text: Any, place: str) -> datetime:
    """Read a date or an instant in ISO 8601; without a zone it is UTC."""
    try:
        instant = datetime.fromisoformat(str(text))
        return instant.replace(tzinfo=UTC) if instant.tzinfo is None else instant.astimezone(UTC)
    except (ValueError, OverflowError):
        message = f"{place} must be a date or time in ISO 8601, such as 2013-12-31, it is {text!r}"
        raise InputError(message) from None


def _pattern(pattern: str, place: str) -> str:
    """Refuse a regular expression that polars could not use."""
    try:
        pl.select(pl.lit("text").str.contains(pattern))
    except pl.exceptions.PolarsError as error:
        message = f"{place}: pattern {pattern!r} is no regular expression: {str(error).splitlines()[0]}"
        raise InputError(message) from None
    return pattern


def _classification(value: str, place: str) -> str:
    known = ", ".join(CLASSIFICATIONS)
    require(value in CLASSIFICATIONS, f"{place}: classification must be one of {known}, it is {value!r}")
    return value


def _freshness(agreed: list[dict[str, Any]], table: str, columns: tuple[Column, ...]) -> Freshness | None:
    what = [item["property"] for item in agreed]
    words = "one property, freshness, is checked here, and no other may be said"
    require(what in ([], ["freshness"]), f"slaProperties: {words}: {', '.join(what)}")
    if not agreed:
        return None
    (item,) = agreed
    _only(item, FRESHNESS_KEYS, "freshness")
    times = {
        f"{table}.{column.name}": column.name for column in columns if column.logical_type in {"date", "timestamp"}
    }
    element, known = item.get("element", ""), ", ".join(times) or "(no date or timestamp)"
    require(element in times, f"freshness: element must be one of {known}, it is {element!r}")
    return Freshness(times[element], _instant(item["value"], "freshness: value"))


def _custom(item: dict[str, Any]) -> dict[str, str]:
    return {entry["property"]: str(entry["value"]) for entry in item.get("customProperties", [])}


def _only(said: Iterable[str], known: set[str], place: str) -> None:
    """Refuse keys that nothing here checks: a rule that is not held reads as if it were."""
    unknown = sorted(set(said) - known)
    require(not unknown, f"{place}: {', '.join(unknown)} would not be checked, so it may not be said")
