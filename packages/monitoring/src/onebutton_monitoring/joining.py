"""Join logged predictions with labels that come late: each prediction and each label once, whatever came twice or out of order.

Nothing is remembered between two runs: all is computed again from log and labels, so that a run that was killed left nothing half
done. Tables that do not fit into memory are parted by the hash of their key, and joined part by part: a Grace hash join
(Kitsuregawa et al. 1983), whose sums by day add up.
"""

from __future__ import annotations

import tempfile
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import replace
from pathlib import Path
from typing import NamedTuple

import numpy as np
import polars as pl

from onebutton_contracts.errors import require
from onebutton_evaluation.declarations import Judging, SliceRule
from onebutton_evaluation.metrics import answer_values, read_rows
from onebutton_evaluation.slices import find_slices
from onebutton_monitoring.declaration import FILE, Harm, Monitor

AT_ONCE, WRITTEN = 1_000_000, 20_000  # rows: that are joined in memory, and written to a part
PARTS, MOST_LEVELS = 16, 4  # rows of one key stay together, however many they are
KEY, DAY, WEEK, KNOWN, SLICE = "_key", "_day", "_week", "_known", "_slice"
SUMS = ("_predicted", "_answered", "_both", "_squared", "_cost")


class Joined(NamedTuple):
    """What the log and the labels say together, of the release in service."""

    days: pl.DataFrame  # by slice and day: `rows` predicted, `labelled`, and sums over these of what `outcome` returns
    watched: pl.DataFrame  # rows drawn of each week, once for each slice; the answer is null where it is not known
    told: Counter[str]  # labels that came again, were corrected, are for unknown keys or another release, and so on


def join(log: pl.LazyFrame, labels: pl.LazyFrame, said: Monitor, judging: Judging, version: str = "") -> Joined:
    """Join, in memory that does not grow with the number of rows.

    Args:
        log: as `onebutton_serving.segments.read_log` returns it.
        labels: the columns of the key, the answer, and `known_at` where that is declared.
        said: what `monitor.toml` declares.
        judging: how rows are judged.
        version: of the release that is watched; all where empty.

    Raises:
        InputError: a column is missing.
    """
    log, labels = _with_keys(log, labels, said, judging)
    find_slices(log.head(0).collect(), said.slices, FILE)  # refuses what is not logged before all of it is read
    cut_by = [name for rule in said.slices for name in rule.by]
    cut_by += [name for rule in said.slices if rule.where for name in pl.sql_expr(rule.where).meta.root_names()]
    columns = dict.fromkeys([KEY, DAY, "time", *judging.predicted(), *cut_by])
    ours = pl.col("version") == version if version else pl.lit(value=True)
    told, days = Counter[str](), []
    for rows, known in _parts(log.select(*columns, ours.alias("_ours")), labels):
        once, latest = _last(rows, "time"), _last(known, KNOWN)
        both = once.join(latest, on=KEY, how="left")
        mine, distinct = both.filter("_ours"), known.n_unique([KEY, judging.answer])
        answered, answered_of_mine = both[judging.answer].count(), mine[judging.answer].count()
        told.update(
            {
                "labels": known.height,
                "labels that came again": known.height - distinct,
                "labels that were corrected": distinct - latest.height,
                "labels for unknown keys": latest.height - answered,
                "labels of another release": answered - answered_of_mine,
                "predictions asked for again": rows.height - once.height,
                "predictions of another release": once.height - mine.height,
            }
        )
        days.append(_sums(mine, said, judging))
    summed = pl.concat(days).group_by(SLICE, DAY).agg(pl.all().sum()).sort(SLICE, DAY)
    return Joined(summed, _watched(log.filter(ours), labels, said), told)


def week_of() -> pl.Expr:
    """Name the Monday that a day's week begins with."""
    return pl.col(DAY).dt.truncate("1w").alias(WEEK)


def by_slice(frame: pl.DataFrame, rules: Sequence[SliceRule]) -> pl.DataFrame:
    """Repeat each row for each slice that it is of, which a column names."""
    parts = find_slices(frame, rules, FILE)
    return pl.concat(frame.filter(part.mask).with_columns(pl.lit(part.name).alias(SLICE)) for part in parts)


def _with_keys(
    log: pl.LazyFrame, labels: pl.LazyFrame, said: Monitor, judging: Judging
) -> tuple[pl.LazyFrame, pl.LazyFrame]:
    """Give both tables the hash of their key; what a CSV has as text gets the type of the log."""
    kinds, theirs = log.collect_schema(), labels.collect_schema()
    wanted = [*said.key, judging.answer, *([said.known_at] if said.known_at else [])]
    for table, there, names in (("log", kinds, said.key), ("table of labels", theirs, wanted)):
        for name in names:
            lacking = f"the {table} has no column {name!r}, which {FILE} names; there are {', '.join(there)}"
            require(name in there, lacking)
    key = pl.concat_str([pl.col(name).cast(pl.String) for name in said.key], separator="\x1f", ignore_nulls=True)
    hashed = key.hash(seed=0).alias(KEY)
    logged = log.drop(judging.answer, strict=False).with_columns(hashed, pl.col("time").dt.date().alias(DAY))
    known = labels.with_row_index(KNOWN).filter(pl.col(judging.answer).is_not_null())
    known = known.with_columns(pl.col(name).cast(kinds[name]) for name in said.key)
    return logged, known.select(hashed, pl.col(said.known_at or KNOWN).alias(KNOWN), judging.answer)


