"""Fit a description of tables that may leave a secure place: spreads and correlations of many rows, and no row.

Nothing that fewer than `ENOUGH` rows share is told: rarer categories, hours and months are left out.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import polars as pl
from pydantic import TypeAdapter, ValidationError

from onebutton_contracts.dummy.copula import ENOUGH, Copula, Floats, fit_copula
from onebutton_contracts.dummy.plan import Plan, TablePlan
from onebutton_contracts.errors import InputError
from onebutton_contracts.terms import Contract

KIND = "categories"  # a row's categories as one text
CLOCK = (KIND, "month", "weekday", "hour")  # what a row is, and when
ANSWER = "answer"  # of the target: 0, 1, or 2 where it is not known
SEPARATOR = "|"


@dataclass(frozen=True)
class Description:
    """What is told of one table; made of numbers and names that many rows share.

    Attributes:
        first: its first day, in ISO 8601.
        last: its last day.
        levels: what each column of `CLOCK` and the answer can be, in an order; copulas know the places in these lists.
        lookups: number -> a row's categories -> value.
        answers: what a row is and when, the parent's numbers, and the answer.
        copulas: for each answer the same with the numbers to draw.
    """

    first: str
    last: str
    levels: dict[str, list[str]]
    lookups: dict[str, dict[str, float]]
    answers: Copula
    copulas: dict[str, Copula]


STORED = TypeAdapter(dict[str, Description])


def describe(
    plan: Plan, tables: Mapping[str, pl.DataFrame], contracts: Mapping[str, Contract]
) -> dict[str, Description]:
    """Fit every table of a plan.

    Args:
        plan: what is worth resembling.
        tables: the real ones, by name.
        contracts: theirs.

    Raises:
        InputError: the plan names a column that is not there.
    """
    try:
        return {name: _describe(name, plan, tables, contracts) for name in plan.tables}
    except pl.exceptions.PolarsError as error:
        message = f"dummy.yaml does not fit the tables: {str(error).splitlines()[0]}"
        raise InputError(message) from None


def _describe(
    name: str, plan: Plan, tables: Mapping[str, pl.DataFrame], contracts: Mapping[str, Contract]
) -> Description:
    table = plan.tables[name]
    local = pl.col(table.calendar.instant).dt.convert_time_zone(table.calendar.zone)
    target = pl.sql_expr(table.target) if table.target else pl.lit(0)
    laid = tables[name].select(
        pl.col(table.calendar.instant).alias("instant"),
        *table.categories,
        pl.concat_str(table.categories or [pl.lit("all")], separator=SEPARATOR).alias(KIND),
        *clock(local),
        local.dt.date().alias("date"),
        target.cast(pl.Int64).fill_null(2).cast(pl.String).alias(ANSWER),
        (target if table.target else modelled(table)[0]).cast(pl.Float64).alias("order"),
        *modelled(table),
        *(pl.col(name).cast(pl.Float64).alias(f"{name} of {KIND}") for name in table.lookups),
    )
    levels = {name: _levels(laid, name) for name in (*CLOCK, ANSWER)}
    laid = laid.filter(pl.all_horizontal(pl.col(name).is_in(known) for name, known in levels.items()))
    looked = laid.group_by(KIND).agg(pl.col(rf"^.* of {KIND}$").median()).sort(KIND)
    joined = join_parent(laid, table, plan, tables, contracts)
    parts = {answer: joined.filter(pl.col(ANSWER) == answer) for answer in levels[ANSWER]}
    return Description(
        first=str(laid["date"].min()),
        last=str(laid["date"].max()),
        levels=levels,
        lookups={name: dict(looked.select(KIND, f"{name} of {KIND}").iter_rows()) for name in table.lookups},
        answers=fit_copula(numbers(joined.drop(table.modelled), table, plan, levels)),
        copulas={answer: fit_copula(numbers(part, table, plan, levels)) for answer, part in parts.items()},
    )


def _levels(laid: pl.DataFrame, name: str) -> list[str]:
    """List what enough rows share, by the mean of what orders it."""
    means = laid.drop_nulls(name).group_by(name).agg(pl.len().alias("rows"), pl.col("order").mean())
    return means.filter(pl.col("rows") >= ENOUGH).sort("order", name, nulls_last=True)[name].to_list()


def clock(local: pl.Expr) -> list[pl.Expr]:
    """Read month, weekday and hour off a local time."""
    parts = {"month": local.dt.month(), "weekday": local.dt.weekday(), "hour": local.dt.hour()}
    return [part.cast(pl.String).alias(name) for name, part in parts.items()]


def modelled(table: TablePlan) -> list[pl.Expr]:
    """Read the numbers to resemble off the real table."""
    return [pl.sql_expr(sql).cast(pl.Float64).alias(name) for name, sql in table.modelled.items()]


def join_parent(
    laid: pl.DataFrame,
    table: TablePlan,
    plan: Plan,
    tables: Mapping[str, pl.DataFrame],
    contracts: Mapping[str, Contract],
) -> pl.DataFrame:
    """Add what the parent says of the same key, its columns named `parent.column`."""
    if not table.parent:
        return laid
    parent = plan.tables[table.parent]
    key = [name for name in contracts[table.parent].primary_key if name != parent.calendar.instant]
    then = pl.col(parent.calendar.instant).dt.offset_by(f"{table.parent_hours_before}h").alias("instant")
    named = [expression.name.prefix(f"{table.parent}.") for expression in modelled(parent)]
    beside = tables[table.parent].select(then, *key, *named)
    return laid.join(beside, on=["instant", *key], how="left", maintain_order="left")


def numbers(laid: pl.DataFrame, table: TablePlan, plan: Plan, levels: Mapping[str, list[str]]) -> dict[str, Floats]:
    """Take what the copula knows: places in an order, and numbers, a null as NaN; those to draw only when they are there."""
    beside = [f"{table.parent}.{name}" for name in plan.tables[table.parent].modelled] if table.parent else []
    placed = [
        pl.col(name).replace_strict(known, range(len(known)), default=None, return_dtype=pl.Float64)
        for name, known in levels.items()
        if name in laid.columns
    ]
    found = laid.select(*placed, *beside, *(name for name in table.modelled if name in laid.columns))
    return {series.name: series.fill_null(float("nan")).to_numpy() for series in found}


def write_description(described: dict[str, Description], path: Path) -> None:
    """Write a description as JSON, whole or not at all."""
    draft = path.with_name(f"{path.name}.draft")
    draft.write_bytes(STORED.dump_json(described) + b"\n")
    draft.replace(path)


def read_description(path: Path) -> dict[str, Description]:
    """Read what `write_description` wrote.

    Raises:
        InputError: it is missing, or no such description.
    """
    again = "who has access to the data fits it with `make run DATA=dummy FIT=1` and commits it"
    try:
        return STORED.validate_json(path.read_bytes())
    except FileNotFoundError:
        message = f"{path} is not here: {again}"
    except OSError as error:
        message = f"{path} cannot be read: {error.strerror}"
    except ValidationError as error:
        message = f"{path} is no description of tables ({error.errors()[0]['msg']}): {again}"
    raise InputError(message)
