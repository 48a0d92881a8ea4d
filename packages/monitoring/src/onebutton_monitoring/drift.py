"""Look at inputs: what breaks the contract or cannot be alarms at once; what merely moved explains an alarm, and makes none.

Measured on the flights of New York, tests of drift alarm in every week of a half-year, whether it was harmful or not.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from datetime import date, timedelta
from typing import Any

import numpy as np
import polars as pl

from onebutton_contracts.rules import row_rules
from onebutton_evaluation.slices import ALL, find_slices
from onebutton_monitoring.alarms import Alarm, spells
from onebutton_monitoring.declaration import FILE
from onebutton_monitoring.joining import DAY, WEEK, Joined
from onebutton_monitoring.watch import Watch
from onebutton_monitoring.weeks import DAYS, figures

LEAST_ROWS = 200  # of a slice in a week
MORE_NULLS, UNSEEN = 0.1, 0.05  # shares: of nulls beyond the worst week of training, of values that training never saw
FEWER = 0.25  # of the fewest values that a week of training had: the source stands still
MOST_VALUES = 1000  # of a text that names kinds; more is a key or a free text
SIZES = {"median": 0.5, "90th percentile": 0.9}  # of absolute values: another unit moves both, a season seldom
BINS = 10


def of_inputs(one: Watch, joined: Joined, last: date) -> list[Alarm]:
    """Find inputs that break the contract, or that are as in no week of training; of the running week what is so at once.

    Args:
        one: what is watched.
        joined: the log.
        last: the last day that is over.
    """
    seen, training = joined.watched, one.training.watched
    inputs = one.inputs(seen)
    hits: dict[tuple[str, str, str], dict[date, str]] = {}
    for week, column, words in _forbidden(one, seen, inputs):
        hits.setdefault(("contract", ALL, column), {})[week] = words
    known = {part.name: training.filter(part.mask) for part in find_slices(training, one.said.slices, FILE)}
    for part in find_slices(seen, one.said.slices, FILE):
        for name in inputs if part.name in known else ():
            for kind, week, words in _strange(
                seen.filter(part.mask), known[part.name], name, last, one.said.size_factor
            ):
                if week not in hits.get((kind, ALL, name), {}):  # what holds of all rows is told once
                    hits.setdefault((kind, part.name, name), {})[week] = words
    weeks = seen[WEEK].unique().sort().to_list()
    return [
        one for key, said in hits.items() for one in spells(*key, ((week, said.get(week, ""), week) for week in weeks))
    ]


def _forbidden(one: Watch, seen: pl.DataFrame, inputs: list[str]) -> Iterator[tuple[date, str, str]]:
    for rule in row_rules(one.declared.inputs):
        if rule.column in inputs:
            counts = seen.group_by(WEEK).agg(rule.broken.sum().alias("broken")).filter(pl.col("broken") > 0)
            for week, count in counts.iter_rows():
                yield week, rule.column, f"{count:,} rows of those watched: {rule.words} [{rule.name}]"


def _facts(rows: pl.DataFrame, usual: pl.DataFrame, name: str) -> pl.DataFrame:
    """Say of an input in each week how much is missing or new, how many values it has, and where they lie."""
    cell = pl.col(name)
    found = {"rows": pl.len(), "nulls": cell.is_null().mean(), "values": cell.drop_nulls().n_unique()}
    if rows[name].dtype.is_numeric():
        found |= {size: cell.abs().quantile(share).cast(pl.Float64) for size, share in SIZES.items()}
    elif 0 < usual[name].n_unique() <= MOST_VALUES:
        new = ~cell.is_in(usual[name].unique().implode()) & cell.is_not_null()
        found |= {"new": new.mean(), "newest": cell.filter(new).first()}
    return rows.group_by(WEEK).agg(**found).filter(pl.col("rows") >= LEAST_ROWS).sort(WEEK)


def _strange(
    rows: pl.DataFrame, usual: pl.DataFrame, name: str, last: date, factor: float
) -> Iterator[tuple[str, date, str]]:
    before = _facts(usual, usual, name)
    if before.is_empty():
        return
    most, fewest, half = before.select(pl.max("nulls"), pl.min("values"), pl.median("rows") / 2).row(0)
    for week in _facts(rows, usual, name).iter_rows(named=True):
        monday, nulls, new = week[WEEK], week["nulls"], week.get("new") or 0
        if nulls > most + MORE_NULLS:
            yield "nulls", monday, f"{nulls:.0%} are missing; in training at most {most:.0%} of a week"
        if new > UNSEEN:
            yield "unseen", monday, f"{new:.0%} have values that training never saw, such as {week['newest']}"
        whole = monday + timedelta(DAYS - 1) <= last and week["rows"] >= half
        if not whole or (1 - nulls) * week["rows"] < LEAST_ROWS:
            continue
        if week["values"] < FEWER * fewest:
            words = f"{week['values']} values in a week; in training at least {fewest}. Does the source stand still?"
            yield "stale", monday, words
        elif words := _resized(week, before, factor):
            yield "moved", monday, f"{words}. Has its unit changed?"


def _resized(week: Mapping[str, Any], before: pl.DataFrame, factor: float) -> str:
    """Say how large a number is in a week, if each of its sizes lies a factor beyond those of all weeks of training."""
    ends = {size: before.select(least=pl.min(size), most=pl.max(size)).row(0) for size in SIZES if size in week}
    ends = {size: (least, most) for size, (least, most) in ends.items() if most}  # of zero no factor is more
    if not ends or any(least / factor <= week[size] <= most * factor for size, (least, most) in ends.items()):
        return ""
    size, (least, most) = next(iter(ends.items()))
    return f"the {size} of its absolute value is {week[size]:.4g}; in weeks of training {least:.4g} to {most:.4g}"


def explain(one: Watch, alarm: Alarm, joined: Joined) -> list[str]:
    """Say what else is different since an alarm began: the answers, how they follow predictions, and which inputs moved."""
    since = pl.col(DAY) >= alarm.since
    here, there = (
        figures(days.filter(pl.col("slice") == alarm.where)) for days in (joined.days.filter(since), one.tuning.days)
    )
    told = [
        f"predicted minus observed {here.gap}, in tuning {there.gap}",
        f"slope of answers on predictions {here.slope}, in tuning {there.slope}",
    ]
    samples = []
    for rows in (one.tuning.watched, joined.watched.filter(since)):
        masks = {part.name: part.mask for part in find_slices(rows, one.said.slices, FILE)}
        samples.append(rows.filter(masks[alarm.where]) if alarm.where in masks else rows.clear())
    usual, seen = samples
    inputs = one.inputs(seen)
    if min(usual.height, seen.height) >= LEAST_ROWS:
        moved = sorted(((psi(usual[name], seen[name]), name) for name in inputs), reverse=True)[:3]
        told.append("inputs that moved most (PSI): " + ", ".join(f"{name} {value:.2f}" for value, name in moved))
    return told


def psi(usual: pl.Series, seen: pl.Series) -> float:
    """Return the population stability index (Siddiqi 2006) over tenths of what is usual; what is missing is a bin of its own."""
    codes = pl.concat([usual, seen]).rank("dense").fill_null(0).to_numpy()
    edges = np.unique(np.quantile(codes[: len(usual)], np.linspace(0, 1, BINS + 1)[1:-1]))
    bins = np.where(codes == 0, 0, 1 + np.searchsorted(edges, codes))
    counts = [np.bincount(part, minlength=len(edges) + 2) + 0.5 for part in np.split(bins, [len(usual)])]
    there, here = (one / one.sum() for one in counts)
    return float(((here - there) * np.log(here / there)).sum())
