"""Fit a description of tables that may leave a secure place: spreads and correlations of many rows, and no row.

Nothing that fewer than `ENOUGH` rows share is told: categories, hours and months rarer than that are folded into
the others.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl

from onebutton_contracts.dummy.copula import Copula, copula_of, fit_copula
from onebutton_contracts.dummy.marginals import ENOUGH, Floats
from onebutton_contracts.dummy.orders import Order, fit_order, order_of
from onebutton_contracts.dummy.plan import Plan, TablePlan
from onebutton_contracts.errors import InputError
from onebutton_contracts.terms import Contract

FORMAT = 1
SMALL = 1000  # rows: a smaller group is described by the copula of all
RARE = 100  # rows: the same of an answer, which others describe badly
ALL = "*"
CLOCK = ("month", "weekday", "hour")
SEPARATOR = "|"
TARGET = "the target"  # 0 or 1, null where it is not known
ANSWER = "the answer"  # the same, 2 where it is not known: a flight that never came is later than late


@dataclass(frozen=True)
class Description:
    """What is told of one table; made of numbers and names that many rows share.

    Attributes:
        rows: how many the real table has.
        first: its first day, in ISO 8601.
        last: its last day.
        combinations: the categories that occur together, joined by `|`, and their shares.
        clock: of each group the shares of months 1 to 12, weekdays 1 to 7 and hours 0 to 23.
        orders: by what number the values of each column are ordered that the drawn ones depend on.
        lookups: number -> categories joined by `|` -> value.
        targets: of each group, what draws the target.
        copulas: of each answer of the target, what draws the numbers; of a series, of each category and month.
        memory: of a series, how much of each column's score an hour keeps of the one before.
    """

    rows: int
    first: str
    last: str
    combinations: dict[str, float]
    clock: dict[str, dict[str, list[float]]]
    orders: dict[str, Order]
    lookups: dict[str, dict[str, float]]
    targets: dict[str, Copula]
    copulas: dict[str, Copula]
    memory: dict[str, float]


def describe(plan: Plan, tables: dict[str, pl.DataFrame], contracts: dict[str, Contract]) -> dict[str, Description]:
    """Fit every table of a plan.

    Args:
        plan: what is worth resembling.
        tables: the real ones, by name.
        contracts: theirs.

    Raises:
        InputError: the plan names a column that is not there.
    """
    try:
        return {
            name: (_series if table.series else _rows)(
                table, prepare(table, tables[name], plan, tables, contracts), plan
            )
            for name, table in plan.tables.items()
        }
    except pl.exceptions.PolarsError as error:
        message = f"dummy.yaml does not fit the tables: {str(error).splitlines()[0]}"
        raise InputError(message) from None


def prepare(
    table: TablePlan, frame: pl.DataFrame, plan: Plan, tables: dict[str, pl.DataFrame], contracts: dict[str, Contract]
) -> pl.DataFrame:
    """Lay out what is modelled: local clock, categories, modelled numbers, lookups, and those of the parent's that are joined."""
    instant = pl.col(table.calendar.instant)
    local = instant.dt.convert_time_zone(table.calendar.zone)
    numbers = [pl.sql_expr(sql).cast(pl.Float64).alias(name) for name, sql in table.modelled.items()]
    laid = frame.select(
        instant.alias("instant"),
        local.dt.date().alias("date"),
        local.dt.month().cast(pl.Float64).alias("month"),
        local.dt.weekday().cast(pl.Float64).alias("weekday"),
        local.dt.hour().cast(pl.Float64).alias("hour"),
        *table.categories,
        *(pl.col(name).cast(pl.Float64) for name in table.lookups if name not in table.modelled),
        *numbers,
        (pl.sql_expr(table.target) if table.target else pl.lit(None)).cast(pl.Float64).alias(TARGET),
    ).with_columns(pl.col(TARGET).fill_null(2.0).alias(ANSWER))
    return join_parent(laid, table, plan, tables, contracts)


