"""Draw tables from a description: the same seed, the same rows."""

from __future__ import annotations

from datetime import date, timedelta

import numpy as np
import polars as pl

from onebutton_contracts.dummy.copula import Copula, root
from onebutton_contracts.dummy.description import (
    ALL,
    CLOCK,
    SEPARATOR,
    Description,
    answer,
    join_parent,
    joined,
    numbers,
    ordered,
)
from onebutton_contracts.dummy.marginals import Floats
from onebutton_contracts.dummy.plan import Plan, TablePlan
from onebutton_contracts.errors import InputError
from onebutton_contracts.frames import polars_schema
from onebutton_contracts.rules import row_rules
from onebutton_contracts.terms import Contract

ROUNDS = 8  # of drawing more where rows broke a rule or a key repeated


def generate(
    plan: Plan, described: dict[str, Description], contracts: dict[str, Contract], rows: int
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
        for name, table in plan.tables.items():
            if table.series:
                tables[name] = _finish(_draw_series(table, described[name], chance), table, contracts[name])
            else:
                tables[name] = _draw_rows(name, plan, described[name], contracts, tables, rows, chance)
    except (KeyError, pl.exceptions.PolarsError) as error:
        reason = str(error).splitlines()[0]
        message = f"the description does not fit dummy.yaml: {reason}. Who has access fits it again: `make run DATA=dummy FIT=1`"
        raise InputError(message) from None
    return tables


def _draw_series(table: TablePlan, told: Description, chance: np.random.Generator) -> pl.DataFrame:
    """Draw every hour of every category, each hour's scores a step away from those of the hour before: a VAR(1) process."""
    first, last = (_midnight(day, table.calendar.zone) for day in (told.first, told.last))
    hours = pl.datetime_range(first, last + timedelta(hours=23), "1h", time_zone=None, eager=True)
    instants = hours.dt.replace_time_zone("UTC")
    months = instants.dt.convert_time_zone(table.calendar.zone).dt.month().to_numpy()
    parts = []
    for key in told.combinations:
        drawn = _draw_hours(
            {month: told.copulas[f"{key}{SEPARATOR}{month}"] for month in np.unique(months)}, months, told, chance
        )
        categories = dict(zip(table.categories, key.split(SEPARATOR), strict=True))
        parts.append(
            pl.DataFrame({"instant": instants, **drawn}).with_columns(
                pl.lit(value).alias(name) for name, value in categories.items()
            )
        )
    return pl.concat(parts)


def _midnight(day: str, zone: str) -> date:
    local = pl.Series([f"{day}T00:00:00"]).str.to_datetime().dt.replace_time_zone(zone)
    return local.dt.convert_time_zone("UTC").dt.replace_time_zone(None).item()  # type: ignore[no-any-return]


def _draw_hours(
    copulas: dict[int, Copula], months: np.ndarray, told: Description, chance: np.random.Generator
) -> dict[str, Floats]:
    names = next(iter(copulas.values())).drawn
    memory = np.array([told.memory[name] for name in names])
    new = 1 - np.outer(memory, memory)
    shocks = {month: root(copula.covariance * new, np.diag(new)) for month, copula in copulas.items()}
    noise = chance.standard_normal((len(months), len(names)))
    scores = np.empty_like(noise)
    score = root(copulas[months[0]].covariance, np.ones(len(names))) @ noise[0]
    for at, month in enumerate(months):
        score = memory * score + shocks[month] @ noise[at]
        scores[at] = score
    values = {name: np.empty(len(months)) for name in names}
    for month, copula in copulas.items():
        here = months == month
        for name, drawn in copula.values(scores[here]).items():
            values[name][here] = drawn
    return values


def _draw_rows(  # noqa: PLR0913, PLR0917  one table beside those that it is joined to
    name: str,
    plan: Plan,
    told: Description,
    contracts: dict[str, Contract],
    tables: dict[str, pl.DataFrame],
    rows: int,
    chance: np.random.Generator,
) -> pl.DataFrame:
    """Draw until enough rows keep the contract."""
    table, contract = plan.tables[name], contracts[name]
    kept = pl.DataFrame(schema=polars_schema(contract.columns))
    for _ in range(ROUNDS):
        missing = rows - kept.height
        laid = _lay_out(table, told, int(missing * 1.05) + 10, chance)
        laid = join_parent(laid, table, plan, tables, contracts)
        laid = ordered(laid, told.orders)
        drawn = _finish(_draw_groups(laid, table, told, chance), table, contract)
        kept = (
            pl.concat([kept, drawn]).unique(contract.primary_key or None, keep="first", maintain_order=True).head(rows)
        )
        if kept.height == rows:
            return kept.sort(table.calendar.instant, *contract.primary_key)
    message = (
        f"only {kept.height:,} of {rows:,} rows of {name} keep {contract.path}: ask for fewer, or look at dummy.yaml"
    )
    raise InputError(message)


def _lay_out(table: TablePlan, told: Description, rows: int, chance: np.random.Generator) -> pl.DataFrame:
    """Draw categories as often as they occur together, and for each group the hours at which it is busy."""
    names = list(told.combinations)
    shares = np.array(list(told.combinations.values()))
    drawn = pl.Series("key", [names[at] for at in chance.choice(len(names), rows, p=shares / shares.sum())])
    split = drawn.str.split(SEPARATOR).list.to_struct(fields=table.categories).struct.unnest()
    laid = split
    group = laid[table.categories[0]].to_list() if table.categories else [ALL] * rows
    clock: dict[str, Floats] = {part: np.empty(rows) for part in CLOCK}
    for one in sorted(set(group)):
        here = np.flatnonzero(np.array(group) == one)
        shares_of = told.clock.get(one, told.clock[ALL])
        for part, start in (("month", 1), ("weekday", 1), ("hour", 0)):
            weights = np.array(shares_of[part])
            clock[part][here] = chance.choice(len(weights), len(here), p=weights / weights.sum()) + start
    days = _days(clock["month"], clock["weekday"], told, chance)
    local = pl.Series("date", days).cast(pl.Datetime("us")) + pl.Series(
        clock["hour"].astype("int64") * 3_600_000_000
    ).cast(pl.Duration("us"))
    instant = local.dt.replace_time_zone(table.calendar.zone, ambiguous="earliest", non_existent="null")
    laid = laid.with_columns(
        instant.dt.convert_time_zone("UTC").alias("instant"), **{n: pl.Series(v) for n, v in clock.items()}
    )
    looked = [
        joined(by).replace_strict(told.lookups[n], return_dtype=pl.Float64).alias(n) for n, by in table.lookups.items()
    ]
    return laid.with_columns(looked).drop_nulls("instant")


def _days(months: Floats, weekdays: Floats, told: Description, chance: np.random.Generator) -> list[date]:
    """Pick for each row one of the days of its month and weekday; a day of the month where there is none."""
    first, last = date.fromisoformat(told.first), date.fromisoformat(told.last)
    days = [first + timedelta(days=at) for at in range((last - first).days + 1)]
    by_month: dict[tuple[int, int], list[date]] = {}
    for day in days:
        by_month.setdefault((day.month, day.isoweekday()), []).append(day)
        by_month.setdefault((day.month, 0), []).append(day)
    picks = chance.random(len(months))
    found = []
    for month, weekday, pick in zip(months, weekdays, picks, strict=True):
        fitting = by_month.get((int(month), int(weekday))) or by_month.get((int(month), 0)) or days
        found.append(fitting[int(pick * len(fitting))])
    return found


def _draw_groups(laid: pl.DataFrame, table: TablePlan, told: Description, chance: np.random.Generator) -> pl.DataFrame:
    """Draw the target of each group, then the numbers of each answer."""
    laid = _draw_parts(laid, joined(table.group), told.targets, chance)
    return _draw_parts(laid, answer(), told.copulas, chance)


def _draw_parts(
    laid: pl.DataFrame, by: pl.Expr, copulas: dict[str, Copula], chance: np.random.Generator
) -> pl.DataFrame:
    parts = []
    for (one,), part in laid.with_row_index("row").group_by(by.alias("part"), maintain_order=True):
        copula = copulas.get(str(one), copulas[ALL])
        drawn = copula.draw(numbers(part), part.height, chance)
        parts.append(part.with_columns(pl.Series(name, values) for name, values in drawn.items()))
    # In the old order: what is too many is cut off at the end, and must not be one answer or one month.
    return pl.concat(parts).sort("row").drop("row")


def _finish(laid: pl.DataFrame, table: TablePlan, contract: Contract) -> pl.DataFrame:
    """Add what follows from what was drawn, and keep the rows that keep the contract."""
    local = pl.col("instant").dt.convert_time_zone(table.calendar.zone)
    parts = {"year": local.dt.year(), "month": local.dt.month(), "day": local.dt.day(), "hour": local.dt.hour()}
    laid = laid.fill_nan(None).with_columns(
        pl.col("instant").alias(table.calendar.instant),
        *(parts[part].cast(pl.Int64).alias(name) for name, part in table.calendar.parts.items()),
    )
    for name, sql in table.derived.items():
        laid = laid.with_columns(pl.sql_expr(sql).alias(name))
    rows = laid.select(contract.column_names).cast(polars_schema(contract.columns))  # type: ignore[arg-type]
    for rule in row_rules(contract):
        if rule.name not in {"primary key", "unique"}:
            rows = rows.filter(~rule.broken.fill_null(value=False))
    return rows
