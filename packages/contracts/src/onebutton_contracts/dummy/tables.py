"""Describe tables by what many of their rows share, and draw tables from a description: the same seed, the same rows.

`dummy.yaml` says which tables of a pipeline have dummy data, and what of them is worth resembling.

A description may leave a secure place: nothing that fewer than `ENOUGH` rows share is told, and rarer categories, hours and
months are left out.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import date, timedelta
from pathlib import Path

import numpy as np
import polars as pl
from pydantic import Field, TypeAdapter, ValidationError

from onebutton_contracts.contract import load_contract
from onebutton_contracts.dummy.copula import ENOUGH, Copula, Floats, fit_copula
from onebutton_contracts.errors import InputError, require
from onebutton_contracts.frames import polars_schema
from onebutton_contracts.parameters import Parameters
from onebutton_contracts.terms import Contract
from onebutton_contracts.validation import without_broken

KIND, SEPARATOR = "local_kind", "|"  # a row's categories as one text
LOCAL = pl.col("local").dt
CLOCK = {
    "local_month": LOCAL.month().cast(pl.String),
    "local_weekday": LOCAL.weekday().cast(pl.String),
    "local_hour": LOCAL.hour().cast(pl.String),
}
ANSWER, PARENT = "answer", "parent."
AGAIN = "who has access to the data fits it with `make run DATA=dummy FIT=1` and commits it"


class TablePlan(Parameters):
    """One table."""

    file: str  # the real table, relative to the pipeline
    contract: str  # of the table, relative to the pipeline
    instant: str  # the timestamp of a row, on the hour
    zone: str  # where the hours, weekdays and months are those of people
    categories: list[str]  # columns that are drawn together, as often as they occur together; numbers become text
    modelled: dict[str, str]  # numbers to resemble -> how they are read off the real table, in SQL
    series: bool = False  # whether it has one row for each category and hour
    # The table, above this one, that it is joined to by that table's primary key; its values, so many hours before a row, shape
    # those of this one.
    parent: str = ""
    parent_hours_before: int = 0
    # What the rows are for, in SQL, true or false; categories and times are ranked by how often it is true.
    target: str = ""
    # Columns of the table -> how they follow from what is above and from `local`, the time in the zone; in SQL, in this order.
    derived: dict[str, str] = Field(default_factory=dict)


class Plan(Parameters):
    """The whole file."""

    replaces: str  # the stage that takes the real tables in
    seed: int  # the same seed, the same rows
    tables: dict[str, TablePlan]

    def contracts(self, folder: Path) -> dict[str, Contract]:
        """Read the contract of every table of a pipeline."""
        return {name: load_contract(folder / table.contract) for name, table in self.tables.items()}


@dataclass(frozen=True)
class Description:
    """What is told of one table; made of numbers and names that many rows share."""

    first: date  # its first day
    last: date
    levels: dict[str, list[str]]  # what a row can be and when; the copulas know the places in these lists
    answers: Copula  # the levels, the parent's numbers, and the target: 0, 1, or 2 where it is not known
    copulas: dict[int, Copula]  # of the rows of each answer, the same with the numbers to draw in place of the target


STORED = TypeAdapter(dict[str, Description])


def describe(
    plan: Plan, tables: Mapping[str, pl.DataFrame], contracts: Mapping[str, Contract]
) -> dict[str, Description]:
    """Fit every table of a plan: what is worth resembling, the real tables and their contracts, by name.

    Raises:
        InputError: the plan names a table or a column that is not there.
    """
    try:
        beside = {name: _beside(table, plan, tables, contracts) for name, table in plan.tables.items()}
        return {name: _describe(table, tables[name], beside[name]) for name, table in plan.tables.items()}
    except (LookupError, pl.exceptions.PolarsError) as error:
        raise InputError(f"dummy.yaml does not fit the tables: {str(error).splitlines()[0]}") from None


def _describe(table: TablePlan, rows: pl.DataFrame, beside: pl.DataFrame) -> Description:
    target = pl.sql_expr(table.target or "NULL").cast(pl.Float64)
    rows = rows.with_columns(
        pl.concat_str(table.categories, separator=SEPARATOR).alias(KIND),
        pl.col(table.instant).dt.convert_time_zone(table.zone).alias("local"),
        target.fill_null(2).alias(ANSWER),
        (target if table.target else _modelled(table)[0]).alias("rank"),
    )
    rows = rows.with_columns(**CLOCK)
    levels = {level: _levels(rows, level) for level in (KIND, *CLOCK)}
    rows = rows.filter(pl.all_horizontal(pl.col(level).is_in(known) for level, known in levels.items()))
    known, answers = _known(rows, levels, beside), rows[ANSWER].to_numpy()
    answer_copula = fit_copula(known | {ANSWER: answers})
    columns, days = known | _numbers(rows.select(_modelled(table))), rows["local"].dt.date().sort()
    copulas = {
        int(answer): fit_copula({name: column[answers == answer] for name, column in columns.items()})
        for answer in answer_copula.spreads[ANSWER].values
    }
    return Description(days[0], days[-1], levels, answer_copula, copulas)


def _levels(rows: pl.DataFrame, level: str) -> list[str]:
    """List what enough rows share, by the mean of what ranks it."""
    means = rows.drop_nulls(level).group_by(level).agg(pl.len().alias("rows"), pl.col("rank").mean())
    return means.filter(pl.col("rows") >= ENOUGH).sort("rank", level, nulls_last=True)[level].to_list()


def _modelled(table: TablePlan) -> list[pl.Expr]:
    return [pl.sql_expr(sql).cast(pl.Float64).alias(name) for name, sql in table.modelled.items()]


def _beside(
    table: TablePlan, plan: Plan, tables: Mapping[str, pl.DataFrame], contracts: Mapping[str, Contract]
) -> pl.DataFrame:
    """Read the parent's numbers, under `PARENT` names, beside the columns of a row that they are joined to."""
    if not table.parent:
        return pl.DataFrame()
    parent = plan.tables[table.parent]
    key = [name for name in contracts[table.parent].primary_key if name != parent.instant]
    then = pl.col(parent.instant).dt.offset_by(f"{table.parent_hours_before}h").alias(table.instant)
    return tables[table.parent].select(then, *key, *(number.name.prefix(PARENT) for number in _modelled(parent)))


