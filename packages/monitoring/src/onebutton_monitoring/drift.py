"""Look at inputs: what breaks the contract or cannot be alarms at once; what merely moved explains an alarm, and makes none.

Measured on the flights of New York, tests of drift alarm in every week of a half-year, whether it was harmful or not.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from datetime import date, timedelta
from typing import Any

import numpy as np
import polars as pl

from onebutton_contracts.terms import Contract
from onebutton_contracts.validation import row_rules
from onebutton_evaluation.slices import ALL
from onebutton_monitoring.alarms import Alarm, fold
from onebutton_monitoring.joining import DAY, SLICE, WEEK, Joined
from onebutton_monitoring.weeks import measure, words

LEAST_ROWS = 200  # of a slice in a week
MORE_NULLS, UNSEEN = 0.1, 0.05  # shares: of nulls beyond the worst week of training, of values that training never saw
FEWER = 0.25  # of the fewest values that a week of training had: the source stands still
MOST_VALUES = 1000  # of a text that names kinds; more is a key or a free text
LARGE = 0.9  # the quantile of absolute values that is a number's size: another unit moves it, a season seldom
MOST_MOVED = 3  # inputs that are told


def of_contract(watched: pl.DataFrame, contract: Contract, inputs: Sequence[str]) -> list[Alarm]:
    """Find inputs that break their contract, in the running week too."""
    rows, found = watched.filter(pl.col(SLICE) == ALL), []
    for rule in row_rules(contract):
        if rule.column in inputs:
            counts = rows.group_by(WEEK).agg(rule.broken.sum().alias("broken")).filter(pl.col("broken") > 0)
            for week, count in counts.iter_rows():
                told = f"{count:,} rows of those watched: {rule.words} [{rule.name}]"
                found.append(Alarm("contract", ALL, rule.column, week, told, week))
    return fold(found, rows[WEEK].unique().sort())


def of_inputs(
    watched: pl.DataFrame, training: pl.DataFrame, inputs: Sequence[str], factor: float, last: date
) -> list[Alarm]:
    """Find inputs that are as in no week of training; in the running week, what is so at once.

    Both tables have a slice and a week in each row. A number alarms when its size is a factor beyond those of all weeks of
    training, in weeks that end on the last day or before.
    """
    found = []
    for name in inputs:
        usual = _facts(training, name, training[name]).group_by(SLICE)
        ranges = usual.agg(
            pl.max("nulls").name.prefix("most_"),
            pl.min("values").name.prefix("least_"),
            pl.median("rows").name.prefix("usual_"),
            pl.min("size").name.prefix("least_"),
            pl.max("size").name.prefix("most_"),
        )
        for week in _facts(watched, name, training[name]).join(ranges, on=SLICE).iter_rows(named=True):
            strange = _strange(week, factor, last)
            found += [Alarm(kind, week[SLICE], name, week[WEEK], told, week[WEEK]) for kind, told in strange]
    of_all = {(one.kind, one.what, one.week) for one in found if one.where == ALL}
    once = [one for one in found if one.where == ALL or (one.kind, one.what, one.week) not in of_all]
    return fold(once, watched[WEEK].unique().sort())


def _facts(rows: pl.DataFrame, name: str, usual: pl.Series) -> pl.DataFrame:
    """Say of an input in each week and slice how much is missing or new, how many values it has, and how large they are."""
    number = usual.dtype.is_numeric()
    cell = pl.col(name).cast(pl.Float64 if number else pl.String)
    facts = {
        "rows": pl.len(),
        "nulls": cell.is_null().mean(),
        "values": cell.drop_nulls().n_unique(),
        "size": cell.abs().quantile(LARGE) if number else pl.lit(None, dtype=pl.Float64),
        "new": pl.lit(0.0),
        "newest": pl.lit(""),
    }
    if not number and usual.n_unique() <= MOST_VALUES:
        unknown = ~cell.is_in(usual.cast(pl.String).unique().implode()) & cell.is_not_null()
        facts |= {"new": unknown.mean(), "newest": cell.filter(unknown).first()}
    return rows.group_by(SLICE, WEEK).agg(**facts).filter(pl.col("rows") >= LEAST_ROWS)


def _strange(week: Mapping[str, Any], factor: float, last: date) -> Iterator[tuple[str, str]]:
    """Say in what an input's week is as none of training."""
    nulls, rows, least, most = week["nulls"], week["rows"], week["least_size"], week["most_size"]
    if nulls > week["most_nulls"] + MORE_NULLS:
        yield "nulls", f"{nulls:.0%} are missing; in training at most {week['most_nulls']:.0%} of a week"
    if week["new"] > UNSEEN:
        yield "unseen", f"{week['new']:.0%} have values that training never saw, such as {week['newest']}"
    whole = week[WEEK] + timedelta(6) <= last and rows >= week["usual_rows"] / 2
    if not whole or (1 - nulls) * rows < LEAST_ROWS:
        return
    if week["values"] < FEWER * week["least_values"]:
        before = f"in training at least {week['least_values']}"
        yield "stale", f"{week['values']} values in a week; {before}. Does the source stand still?"
    elif most and not least / factor <= week["size"] <= most * factor:  # of zero no factor is more
        before = f"in weeks of training {least:.4g} to {most:.4g}"
        yield "moved", f"the 90th percentile of its size is {week['size']:.4g}; {before}. Has its unit changed?"


def explain(alarm: Alarm, joined: Joined, tuning: Joined, inputs: Sequence[str]) -> tuple[str, ...]:
    """Say what else is different since an alarm began: the answers, how they follow predictions, and which inputs moved."""
    here, since = pl.col(SLICE) == alarm.where, pl.col(DAY) >= alarm.since
    now = measure(joined.days.filter(here, since)).row(0, named=True)
    before = measure(tuning.days.filter(here)).row(0, named=True)
    told = [
        f"{what} {words(now[name])}, in tuning {words(before[name])}"
        for name, what in (("gap", "predicted minus observed"), ("slope", "slope of answers on predictions"))
    ]
    seen, usual = joined.watched.filter(here, since), tuning.watched.filter(here)
    if min(seen.height, usual.height) >= LEAST_ROWS:
        moved = sorted(((distance(usual[name], seen[name]), name) for name in inputs), reverse=True)[:MOST_MOVED]
        told.append("inputs that moved most (KS): " + ", ".join(f"{name} {value:.2f}" for value, name in moved))
    return tuple(told)


def distance(usual: pl.Series, seen: pl.Series) -> float:
    """Return the distance of Kolmogorov and Smirnov: 0 of alike samples, at most 1; what is missing is the lowest value."""
    codes = pl.concat([usual, seen]).rank("dense").fill_null(0).cast(pl.Int64).to_numpy()
    there, here = (np.bincount(part, minlength=codes.max() + 1) / len(part) for part in np.split(codes, [len(usual)]))
    return float(np.abs((here - there).cumsum()).max())
