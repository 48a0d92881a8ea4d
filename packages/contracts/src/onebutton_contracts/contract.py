"""Read a data contract: what a table must be, in the Open Data Contract Standard, of which `odcs` says what is checked."""

import re
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
    (table,) = said.tables
    facts = {one.property: str(one.value) for one in table.custom_properties}
    columns = tuple(_column(column, facts.get("classification", "internal")) for column in table.properties)
    names = [column.name for column in columns]
    for at, name in enumerate(names):
        require(name not in names[:at], f"column {name!r} is there twice")
    keys = [(column.primary_key_position, column.name) for column in table.properties if column.primary_key]
    times = {f"{table.name}.{one.name}": one.name for one in columns if one.logical_type in {"date", "timestamp"}}
    for fresh in said.sla_properties:
        known = ", ".join(times) or "(no date or timestamp)"
        require(fresh.element in times, f"freshness: element must be one of {known}, it is {fresh.element!r}")
    counts = [one.must_be_greater_or_equal_to for one in table.quality if one.type == "library"]
    return Contract(
        path=path,
        name=table.name,
        version=said.version,
        owner=said.team.name,
        columns=columns,
        primary_key=tuple(name for _, name in sorted(keys)),
        minimum_rows=max(counts, default=0),
        row_rules=tuple(_row_rule(one, table.name, columns) for one in table.quality if one.type == "sql"),
        freshness=next((Freshness(times[one.element], one.value) for one in said.sla_properties), None),
        properties=facts,
    )


def _column(said: odcs.AnyColumn, usual: str) -> Column:
    rules: dict[str, Any] = {rule.metric: rule for rule in said.quality}
    require(len(rules) == len(said.quality), f"column {said.name!r}: a metric stands there twice")
    values, missing = rules.get("invalidValues"), rules.get("nullValues")
    allowed = values.arguments.get("validValues", ()) if values else ()
    fits = allowed and type(allowed[0]) is {"string": str, "integer": int}.get(said.logical_type)
    words = f"validValues must be a list of what a {said.logical_type} may hold"
    require(fits or not values, f"column {said.name!r}: {words}")
    words = "its name would be taken for a pattern: none may be * or begin with ^ and end with $"
    require(not is_pattern(said.name), f"column {said.name!r}: {words}")
    column = Column(
        name=said.name,
        logical_type=said.logical_type,
        required=said.required,
        unit=next((str(one.value) for one in said.custom_properties if one.property == "unit"), ""),
        description=said.description,
        allowed=tuple(allowed),
        classification=said.classification or usual,
        unique=said.unique,
        null_percent=missing.must_be_less_or_equal_to if missing else None,
        **(said.logical_type_options.model_dump() if said.logical_type_options else {}),
    )
    try:
        pl.select(pl.lit("text").str.contains(column.pattern))
    except pl.exceptions.PolarsError:
        raise InputError(f"column {said.name!r}: pattern {column.pattern!r} is no regular expression") from None
    return column


def _row_rule(rule: odcs.NoRow, table: str, columns: tuple[Column, ...]) -> RowRule:
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