def _known(rows: pl.DataFrame, levels: Mapping[str, list[str]], beside: pl.DataFrame) -> dict[str, Floats]:
    """Take what is known of rows before their numbers are drawn: their places in the levels, and the parent's numbers."""
    places = rows.select(
        pl.col(level).replace_strict(known, range(len(known)), default=None, return_dtype=pl.Float64)
        for level, known in levels.items()
    )
    if not beside.width:
        return _numbers(places)
    on = [name for name in beside.columns if not name.startswith(PARENT)]
    return _numbers(places) | _numbers(rows.select(on).join(beside, on, how="left", maintain_order="left").drop(on))


def _numbers(frame: pl.DataFrame) -> dict[str, Floats]:
    return {series.name: series.fill_null(float("nan")).to_numpy() for series in frame}


def generate(
    plan: Plan, described: Mapping[str, Description], contracts: Mapping[str, Contract], rows: int
) -> dict[str, pl.DataFrame]:
    """Draw every table of a plan, of so many rows where it is no series; more are drawn, as some break a rule about rows.

    Raises:
        InputError: the description does not fit the plan, or its rows do not keep the contracts.
    """
    chance = np.random.default_rng(plan.seed)
    tables: dict[str, pl.DataFrame] = {}
    try:
        for name, table in plan.tables.items():
            contract, told = contracts[name], described[name]
            laid = _laid(table, told, 2 * rows + 10, chance)
            drawn = _numbered(table, told, laid, _beside(table, plan, tables, contracts), chance)
            kept = _finish(drawn, table, contract)
            words = f"only {kept.height:,} of {rows:,} rows of {name} keep {contract.path}: see dummy.yaml"
            require(table.series or kept.height >= rows, words)
            tables[name] = (kept if table.series else kept.head(rows)).sort(table.instant, *contract.primary_key)
    except (LookupError, ValueError, pl.exceptions.PolarsError) as error:
        raise InputError(f"the description does not fit dummy.yaml: {str(error).splitlines()[0]}; {AGAIN}") from None
    return tables


