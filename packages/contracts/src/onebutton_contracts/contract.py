"""Read a data contract: what a table must be, in the Open Data Contract Standard, of which `odcs` says what is checked."""

from __future__ import annotations

import re
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import polars as pl
from pydantic import ValidationError

from onebutton_contracts import odcs
from onebutton_contracts.dvc_files import parse_yaml, read_yaml
from onebutton_contracts.errors import InputError, require
from onebutton_contracts.frames import is_pattern, polars_schema
from onebutton_contracts.parameters import faults
from onebutton_contracts.terms import Column, Contract, Freshness, RowRule

__all__ = ["Column", "Contract", "contract_of", "load_contract"]

COUNT = re.compile(r"\s*SELECT\s+COUNT\(\*\)\s+FROM\s+(?P<table>\w+)\s+WHERE\s+(?P<what>.+)", re.IGNORECASE | re.DOTALL)
CLASSIFICATIONS = ("public", "internal", "personal")
VERSION = re.compile(r"(0|[1-9]\d*)\.(0|[1-9]\d*)\.(0|[1-9]\d*)")


def load_contract(path: Path) -> Contract:
    """Read a contract of one table.

    Raises:
        InputError: the file is missing, is not YAML, breaks the standard, or says what would not be checked here.
    """
    return _read(read_yaml(path), path)


def contract_of(text: str, path: Path) -> Contract:
    """Read a contract out of the text of its file, which messages call `path`; see `load_contract`."""
    return _read(parse_yaml(text, str(path)), path)


def _read(content: Any, path: Path) -> Contract:
    try:
        return _contract(odcs.Document.model_validate(content), path)
    except ValidationError as error:
        message = f"{path}: {faults(error, content, unknown='would not be checked, so it may not be said')}"
    except InputError as error:
        message = f"{path}: {error}"
    raise InputError(message)


def _contract(said: odcs.Document, path: Path) -> Contract:
    words = f"version must be major.minor.patch, such as 1.0.0, it is {said.version!r}"
    require(VERSION.fullmatch(said.version), words)
    (table,) = said.tables
    facts = _facts(table.custom_properties)
    usual, known = facts.get("classification", "internal"), ", ".join(CLASSIFICATIONS)
    require(usual in CLASSIFICATIONS, f"the table's classification must be one of {known}, it is {usual!r}")
    columns = tuple(_column(column, usual) for column in table.properties)
    names = [column.name for column in columns]
    for name in names:
        require(names.count(name) == 1, f"column {name!r} is there twice")
    counts = [rule.must_be_greater_or_equal_to for rule in table.quality if isinstance(rule, odcs.RowCount)]
    in_sql = [rule for rule in table.quality if isinstance(rule, odcs.NoRow)]
    return Contract(
        path=path,
        name=table.name,
        version=said.version,
        owner=said.team.name,
        columns=columns,
        primary_key=_key(table.properties),
        minimum_rows=max(counts, default=0),
        row_rules=tuple(_row_rule(rule, table.name, columns) for rule in in_sql),
        freshness=_freshness(said.sla_properties, table.name, columns),
        properties=facts,
    )


def _facts(said: Sequence[odcs.CustomProperty]) -> dict[str, str]:
    return {one.property: str(one.value) for one in said}


def _column(said: odcs.AnyColumn, usual: str) -> Column:
    rules: dict[str, Any] = {}
    for rule in said.quality:
        require(rule.metric not in rules, f"column {said.name!r}: {rule.metric} stands there twice")
        rules[rule.metric] = rule
    values, missing = rules.get("invalidValues"), rules.get("nullValues")
    column = Column(
        name=said.name,
        logical_type=said.logical_type,
        required=said.required,
        unit=_facts(said.custom_properties).get("unit", ""),
        description=said.description,
        allowed=tuple(values.arguments.get("validValues", ())) if values else (),
        classification=said.classification or usual,
        unique=said.unique,
        null_percent=missing.must_be_less_or_equal_to if missing else None,
        **(said.logical_type_options.model_dump() if said.logical_type_options else {}),
    )
    place, low, high = f"column {said.name!r}", column.minimum, column.maximum
    words = "its name would be taken for a pattern: none may be * or begin with ^ and end with $"
    require(not is_pattern(said.name), f"{place}: {words}")
    empty = low is not None and high is not None and low > high  # type: ignore[operator]  # both of one type
    require(not empty, f"{place}: minimum {low} is more than maximum {high}, so no value would do")
    kind = {"string": str, "integer": int}.get(said.logical_type)
    good = not values or (column.allowed and all(type(value) is kind for value in column.allowed))
    require(good, f"{place}: validValues must be a list of what a {said.logical_type} may hold")
    try:
        pl.select(pl.lit("text").str.contains(column.pattern))
    except pl.exceptions.PolarsError as error:
        reason = str(error).splitlines()[0]
        raise InputError(f"{place}: pattern {column.pattern!r} is no regular expression: {reason}") from None
    return column


def _key(columns: Sequence[odcs.AnyColumn]) -> tuple[str, ...]:
    keys = sorted((column.primary_key_position, column.name) for column in columns if column.primary_key)
    positions = [position for position, _ in keys]
    good = positions in (list(range(1, len(keys) + 1)), [-1])
    require(good, f"primaryKeyPosition must count the {len(keys)} columns of the key from 1, they are {positions}")
    return tuple(name for _, name in keys)


def _row_rule(rule: odcs.NoRow, table: str, columns: Sequence[Column]) -> RowRule:
    """Read a rule in SQL, after it was tried on a table without rows."""
    match = COUNT.fullmatch(rule.query)
    words = f"write SELECT COUNT(*) FROM {table} WHERE ..., of rows that break it"  # noqa: S608  words
    if match is None or match["table"] != table:
        raise InputError(f"the rule {rule.name!r}: {words}")
    condition = match["what"]
    try:
        expression = pl.sql_expr(condition)
        answer = pl.DataFrame(schema=polars_schema(columns)).select(expression.alias("answer"))["answer"]
        fits = answer.dtype == pl.Boolean and expression.meta.root_names()
        reason = "" if fits else f"it gives {answer.dtype}, not true or false for each row"
    except (pl.exceptions.PolarsError, pl.exceptions.PanicException, ValueError, TypeError) as error:
        reason = " ".join(str(error).split())[:120] or "polars cannot read it"
    require(not reason, f"the rule {rule.name!r}: {condition!r} cannot be used: {reason}")
    return RowRule(rule.name, condition, rule.description)


def _freshness(agreed: Sequence[odcs.Freshness], table: str, columns: Sequence[Column]) -> Freshness | None:
    times = {f"{table}.{one.name}": one.name for one in columns if one.logical_type in {"date", "timestamp"}}
    for said in agreed:
        known = ", ".join(times) or "(no date or timestamp)"
        require(said.element in times, f"freshness: element must be one of {known}, it is {said.element!r}")
        return Freshness(times[said.element], said.value)
    return None