def join_parent(
    laid: pl.DataFrame, table: TablePlan, plan: Plan, tables: dict[str, pl.DataFrame], contracts: dict[str, Contract]
) -> pl.DataFrame:
    """Add what the parent says of the same key, its columns named `parent.column`."""
    if not table.parent:
        return laid
    parent = plan.tables[table.parent]
    numbers = [
        pl.sql_expr(sql).cast(pl.Float64).alias(f"{table.parent}.{name}") for name, sql in parent.modelled.items()
    ]
    key = [name for name in contracts[table.parent].primary_key if name != parent.calendar.instant]
    then = pl.col(parent.calendar.instant).dt.offset_by(f"{table.parent_hours_before}h")
    beside = tables[table.parent].select(then.alias("instant"), *key, *numbers)
    return laid.join(beside, on=["instant", *key], how="left", maintain_order="left")


def given_names(table: TablePlan, plan: Plan) -> tuple[str, ...]:
    """Name what a row's numbers are drawn given; each by its order in the target."""
    parent = [f"{table.parent}.{name}" for name in plan.tables[table.parent].modelled] if table.parent else []
    return (*CLOCK, *table.categories, *parent)


def ordered(laid: pl.DataFrame, orders: dict[str, Order]) -> pl.DataFrame:
    """Add the order of each column as `column order`."""
    return laid.with_columns(order.of(name).alias(f"{name} order") for name, order in orders.items())


def numbers(frame: pl.DataFrame) -> dict[str, Floats]:
    """Take the columns of numbers, a null as NaN."""
    kinds = frame.select(pl.col(pl.Float64))
    return {name: kinds[name].fill_null(float("nan")).to_numpy() for name in kinds.columns}


def joined(names: list[str]) -> pl.Expr:
    """Join categories to one text."""
    return pl.concat_str(names, separator=SEPARATOR) if names else pl.lit(ALL)


def _rows(table: TablePlan, laid: pl.DataFrame, plan: Plan) -> Description:
    combinations = _shares(laid.select(joined(table.categories)).to_series())
    laid = laid.filter(joined(table.categories).is_in(list(combinations)))
    orders = {name: fit_order(laid, name, TARGET) for name in given_names(table, plan)}
    laid = ordered(laid, orders)
    given = (*(f"{name} order" for name in orders), *table.lookups)
    groups = {ALL: laid} | _parts(laid, joined(table.group))
    answers = {ALL: laid} | _parts(laid, answer(), RARE)
    clocks = {ALL: laid} | _parts(laid, joined(table.categories[:1]))
    return Description(
        rows=laid.height,
        first=str(laid["date"].min()),
        last=str(laid["date"].max()),
        combinations=combinations,
        clock={name: _clock(part) for name, part in clocks.items()},
        orders=orders,
        lookups={name: _lookup(laid, name, by) for name, by in table.lookups.items()},
        targets={name: fit_copula(numbers(part), given, (ANSWER,)) for name, part in groups.items()},
        copulas={name: fit_copula(numbers(part), given, tuple(table.modelled)) for name, part in answers.items()},
        memory={},
    )


def answer() -> pl.Expr:
    """Name the answer of a row: 0, 1, or 2 where it is not known."""
    return pl.col(ANSWER).cast(pl.Int64).cast(pl.String)


def _parts(laid: pl.DataFrame, by: pl.Expr, least: int = SMALL) -> dict[str, pl.DataFrame]:
    """Part rows, and keep the parts that are large enough to describe."""
    large = {str(name[0]): part for name, part in laid.group_by(by.alias("part")) if part.height >= least}
    return dict(sorted(large.items()))


