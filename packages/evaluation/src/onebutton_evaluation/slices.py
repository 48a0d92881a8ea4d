"""Cut the data into slices, named parts of it, and measure every metric on each of them."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Any

import numpy as np
import polars as pl

from onebutton_contracts.errors import InputError, require
from onebutton_evaluation.declarations import Judging, SliceRule
from onebutton_evaluation.influence import Mask, Metric
from onebutton_evaluation.intervals import interval
from onebutton_evaluation.metrics import read_rows

ALL = "all"
MOST = 500  # slices; more is a key by mistake, and nobody would read them


@dataclass(frozen=True)
class Slice:
    """A part of the rows, such as `month September` of the group `month`; the mask marks its rows."""

    name: str
    group: str
    mask: Mask


def find_slices(frame: pl.DataFrame, rules: Sequence[SliceRule], file: str = "gates.toml") -> list[Slice]:
    """Cut a frame into its declared slices, all rows first; messages say that the rules stand in `file`.

    Raises:
        InputError: a rule names a column that is not there, or no condition, or would make hundreds of slices.
    """
    found = [Slice(ALL, ALL, np.ones(frame.height, dtype=np.bool_))]
    for rule in rules:
        try:
            if rule.where:
                mask = frame.select(pl.sql_expr(rule.where).cast(pl.Boolean).fill_null(value=False)).to_series()
                found.append(Slice(rule.name, "conditions", mask.to_numpy()))
            else:
                found += _quantiles(frame, rule) if rule.quantiles else _values(frame, rule)
        except pl.exceptions.PolarsError as error:
            why = str(error).splitlines()[0]
            raise InputError(f"{file}: slices by {rule.where or rule.by!r} cannot be cut: {why}") from None
        many = f"{file}: slices by {rule.by} are more than {MOST}; name fewer columns, or use quantiles"
        require(len(found) <= MOST, many)
    names = [one.name for one in found]
    for name in names:
        twice = f"{file}: two slices are called {name!r}; a result could not say which is meant"
        require(names.count(name) == 1, twice)
    return found


def _values(frame: pl.DataFrame, rule: SliceRule) -> Iterator[Slice]:
    """One slice per value, or per combination of values, in their order."""
    codes = frame.select(pl.struct(rule.by).rank("dense").fill_null(0).alias("code"))["code"].to_numpy()
    firsts = frame.select(*rule.by, pl.Series("code", codes)).unique("code").sort("code")
    for *values, code in firsts.iter_rows():
        labels = ["missing" if value is None else rule.labels.get(str(value), str(value)) for value in values]
        words = " and ".join(f"{column} {label}" for column, label in zip(rule.by, labels, strict=True))
        yield Slice(words, " and ".join(rule.by), codes == code)


def _quantiles(frame: pl.DataFrame, rule: SliceRule) -> Iterator[Slice]:
    """Bins of about equal count; where many rows share a value, fewer bins."""
    (column,) = rule.by
    values = frame[column].cast(pl.Float64).to_numpy()
    known = ~np.isnan(values)
    edges = np.unique(np.quantile(values[known], np.linspace(0, 1, (rule.quantiles or 1) + 1)))
    for low, high in pairwise(edges):
        above = values >= low if low == edges[0] else values > low
        yield Slice(f"{column} {low:g} to {high:g}", column, above & (values <= high))
    if not known.all():
        yield Slice(f"{column} missing", column, ~known)


def judge(frame: pl.DataFrame, slices: Sequence[Slice], judging: Judging) -> dict[str, dict[str, Any]]:
    """Judge every slice by every metric, in their order.

    Returns:
        What `slices.json` says of each, by its name; without metrics where there is not enough data.

    Raises:
        InputError: a column is not there, or lacks values.
    """
    rows, known, found = read_rows(frame, judging), judging.known(), {}
    for part in slices:
        some = rows.take(part.mask)
        names = judging.metrics if judging.enough(len(some), some.unit_count) else ()
        numbers = {name: one.mapping() for name in names if (one := interval(some, known[name]))}
        found[part.name] = {"group": part.group, "rows": len(some), "units": some.unit_count, "metrics": numbers}
    return found


def ranked(slices: Mapping[str, Mapping[str, Any]], metric: Metric) -> list[str]:
    """Sort the slices of a `slices.json` that have a metric with its interval, the worst first; all rows are no slice."""
    judged = {name: one["metrics"][metric.name] for name, one in slices.items() if metric.name in one["metrics"]}
    kept = [name for name, number in judged.items() if name != ALL and number["low"] is not None]
    return sorted(kept, key=lambda name: judged[name]["estimate"], reverse=metric.better == "lower")
