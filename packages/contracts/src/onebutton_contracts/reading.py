"""Turn a document that keeps the standard into the terms of one table.

A rule that would not be checked reads as if it were, so whatever is not understood here is refused by name.
"""

from __future__ import annotations

import math
import re
from collections import Counter
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

from onebutton_contracts.quality import ContractError, read_column_rules, read_table_rules
from onebutton_contracts.terms import (
    CLASSIFICATIONS,
    LOGICAL_TYPES,
    Column,
    Contract,
    Freshness,
    Limit,
    Quarantine,
)

__all__ = ["ContractError", "read_contract"]

# Facts for people; every other key of a column or a table must be one that is checked.
FOR_PEOPLE = {"id", "name", "description", "businessName", "synonyms", "tags", "authoritativeDefinitions", "examples"}
COLUMN_KEYS = FOR_PEOPLE | {
    "logicalType",
    "logicalTypeOptions",
    "required",
    "unique",
    "primaryKey",
    "primaryKeyPosition",
    "classification",
    "criticalDataElement",
    "deprecated",
    "physicalType",
    "transformDescription",
    "quality",
    "customProperties",
}
TABLE_KEYS = FOR_PEOPLE | {
    "logicalType",
    "physicalName",
    "physicalType",
    "dataGranularityDescription",
    "properties",
    "quality",
    "customProperties",
}
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
        ContractError: it lacks what a contract must say here, or says what would not be checked.
    """
    if document["kind"] != "DataContract" or not document["apiVersion"].startswith("v3."):
        raise ContractError("kind must be DataContract and apiVersion v3.x")
    version = document["version"]
    if not VERSION.fullmatch(version):
        message = f"version must be major.minor.patch, such as 1.0.0, it is {version!r}"
        raise ContractError(message)
    tables = document.get("schema", [])
    if len(tables) != 1:
        message = f"schema must describe one table, it describes {len(tables)}"
        raise ContractError(message)
    (table,) = tables
    _only(table, TABLE_KEYS, f"the table {table['name']!r}")
    facts = _custom(table)
    usual = _classification(facts.get("classification", "internal"), table["name"])
    columns = tuple(_column(item, usual) for item in table.get("properties", []))
    twice = sorted(name for name, count in Counter(column.name for column in columns).items() if count > 1)
    if twice or not columns:
        raise ContractError(f"column {twice[0]!r} is there twice" if twice else "the table has no columns")
    if patterns := [column.name for column in columns if is_pattern(column.name)]:
        message = f"column {patterns[0]!r} would be taken for a pattern of names: none may be * or begin with ^ and end with $"
        raise ContractError(message)
    return Contract(
        path=path,
        name=table["name"],
        version=version,
        owner=_owner(document),
        columns=columns,
        primary_key=_key(table["properties"]),
        access=next((role.get("description", "") for role in document.get("roles", [])), ""),
        license=facts.get("sourceLicense", ""),
        freshness=_freshness(document, table["name"], columns),
        quarantine=_quarantine(facts),
        properties=facts,
        **read_table_rules(table, columns),
    )


def _owner(document: dict[str, Any]) -> str:
    team = document.get("team", {})
    owner = team.get("name", "") if isinstance(team, dict) else ""
    if not owner.strip():
        raise ContractError("team.name is missing: nobody would know whom to ask")
    return str(owner)


def _key(items: list[dict[str, Any]]) -> tuple[str, ...]:
    keys = [(item.get("primaryKeyPosition", -1), item["name"]) for item in items if item.get("primaryKey")]
    positions = [position for position, _ in keys]
    if sorted(positions) != list(range(1, len(keys) + 1)) and positions != [-1]:
        message = f"primaryKeyPosition must count the {len(keys)} columns of the key from 1, they are {positions}"
        raise ContractError(message)
    return tuple(name for _, name in sorted(keys))


def _column(item: dict[str, Any], usual: str) -> Column:
    name, kind = item["name"], item.get("logicalType")
    _only(item, COLUMN_KEYS, f"column {name!r}")
    if kind not in LOGICAL_TYPES:
        message = f"column {name!r} has logicalType {kind!r}; known are {', '.join(LOGICAL_TYPES)}"
        raise ContractError(message)
    options = item.get("logicalTypeOptions", {})
    for key in options:
        if key not in OPTIONS[kind]:
            message = f"column {name!r}: {key} of a {kind} would not be checked, so it may not be said"
            raise ContractError(message)
    if options.get("timezone") is False or options.get("defaultTimezone", "UTC") != "UTC":
        message = f"column {name!r}: a timestamp is an instant in UTC here"
        raise ContractError(message)
    rules = read_column_rules(item)
    low, high = (_limit(options.get(key), kind, f"column {name!r}: {key}") for key in ("minimum", "maximum"))
    if low is not None and high is not None and low > high:  # type: ignore[operator]  # both of one type
        message = f"column {name!r}: minimum {low} is more than maximum {high}, so no value would do"
        raise ContractError(message)
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
        pattern=_pattern(options.get("pattern", ""), name),
        min_length=options.get("minLength"),
        max_length=options.get("maxLength"),
        **rules,
    )


def _limit(limit: Any, kind: str, place: str) -> Limit | None:
    if limit is None:
        return None
    if kind in {"date", "timestamp"}:
        return _instant(limit, place).date() if kind == "date" else _instant(limit, place)
    if not math.isfinite(limit) or (kind == "integer" and abs(limit) >= 2**63):
        message = f"{place} must be a number, it is {limit!r}"
        raise ContractError(message)
    number: float = limit
    return number


def _instant(text: Any, place: str) -> datetime:
    """Read a date or an instant in ISO 8601; without a zone it is UTC."""
    try:
        instant = datetime.fromisoformat(str(text))
        return instant.replace(tzinfo=UTC) if instant.tzinfo is None else instant.astimezone(UTC)
    except (ValueError, OverflowError):
        message = f"{place} must be a date or time in ISO 8601, such as 2013-12-31, it is {text!r}"
        raise ContractError(message) from None


def is_pattern(name: str) -> bool:
    """Whether polars would take the name of a column for a pattern that many names match."""
    return name == "*" or (name.startswith("^") and name.endswith("$"))


def _pattern(pattern: str, name: str) -> str:
    """Refuse a regular expression that polars could not use."""
    import polars as pl

    try:
        pl.select(pl.lit("text").str.contains(pattern))
    except pl.exceptions.PolarsError as error:
        message = f"column {name!r}: pattern {pattern!r} is no regular expression: {str(error).splitlines()[0]}"
        raise ContractError(message) from None
    return pattern


def _classification(value: str, place: str) -> str:
    if value not in CLASSIFICATIONS:
        message = f"{place}: classification must be one of {', '.join(CLASSIFICATIONS)}, it is {value!r}"
        raise ContractError(message)
    return value


def _freshness(document: dict[str, Any], table: str, columns: tuple[Column, ...]) -> Freshness | None:
    agreed = document.get("slaProperties", [])
    if [item["property"] for item in agreed] not in ([], ["freshness"]):
        what = ", ".join(item["property"] for item in agreed)
        message = f"slaProperties: one property, freshness, is checked here, and no other may be said: {what}"
        raise ContractError(message)
    if not agreed:
        return None
    (item,) = agreed
    _only(item, {"id", "property", "value", "unit", "element", "driver", "description"}, "freshness")
    times = {f"{table}.{column.name}" for column in columns if column.logical_type in {"date", "timestamp"}}
    element, value, unit = item.get("element"), item["value"], item.get("unit")
    if element not in times:
        message = f"freshness: element must be one of {', '.join(sorted(times)) or '(no date or timestamp)'}, it is {element!r}"
        raise ContractError(message)
    column = element.removeprefix(f"{table}.")
    if unit is None and isinstance(value, str):
        return Freshness(column, until=_instant(value, "freshness: value"))
    if isinstance(value, bool) or not isinstance(value, int | float) or not 0 < value < 1e6 or unit not in UNITS:  # noqa: PLR2004
        message = f"freshness: value must be a date, or a number with the unit d or h, it is {value!r} {unit or ''}"
        raise ContractError(message)
    return Freshness(column, age=timedelta(seconds=value * UNITS[unit]))


def _quarantine(facts: dict[str, str]) -> Quarantine | None:
    file, limit = facts.get("quarantineFile"), facts.get("quarantineLimit")
    if file is None and limit is None:
        return None
    try:
        share = float(limit or "")
    except ValueError:
        share = -1.0
    inside = bool(file) and not Path(str(file)).is_absolute() and ".." not in Path(str(file)).parts
    if not (inside and str(file).endswith(".parquet") and 0 < share < 1):
        message = (
            "quarantineFile must be a parquet file inside the pipeline, with quarantineLimit, the largest share of rows that may "
            f"go there, between 0 and 1; they are {file!r} and {limit!r}"
        )
        raise ContractError(message)
    return Quarantine(Path(str(file)), share)


def _custom(item: dict[str, Any]) -> dict[str, str]:
    return {entry["property"]: str(entry["value"]) for entry in item.get("customProperties", [])}


def _only(item: dict[str, Any], known: set[str], place: str) -> None:
    unknown = sorted(set(item) - known)
    if unknown:
        message = f"{place}: {', '.join(unknown)} would not be checked, so it may not be said"
        raise ContractError(message)