def _laid(table: TablePlan, told: Description, rows: int, chance: np.random.Generator) -> pl.DataFrame:
    """Lay out a row of a series for each hour and what rows are; else draw what they are and when, each on any of the days."""
    days = (told.last - told.first).days + 1
    if table.series:
        end = told.first + timedelta(days=days)
        local = pl.datetime_range(told.first, end, "1h", closed="left", time_zone=table.zone, eager=True)
        drawn = pl.DataFrame({KIND: told.levels[KIND]}).join(local.to_frame("local"), how="cross")
    else:
        places = told.answers.draw([KIND, "local_hour"], {}, rows, chance)
        kinds, hours = (np.array(told.levels[name])[place.astype(int)] for name, place in places.items())
        drawn = pl.DataFrame({KIND: kinds, "day": chance.integers(0, days, rows), "hour": hours.astype(int)})
        local_hour = pl.lit(told.first).cast(pl.Datetime("us")) + pl.duration(days="day", hours="hour")
        zoned = local_hour.dt.replace_time_zone(table.zone, ambiguous="earliest", non_existent="null")
        drawn = drawn.select(KIND, local=zoned).drop_nulls("local")
    split = pl.col(KIND).str.split(SEPARATOR).list
    categories = [split.get(at).alias(name) for at, name in enumerate(table.categories)]
    return drawn.with_columns(*categories, pl.col("local").dt.convert_time_zone("UTC").alias(table.instant), **CLOCK)


def _numbered(
    table: TablePlan, told: Description, laid: pl.DataFrame, beside: pl.DataFrame, chance: np.random.Generator
) -> pl.DataFrame:
    """Draw the answer of each row, then its numbers for that answer."""
    known = _known(laid, told.levels, beside)
    answers = told.answers.draw([ANSWER], known, laid.height, chance)[ANSWER]
    numbers = {name: np.empty(laid.height) for name in table.modelled}
    for answer, copula in told.copulas.items():
        those = answers == answer
        given = {name: column[those] for name, column in known.items()}
        for name, column in copula.draw(list(numbers), given, int(those.sum()), chance).items():
            numbers[name][those] = column
    return laid.with_columns(pl.Series(*one) for one in numbers.items()).fill_nan(None)


def _finish(rows: pl.DataFrame, table: TablePlan, contract: Contract) -> pl.DataFrame:
    """Add what follows from what was drawn, and keep the rows that keep the contract, the first of each key."""
    for name, sql in table.derived.items():
        rows = rows.with_columns(pl.sql_expr(sql).alias(name))
        rows = rows.cast({pl.selectors.integer(): pl.Int64})  # SQL's parts of a time are so small that they overflow
    rows = rows.select(contract.column_names).cast(polars_schema(contract.columns))  # type: ignore[arg-type]
    return without_broken(rows, contract).unique(contract.primary_key or None, keep="first", maintain_order=True)


def write_description(described: Mapping[str, Description], path: Path) -> None:
    """Write a description as JSON."""
    path.write_bytes(STORED.dump_json(dict(described)) + b"\n")


def read_description(path: Path) -> dict[str, Description]:
    """Read what `write_description` wrote.

    Raises:
        InputError: it is missing, or no such description.
    """
    try:
        return STORED.validate_json(path.read_bytes())
    except (OSError, ValidationError) as error:
        raise InputError(f"{path} cannot be read ({' '.join(str(error).split())[:100]}): {AGAIN}") from None
