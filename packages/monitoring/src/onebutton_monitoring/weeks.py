"""The table of weeks, by slice: volume, labels, what wrong calls cost, calibration, and whether answers follow predictions.

A number is a struct of its `estimate`, its standard `error`, and the ends `low` and `high` of its 95 % interval; days count as
one observation each. Null is what labels are too few for.
"""

from __future__ import annotations

from collections.abc import Mapping

import polars as pl

from onebutton_evaluation.intervals import student
from onebutton_evaluation.wording import with_interval
from onebutton_monitoring.joining import DAY, SLICE, SUMS, WEEK, week_of

ALIKE = 1e-9  # predictions that vary less can be followed by nothing


def measure(days: pl.DataFrame, *by: str) -> pl.DataFrame:
    """Measure days of each slice, rows of `Joined.days`, together, or by another column as well.

    Returns:
        `rows`, `labelled`, how many `days` have labels, and the numbers `cost` of a row, `gap` (predicted minus observed) and
        `slope` of answers on predictions.
    """
    count = pl.col("labelled")
    predicted, answered, both, squared, cost = map(pl.col, SUMS)
    middle, share = predicted.sum() / count.sum(), answered.sum() / count.sum()
    spread = squared - 2 * middle * predicted + count * middle**2
    together = both - middle * answered - share * predicted + count * middle * share
    numbers = {
        "cost": _ratio(cost, count),
        "gap": _ratio(predicted - answered, count),
        "slope": _ratio(together, spread),
    }
    groups = days.group_by(SLICE, *by, maintain_order=True)
    table = groups.agg(pl.col("rows").sum(), count.sum(), (count > 0).sum().alias("days"), **numbers)
    return table.with_columns(map(_with_ends, numbers))


def _ratio(above: pl.Expr, below: pl.Expr) -> pl.Expr:
    """Divide two sums over days, with the standard error of the sandwich (Liang and Zeger 1986); one day alone has none."""
    estimate, days = above.sum() / below.sum(), (pl.col("labelled") > 0).sum()
    error = ((above - estimate * below).pow(2).sum() * days / (days - 1)).sqrt() / below.sum()
    known = below.sum().fill_nan(0) > ALIKE * pl.col("labelled").sum()
    return pl.struct(estimate=pl.when(known).then(estimate), error=pl.when(known, days > 1).then(error))


def _with_ends(name: str) -> pl.Expr:
    number = pl.col(name).struct
    reach = pl.col("days").map_elements(student, return_dtype=pl.Float64) * number.field("error")
    low, high = number.field("estimate") - reach, number.field("estimate") + reach
    return number.with_fields(low.alias("low"), high.alias("high"))


def by_week(days: pl.DataFrame) -> dict[str, pl.DataFrame]:
    """Measure each slice week by week."""
    weeks = measure(days.with_columns(week_of()).sort(DAY), WEEK)
    return {str(name): part for (name,), part in weeks.partition_by(SLICE, as_dict=True, maintain_order=True).items()}


def words(number: Mapping[str, float | None]) -> str:
    """Write a number with its interval."""
    return "no labels" if number["estimate"] is None else with_interval(number)