def _parts(log: pl.LazyFrame, labels: pl.LazyFrame, level: int = 0) -> Iterator[tuple[pl.DataFrame, pl.DataFrame]]:
    """Yield rows and labels in parts that fit into memory; a key and its label are in the same.

    What is too large is parted by a digit of its hash, and again by the next one: each file that is being written takes memory.
    """
    tables = {"log": log, "labels": labels}
    rows = max(table.select(pl.len()).collect(engine="streaming").item() for table in tables.values())
    if rows <= AT_ONCE or level == MOST_LEVELS:
        yield log.collect(), labels.collect()
        return
    with tempfile.TemporaryDirectory(prefix="onebutton-monitor-") as scratch:
        for name, table in tables.items():
            digit = pl.col(KEY) // PARTS**level % PARTS
            by = pl.PartitionBy(Path(scratch) / name, key={"_part": digit}, include_key=False)
            table.sink_ipc(by, mkdir=True, engine="streaming", compression="lz4", record_batch_size=WRITTEN)
        for part in range(PARTS):
            folders = [Path(scratch, name, f"_part={part}") for name in tables]
            found = [
                pl.scan_ipc(folder / "*") if folder.is_dir() else table.head(0)
                for folder, table in zip(folders, tables.values(), strict=True)
            ]
            yield from _parts(found[0], found[1], level + 1)


def _last(rows: pl.DataFrame, by: str) -> pl.DataFrame:
    """Keep the last row of each key; sorting takes a tenth of the time of a table of hashes."""
    return rows.sort(KEY, by, maintain_order=True).filter(pl.col(KEY).ne_missing(pl.col(KEY).shift(-1)))


def _sums(rows: pl.DataFrame, said: Monitor, judging: Judging) -> pl.DataFrame:
    """Add up by slice and day."""
    answered = pl.col(judging.answer).is_not_null()
    known = rows.filter(answered)
    measured = pl.concat([known.hstack(outcome(known, judging, said.harm)), rows.filter(~answered)], how="diagonal")
    counts = [pl.len().cast(pl.Int64).alias("rows"), answered.sum().cast(pl.Int64).alias("labelled")]
    return pl.concat(
        measured.filter(part.mask).group_by(DAY).agg(pl.lit(part.name).alias(SLICE), *counts, pl.col(SUMS).sum())
        for part in find_slices(measured, said.slices, FILE)
    )


def outcome(known: pl.DataFrame, judging: Judging, harm: Harm) -> pl.DataFrame:
    """Find what each row is watched by: prediction, answer, their product and square, and what a wrong call cost.

    Of several classes, the prediction is the probability of the class that was called, and the answer whether it was right.
    """
    rows = read_rows(known, replace(judging, unit="", quantiles={}))
    if judging.task == "regression":
        predicted, answered = rows.predictions, rows.answers
        cost = harm.wrong * np.abs(predicted - answered)
    elif judging.task == "multiclass":
        predicted, answered = rows.predictions.max(axis=1, initial=0), (rows.called == rows.codes).astype(np.float64)
        cost = harm.wrong * (1 - answered)
    else:
        predicted, answered = rows.predictions, answer_values(known[judging.answer], judging)
        wrong = rows.called - answered
        cost = np.where(wrong > 0, harm.false_alarm, harm.miss) * np.abs(wrong)
    values = (predicted, answered, predicted * answered, predicted**2, cost)
    return pl.DataFrame(dict(zip(SUMS, values, strict=True)), schema=dict.fromkeys(SUMS, pl.Float64))


def _watched(log: pl.LazyFrame, labels: pl.LazyFrame, said: Monitor) -> pl.DataFrame:
    """Draw rows of each week by the hash of their key, which is the same draw on every day."""
    log = log.with_columns(week_of())
    counts = log.group_by(WEEK).agg(pl.len().alias("_rows")).collect(engine="streaming")
    share = (said.watched_rows / pl.col("_rows")).clip(0, 1) * float(2**64)
    below = pl.col(KEY).cast(pl.Float64) <= share
    drawn = log.join(counts.lazy(), on=WEEK).filter(below).drop("_rows").collect(engine="streaming")
    drawn = _last(drawn, "time").sort("time", KEY)
    known = labels.join(drawn.lazy().select(KEY), on=KEY, how="semi").collect(engine="streaming")
    watched = drawn.join(_last(known, KNOWN).drop(KNOWN), on=KEY, how="left", maintain_order="left")
    return by_slice(watched, said.slices)


def scan(path: Path) -> pl.LazyFrame:
    """Read the labels that a path names, Parquet or CSV; of a pattern, in the order of the files' names.

    Raises:
        InputError: there are none.
    """
    files = sorted(path.parent.glob(path.name))
    require(files, f"labels: there is no file {path}")
    if files[0].suffix == ".csv":
        return pl.scan_csv(files, try_parse_dates=True)
    return pl.scan_parquet(files, missing_columns="insert")
