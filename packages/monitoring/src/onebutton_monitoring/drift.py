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
BEYOND = 6.0  # standard deviations between weeks of training, from their mean: another unit
FLOOR = 0.1  # of the spread between rows, by which weeks are held to differ at least
MOST_VALUES = 1000  # of a text that names kinds; more is a key or a free text
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
    hits: dict[tuple[str, str, str], dict[Any, str]] = {}
    for week, column, words in _forbidden(one, seen, inputs):
        hits.setdefault(("contract", ALL, column), {})[week] = words
    known = {part.name: training.filter(part.mask) for part in find_slices(training, one.said.slices, FILE)}
    for part in find_slices(seen, one.said.slices, FILE):
        usual = known.get(part.name, training.clear())
        weeks = _facts(usual, usual, inputs)
        for facts in _facts(seen.filter(part.mask), usual, inputs).iter_rows(named=True) if weeks.height else ():
            monday = facts[WEEK]
            whole = monday + timedelta(DAYS - 1) <= last and 2 * facts["rows"] >= weeks["rows"].median()
            for kind, column, words in _strange(facts, weeks, inputs, whole=whole):
                if not hits.get((kind, ALL, column), {}).get(monday):  # what holds of all rows is told once
                    hits.setdefault((kind, part.name, column), {})[monday] = words
    mondays = seen[WEEK].unique().sort().to_list()
    return [
        one for key, said in hits.items() for one in spells(*key, ((day, said.get(day, ""), day) for day in mondays))
    ]


def _forbidden(one: Watch, seen: pl.DataFrame, inputs: list[str]) -> Iterator[tuple[date, str, str]]:
    for rule in row_rules(one.declared.inputs):
        if rule.column in inputs:
            counts = seen.group_by(WEEK).agg(rule.broken.sum().alias("broken")).filter(pl.col("broken") > 0)
            for week, count in counts.iter_rows():
                yield week, rule.column, f"{count:,} rows of those watched: {rule.words} [{rule.name}]"


def _facts(rows: pl.DataFrame, usual: pl.DataFrame, inputs: list[str]) -> pl.DataFrame:
    """Say of each input in each week how much is missing or new, how many values it has, and where they lie."""
    found = [pl.len().alias("rows")]
    for name in inputs:
        cell = pl.col(name)
        found += [cell.is_null().mean().alias(f"{name} nulls"), cell.drop_nulls().n_unique().alias(f"{name} values")]
        if rows[name].dtype.is_numeric():
            found += [cell.quantile(at / 10).cast(pl.Float64).alias(f"{name} {at}") for at in (1, 5, 9)]
            found.append(pl.lit(usual[name].std() or 0.0).alias(f"{name} spread"))
        elif 0 < usual[name].n_unique() <= MOST_VALUES:
            new = ~cell.is_in(usual[name].unique().implode()) & cell.is_not_null()
            found += [new.mean().alias(f"{name} new"), cell.filter(new).first().alias(f"{name} newest")]
    return rows.group_by(WEEK).agg(found).filter(pl.col("rows") >= LEAST_ROWS).sort(WEEK)


def _strange(
    week: Mapping[str, Any], usual: pl.DataFrame, inputs: list[str], *, whole: bool
) -> Iterator[tuple[str, str, str]]:
    for name in inputs:
        nulls, values = week[f"{name} nulls"], week[f"{name} values"]
        most, fewest = (float(usual[f"{name} {what}"].max() or 0) for what in ("nulls", "values"))  # type: ignore[arg-type]
        if nulls > most + MORE_NULLS:
            yield "nulls", name, f"{nulls:.0%} are missing; in training at most {most:.0%} of a week"
        if week.get(f"{name} new") is not None and week[f"{name} new"] > UNSEEN:
            words = f"{week[f'{name} new']:.0%} have values that training never saw, such as {week[f'{name} newest']}"
            yield "unseen", name, words
        if not whole or (1 - nulls) * week["rows"] < LEAST_ROWS:
            continue
        fewest = float(usual[f"{name} values"].min() or 0)  # type: ignore[arg-type]
        if values < FEWER * fewest:
            yield (
                "stale",
                name,
                f"{values} values in a week; in training at least {fewest:.0f}. Does the source stand still?",
            )
        elif f"{name} 5" in week:
            lies, before = (
                frame.select(f"{name} 1", f"{name} 5", f"{name} 9") for frame in (pl.DataFrame(week), usual)
            )
            least = max(FLOOR * week[f"{name} spread"], 1e-12)
            far = (lies.to_numpy()[0] - before.mean().to_numpy()[0]) / np.fmax(before.std().to_numpy()[0], least)
            if np.median(np.abs(far)) > BEYOND:
                low, high = np.sort(before[f"{name} 5"].to_numpy())[[0, -1]]
                yield (
                    "moved",
                    name,
                    (
                        f"its median is {week[f'{name} 5']:.4g}; in the weeks of training {low:.4g} to {high:.4g}. "
                        "Has its unit changed?"
                    ),
                )


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
        told.append(
            f"a classifier tells these inputs from those of tuning with an AUC of {domain_auc(usual, seen, inputs):.2f}"
        )
    return told


def psi(usual: pl.Series, seen: pl.Series) -> float:
    """Return the population stability index (Siddiqi 2006) over tenths of what is usual; what is missing is a bin of its own."""
    codes = pl.concat([usual, seen]).rank("dense").fill_null(0).to_numpy()
    edges = np.unique(np.quantile(codes[: len(usual)], np.linspace(0, 1, BINS + 1)[1:-1]))
    bins = np.where(codes == 0, 0, 1 + np.searchsorted(edges, codes))
    counts = [np.bincount(part, minlength=len(edges) + 2) + 0.5 for part in np.split(bins, [len(usual)])]
    there, here = (one / one.sum() for one in counts)
    return float(((here - there) * np.log(here / there)).sum())


def domain_auc(usual: pl.DataFrame, seen: pl.DataFrame, inputs: list[str]) -> float:
    """Return how well a tree tells two samples apart, out of fold: 0.5 is not at all (Rabanser et al. 2019)."""
    from sklearn.metrics import roc_auc_score
    from sklearn.model_selection import cross_val_predict
    from sklearn.tree import DecisionTreeClassifier

    both = pl.concat([usual.select(inputs), seen.select(inputs)], how="vertical_relaxed")
    codes = both.select(pl.col(inputs).rank("dense").cast(pl.Float64).fill_null(0)).to_numpy()
    which = np.repeat([0, 1], [usual.height, seen.height])
    tree = DecisionTreeClassifier(max_depth=5, min_samples_leaf=20, random_state=0)
    return float(roc_auc_score(which, cross_val_predict(tree, codes, which, cv=2, method="predict_proba")[:, 1]))
