"""Draw tables from a description: the same seed, the same rows."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import date, timedelta

import numpy as np
import polars as pl

from onebutton_contracts.dummy.description import (
    ANSWER,
    CLOCK,
    KIND,
    SEPARATOR,
    Description,
    clock,
    join_parent,
    numbers,
)
from onebutton_contracts.dummy.plan import Plan, TablePlan
from onebutton_contracts.errors import InputError
from onebutton_contracts.frames import polars_schema
from onebutton_contracts.rules import without_broken
from onebutton_contracts.terms import Contract

ROUNDS = 8  # of drawing more where rows broke a rule or a key repeated


def generate(
    plan: Plan, described: Mapping[str, Description], contracts: Mapping[str, Contract], rows: int
) -> dict[str, pl.DataFrame]:
    """Draw every table of a plan.

    Args:
        plan: what is resembled.
        described: what is told of each table.
        contracts: of each table; what breaks a rule about rows is drawn again.
        rows: of each table that is no series.

    Raises:
        InputError: the description does not fit the plan, or its rows do not keep the contracts.
    """
    chance = np.random.Generator(np.random.PCG64(plan.seed))
    tables: dict[str, pl.DataFrame] = {}
    try:
        for name in plan.tables:
            tables[name] = _table(name, plan, described[name], contracts, tables, rows, chance)
    except (LookupError, ValueError, pl.exceptions.PolarsError) as error:
        reason = str(error).splitlines()[0]
        message = f"the description does not fit dummy.yaml: {reason}. Who has access fits it again: `make run DATA=dummy FIT=1`"
        raise InputError(message) from None
    return tables


def _table(  # noqa: PLR0913, PLR0917  one table beside those that it is joined to
    name: str,
    plan: Plan,
    told: Description,
    contracts: Mapping[str, Contract],
    tables: Mapping[str, pl.DataFrame],
    rows: int,
    chance: np.random.Generator,
) -> pl.DataFrame:
    """Draw until enough rows keep the contract; of a series once."""
    table, contract = plan.tables[name], contracts[name]
    kept = pl.DataFrame(schema=polars_schema(contract.columns))
    for _ in range(ROUNDS):
        missing = int((rows - kept.height) * 1.05) + 10
        laid = _every_hour(table, told) if table.series else _some_hours(table, told, missing, chance)
        drawn = _draw(join_parent(laid, table, plan, tables, contracts), table, plan, told, chance)
        found = pl.concat([kept, _finish(drawn, table, told, contract)])
        kept = found.unique(contract.primary_key or None, keep="first", maintain_order=True)
        if table.series or kept.height >= rows:
            return (kept if table.series else kept.head(rows)).sort(table.calendar.instant, *contract.primary_key)
    message = (
        f"only {kept.height:,} of {rows:,} rows of {name} keep {contract.path}: ask for fewer, or look at dummy.yaml"
    )
    raise InputError(message)


def _every_hour(table: TablePlan, told: Description) -> pl.DataFrame:
    """Lay out one row for each hour and what rows of this table are."""
    first, end = date.fromisoformat(told.first), date.fromisoformat(told.last) + timedelta(days=1)
    local = pl.datetime_range(first, end, "1h", closed="left", time_zone=table.calendar.zone, eager=True)
    return _laid(pl.DataFrame({KIND: told.levels[KIND]}).join(local.to_frame("local"), how="cross"), table)


def _some_hours(table: TablePlan, told: Description, rows: int, chance: np.random.Generator) -> pl.DataFrame:
    """Draw what rows are, with the month, weekday and hour of each; then one of the days that have them."""
    places = told.answers.draw(CLOCK, {}, chance.standard_normal((rows, len(CLOCK))))
    drawn = {name: [told.levels[name][int(place)] for place in places[name]] for name in CLOCK}
    first, last = date.fromisoformat(told.first), date.fromisoformat(told.last)
    days: dict[tuple[str, str], list[date]] = {}
    for day in (first + timedelta(days=at) for at in range((last - first).days + 1)):
        days.setdefault((str(day.month), str(day.isoweekday())), []).append(day)
    fitting = [days.get(pair, [first]) for pair in zip(drawn["month"], drawn["weekday"], strict=True)]
    picked = [some[int(pick * len(some))] for some, pick in zip(fitting, chance.random(rows), strict=True)]
    frame = pl.DataFrame({KIND: drawn[KIND], "day": picked, "hour": drawn["hour"]})
    local = pl.col("day").cast(pl.Datetime("us")) + pl.duration(hours=pl.col("hour").cast(pl.Int64))
    zoned = local.dt.replace_time_zone(table.calendar.zone, ambiguous="earliest", non_existent="null")
    return _laid(frame.select(KIND, local=zoned).drop_nulls("local"), table)


def _laid(frame: pl.DataFrame, table: TablePlan) -> pl.DataFrame:
    """Add what follows from a row's kind and local hour."""
    local, split = pl.col("local"), pl.col(KIND).str.split(SEPARATOR).list
    return frame.select(
        KIND,
        "local",
        local.dt.convert_time_zone("UTC").alias("instant"),
        *(split.get(at).alias(name) for at, name in enumerate(table.categories)),
        *clock(local),
    )


def _draw(
    laid: pl.DataFrame, table: TablePlan, plan: Plan, told: Description, chance: np.random.Generator
) -> pl.DataFrame:
    """Draw the answer of each row, then its numbers for that answer."""
    places = told.answers.draw(
        [ANSWER], numbers(laid, table, plan, told.levels), chance.standard_normal((laid.height, 1))
    )
    answers = pl.Series(ANSWER, [told.levels[ANSWER][int(place)] for place in places[ANSWER]])
    parts = []
    for answer, part in laid.with_columns(answers).with_row_index("row").group_by(ANSWER, maintain_order=True):
        noise = chance.standard_normal((part.height, len(table.modelled)))
        drawn = told.copulas[str(answer[0])].draw(list(table.modelled), numbers(part, table, plan, told.levels), noise)
        parts.append(part.with_columns(pl.Series(name, one) for name, one in drawn.items()))
    # In the old order: what is too many is cut off at the end, and must not be one answer.
    return pl.concat(parts).sort("row")


def _finish(laid: pl.DataFrame, table: TablePlan, told: Description, contract: Contract) -> pl.DataFrame:
    """Add what follows from what was drawn, and keep the rows that keep the contract."""
    local = pl.col("local").dt
    parts = {"year": local.year(), "month": local.month(), "day": local.day(), "hour": local.hour()}
    laid = laid.fill_nan(None).with_columns(
        pl.col("instant").alias(table.calendar.instant),
        *(
            pl.col(KIND).replace_strict(by_kind, return_dtype=pl.Float64).alias(name)
            for name, by_kind in told.lookups.items()
        ),
        *(parts[part].cast(pl.Int64).alias(name) for name, part in table.calendar.parts.items()),
    )
    for name, sql in table.derived.items():
        laid = laid.with_columns(pl.sql_expr(sql).alias(name))
    rows = laid.select(contract.column_names).cast(polars_schema(contract.columns))  # type: ignore[arg-type]
    return without_broken(rows, contract)
