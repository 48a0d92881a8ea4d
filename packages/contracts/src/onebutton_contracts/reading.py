"""Turn a document that keeps the standard into the terms of one table.

A rule that would not be checked reads as if it were, so whatever is not understood here is refused by name.
"""

from __future__ import annotations

import re
from collections import Counter
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import polars as pl

from onebutton_contracts.errors import InputError, require
from onebutton_contracts.quality import only, read_column_rules, read_table_rules
from onebutton_contracts.terms import CLASSIFICATIONS, LOGICAL_TYPES, Column, Contract, Freshness, Limit

# Facts for people; every other key of a column or a table must be one that is checked.
FOR_PEOPLE = {"id", "name", "description", "businessName", "synonyms", "tags", "authoritativeDefinitions", "examples"}
FOR_PEOPLE |= {"physicalName", "physicalType", "transformDescription", "dataGranularityDescription", "deprecated"}
CHECKED = {"logicalType", "quality", "customProperties"}
TABLE_KEYS = FOR_PEOPLE | CHECKED | {"properties"}
COLUMN_KEYS = FOR_PEOPLE | CHECKED | {"logicalTypeOptions", "required", "unique", "primaryKey", "primaryKeyPosition"}
COLUMN_KEYS |= {"classification", "criticalDataElement"}
FRESHNESS_KEYS = {"id", "property", "value", "unit", "element", "driver", "description"}
RANGE, LENGTHS = {"minimum", "maximum"}, {"pattern", "minLength", "maxLength"}
OPTIONS = {
    "integer": RANGE,
    "number": RANGE,
    "date": RANGE,
    "timestamp": RANGE | {"timezone", "defaultTimezone"},
    "string": LENGTHS,
    "boolean": set(),
}
UNITS = {"d": 86400, "day": 86400, "days": 86400, "h": 3600, "hour": 3600, "hours": 3600}
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
    only(table, TABLE_KEYS, f"the table {table['name']!r}")
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
        **read_table_rules(table, columns),
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
    only(item, COLUMN_KEYS, place)
    require(kind in LOGICAL_TYPES, f"{place} has logicalType {kind!r}; known are {', '.join(LOGICAL_TYPES)}")
    for key in options:
        require(key in OPTIONS[kind], f"{place}: {key} of a {kind} would not be checked, so it may not be said")
    utc = options.get("timezone") is not False and options.get("defaultTimezone", "UTC") == "UTC"
    require(utc, f"{place}: a timestamp is an instant in UTC here")
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
        **read_column_rules(item),
    )


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
    only(item, FRESHNESS_KEYS, "freshness")
    times = {
        f"{table}.{column.name}": column.name for column in columns if column.logical_type in {"date", "timestamp"}
    }
    element, value, unit = item.get("element", ""), item["value"], item.get("unit", "")
    known = ", ".join(times) or "(no date or timestamp)"
    require(element in times, f"freshness: element must be one of {known}, it is {element!r}")
    if not unit and isinstance(value, str):
        return Freshness(times[element], until=_instant(value, "freshness: value"))
    good = unit in UNITS and isinstance(value, int | float) and 0 < value < 1e6  # noqa: PLR2004
    require(good, f"freshness: value must be a date, or a number with the unit d or h, it is {value!r} {unit}")
    return Freshness(times[element], age=timedelta(seconds=value * UNITS[unit]))


def _custom(item: dict[str, Any]) -> dict[str, str]:
    return {entry["property"]: str(entry["value"]) for entry in item.get("customProperties", [])}
