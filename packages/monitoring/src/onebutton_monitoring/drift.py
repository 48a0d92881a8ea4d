"""Look at inputs: what breaks the contract or cannot be alarms at once; what merely moved explains an alarm, and makes none.

Measured on the flights of New York, tests of drift alarm in every week of a half-year, whether it was harmful or not.
"""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from datetime import date, timedelta

import numpy as np
import polars as pl

from onebutton_contracts.validation import Rule
from onebutton_evaluation.slices import ALL
from onebutton_monitoring.alarms import Alarm, fold
from onebutton_monitoring.joining import DAY, SLICE, WEEK, Joined, measure, words

LEAST_ROWS = 200  # of a slice in a week
MORE_NULLS, UNSEEN = 0.1, 0.05  # shares: of nulls beyond the worst week of training, of values that training never saw
FEWER = 0.25  # of the fewest values that a week of training had: the source stands still
MOST_VALUES = 1000  # of a text that names kinds; more is a key or a free text
LARGE = 0.9  # the quantile of absolute values that is a number's size: another unit moves it, a season seldom
MOST_MOVED = 3  # inputs that are told
LOST = 0.25  # of the usual slope: below it, answers do not follow predictions
COMPARED = {"gap": "predicted minus observed", "slope": "slope of answers on predictions"}
TOLD = {
    "nulls": "{nulls:.0%} are missing; in training at most {most_nulls:.0%} of a week",
    "unseen": "{new:.0%} have values that training never saw, such as {newest}",
    "stale": "{values} values in a week; in training at least {least_values}. Does the source stand still?",
    "moved": "the 90th percentile of its size is {size:.4g}; in weeks of training {least_size:.4g} to {most_size:.4g}. "
    "Has its unit changed?",
}


def of_inputs(
    watched: pl.DataFrame, training: pl.DataFrame, inputs: Mapping[str, Sequence[Rule]], factor: float, last: date
) -> Iterator[Alarm]:
    """Find inputs that break their contract or are as in no week of training; in the running week, what is so at once.

    Both tables have a slice and a week in each row; each input has its rules. A number alarms when its size is a factor beyond
    those of all weeks of training, in weeks that end on the last day or before.
    """
    rows, nulls, size = map(pl.col, ("rows", "nulls", "size"))
    many = (rows >= pl.col("usual_rows") / 2) & ((1 - nulls) * rows >= LEAST_ROWS)
    whole = many & (pl.col(WEEK) + timedelta(6) <= last)
    still = whole & (pl.col("values") < FEWER * pl.col("least_values"))
    # Where all is zero in training, no factor is more.
    other = ~size.is_between(pl.col("least_size") / factor, pl.col("most_size") * factor) & (pl.col("most_size") > 0)
    strange = {
        "nulls": nulls > pl.col("most_nulls") + MORE_NULLS,
        "unseen": pl.col("new") > UNSEEN,
        "stale": still,
        "moved": whole & ~still & other,
    }
    found, of_all = list[Alarm](), watched.filter(pl.col(SLICE) == ALL)
    for name, rules in inputs.items():
        for rule in rules:
            broken = of_all.filter(rule.broken).group_by(WEEK).len().iter_rows()
            told = f"rows of those watched: {rule.words} [{rule.name}]"
            found += [Alarm("contract", ALL, name, week, f"{count:,} {told}", week) for week, count in broken]
        least, most = pl.all().min().name.prefix("least_"), pl.all().max().name.prefix("most_")
        usual = _facts(training, name, training[name]).group_by(SLICE)
        ranges = usual.agg(least, most, usual_rows=pl.median("rows"))
        facts = _facts(watched, name, training[name]).join(ranges, on=SLICE)
        for kind, wrong in strange.items():
            for week in facts.filter(wrong).iter_rows(named=True):
                found.append(Alarm(kind, week[SLICE], name, week[WEEK], TOLD[kind].format(**week), week[WEEK]))
    known = {(one.kind, one.what, one.week) for one in found if one.where == ALL}
    once = [one for one in found if one.where == ALL or (one.kind, one.what, one.week) not in known]
    yield from fold(once, watched[WEEK].unique().sort())


def _facts(rows: pl.DataFrame, name: str, usual: pl.Series) -> pl.DataFrame:
    """Say of an input in each week and slice how much is missing or new, how many values it has, and how large they are."""
    kind = pl.Float64 if usual.dtype.is_numeric() else pl.String
    cell, known = pl.col(name).cast(kind), usual.cast(kind).unique()
    kinds = kind == pl.String and len(known) <= MOST_VALUES
    unseen = ~cell.is_in(known.implode()) & cell.is_not_null() if kinds else pl.lit(value=False)
    facts = rows.group_by(SLICE, WEEK).agg(
        rows=pl.len(),
        nulls=cell.is_null().mean(),
        values=cell.drop_nulls().n_unique(),
        size=cell.abs().quantile(LARGE) if kind == pl.Float64 else pl.lit(None, dtype=pl.Float64),
        new=unseen.mean(),
        newest=cell.filter(unseen).first(),
    )
    return facts.filter(pl.col("rows") >= LEAST_ROWS)


def explain(alarm: Alarm, joined: Joined, tuning: Joined, inputs: Iterable[str]) -> Alarm:
    """Tell with an alarm about cost what else is different since it began: answers, their relation to predictions, inputs."""
    if alarm.kind != "cost":
        return alarm
    here, since = pl.col(SLICE) == alarm.where, pl.col(DAY) >= alarm.since
    days = joined.days.filter(here, since), tuning.days.filter(here)
    now, before = (measure(table).row(0, named=True) for table in days)
    told = [f"{what} {words(now[name])}, in tuning {words(before[name])}" for name, what in COMPARED.items()]
    slope, usual_slope = (number["slope"]["estimate"] for number in (now, before))
    if slope is not None and usual_slope is not None and slope < LOST * usual_slope:
        told.append("labels hardly follow predictions. Are they mixed up?")
    seen, usual = joined.watched.filter(here, since), tuning.watched.filter(here)
    if min(seen.height, usual.height) >= LEAST_ROWS:
        moved = sorted(((distance(usual[name], seen[name]), name) for name in inputs), reverse=True)[:MOST_MOVED]
        told.append("inputs that moved most (KS): " + ", ".join(f"{name} {value:.2f}" for value, name in moved))
    return alarm._replace(why=tuple(told))


def distance(usual: pl.Series, seen: pl.Series) -> float:
    """Return the distance of Kolmogorov and Smirnov: 0 of alike samples, at most 1; what is missing is the lowest value."""
    codes = pl.concat([usual, seen]).rank("dense").fill_null(0).cast(pl.Int64).to_numpy()
    there, here = (np.bincount(part, minlength=codes.max() + 1) / len(part) for part in np.split(codes, [len(usual)]))
    return float(np.abs((here - there).cumsum()).max())