def _series(table: TablePlan, laid: pl.DataFrame, _plan: Plan) -> Description:
    drawn = tuple(table.modelled)
    combinations = _shares(laid.select(joined(table.categories)).to_series())
    copulas, memory = {}, []
    for key in sorted(combinations):
        whole = laid.filter(joined(table.categories) == key).sort("instant")
        for month in sorted(whole["month"].unique().to_list()):
            part = numbers(whole.filter(pl.col("month") == month))
            copula = fit_copula(part, (), drawn)
            copulas[f"{key}{SEPARATOR}{month:.0f}"] = copula
            scores = copula.scores(part, drawn)
            spread = np.maximum(scores.var(axis=0), 1e-9)
            centred = scores - scores.mean(axis=0)
            memory.append((centred[1:] * centred[:-1]).mean(axis=0) / spread)
    kept = np.clip(np.mean(memory, axis=0), 0, 0.99)
    return Description(
        rows=laid.height,
        first=str(laid["date"].min()),
        last=str(laid["date"].max()),
        combinations=combinations,
        clock={},
        orders={},
        lookups={},
        targets={},
        copulas=copulas,
        memory={name: round(float(value), 3) for name, value in zip(drawn, kept, strict=True)},
    )


def _shares(values: pl.Series) -> dict[str, float]:
    """Count what occurs often enough; the rest is folded into it in proportion."""
    counts = values.value_counts(name="count").filter(pl.col("count") >= ENOUGH).sort(values.name)
    total = counts["count"].sum()
    return {str(name): round(count / total, 6) for name, count in counts.iter_rows()}


def _lookup(laid: pl.DataFrame, name: str, by: list[str]) -> dict[str, float]:
    found = laid.group_by(joined(by).alias("key")).agg(pl.col(name).median()).sort("key")
    return {str(key): float(value) for key, value in found.iter_rows()}


def _clock(laid: pl.DataFrame) -> dict[str, list[float]]:
    """Count rows by month, weekday and hour; what is too rare counts as none."""
    told = {}
    for name, values in (("month", range(1, 13)), ("weekday", range(1, 8)), ("hour", range(24))):
        counts = dict(laid[name].value_counts().iter_rows())
        common = [counts.get(value, 0) if counts.get(value, 0) >= ENOUGH else 0 for value in values]
        told[name] = [round(count / max(sum(common), 1), 5) for count in common]
    return told


def write_description(described: dict[str, Description], path: Path) -> None:
    """Write a description as JSON, whole or not at all."""
    tables = {
        name: {
            **{key: value for key, value in vars(one).items() if key not in {"targets", "copulas", "orders"}},
            "targets": {group: copula.as_json() for group, copula in one.targets.items()},
            "orders": {column: order.as_json() for column, order in one.orders.items()},
            "copulas": {group: copula.as_json() for group, copula in one.copulas.items()},
        }
        for name, one in described.items()
    }
    draft = path.with_name(f"{path.name}.draft")
    draft.write_text(json.dumps({"format": FORMAT, "tables": tables}, separators=(",", ":")) + "\n", encoding="utf-8")
    draft.replace(path)


def read_description(path: Path) -> dict[str, Description]:
    """Read what `write_description` wrote.

    Raises:
        InputError: it is missing, or no such description.
    """
    try:
        content: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
        if content.get("format") != FORMAT:
            message = f"{path} has format {content.get('format')}, known is {FORMAT}. Fit it again"
            raise InputError(message)
        return {name: _description(one) for name, one in content["tables"].items()}
    except FileNotFoundError:
        message = (
            f"{path} is not here: who has access to the data fits it with `make run DATA=dummy FIT=1` and commits it"
        )
    except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
        message = f"{path} is no description of tables: {error}"
    raise InputError(message)


def _description(told: dict[str, Any]) -> Description:
    copulas = {part: {name: copula_of(item) for name, item in told[part].items()} for part in ("targets", "copulas")}
    orders = {column: order_of(item) for column, item in told["orders"].items()}
    return Description(**{**told, **copulas, "orders": orders})
