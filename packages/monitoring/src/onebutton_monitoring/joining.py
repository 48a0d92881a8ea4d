"""Join logged predictions with labels that come late: each prediction and each label once, whatever came twice or out of order.

Nothing is remembered between two runs: all is computed again from log and labels, so that a run that was killed left nothing half
done. Tables that do not fit into memory are parted by the hash of their key, and joined part by part: a Grace hash join
(Kitsuregawa et al. 1983), whose sums by day add up.
"""

from __future__ import annotations

import tempfile
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import polars as pl

from onebutton_contracts.errors import InputError
from onebutton_evaluation.declarations import Judging
from onebutton_evaluation.metrics import answer_values, read_rows
from onebutton_evaluation.slices import find_slices
from onebutton_monitoring.declaration import FILE, Harm, Monitor

AT_ONCE = 1_000_000  # rows that are joined in memory
PARTS, MOST_LEVELS = 16, 4  # rows of one key stay together, however many they are
KEY, DAY, WEEK, KNOWN = "_key", "_day", "_week", "_known"
SUMS = ("predicted", "answered", "both", "squared", "cost")


@dataclass(frozen=True)
class Joined:
    """What the log and the labels say together, of the release in service.

    Attributes:
        days: one row for each slice and day: `rows` predicted, `labelled`, and of these the sums of the prediction, the answer,
            their product, the prediction's square, and the cost.
        watched: rows of each week, drawn by the hash of their key, with the answer, null where it is not known.
        told: how many labels came again, were corrected, are for unknown keys or another release, and so on.
    """

    days: pl.DataFrame
    watched: pl.DataFrame
    told: Counter[str]


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
    ours = pl.lit(value=True) if not version else pl.col("version") == version
    told: Counter[str] = Counter()
    days = []
    columns = [KEY, DAY, "time", *judging.predicted(), *_cut_by(log, said)]
    for rows, known in _parts(log.select(*columns, ours.alias("_ours")), labels):
        days.append(_sums(rows, known, said, judging, told))
    sums = [pl.col(name).sum() for name in ("rows", "labelled", *SUMS)]
    watched = _watched(log.filter(ours), labels, said)
    return Joined(pl.concat(days).group_by("slice", DAY).agg(sums).sort("slice", DAY), watched, told)


def week_of(day: str = DAY) -> pl.Expr:
    """Name the Monday that a day's week begins with."""
    return pl.col(day).dt.truncate("1w").alias(WEEK)


def _with_keys(
    log: pl.LazyFrame, labels: pl.LazyFrame, said: Monitor, judging: Judging
) -> tuple[pl.LazyFrame, pl.LazyFrame]:
    """Give both tables the hash of their key; what a CSV has as text gets the type of the log."""
    kinds, theirs = log.collect_schema(), labels.collect_schema()
    wanted = [*said.key, judging.answer, *([said.known_at] if said.known_at else [])]
    for table, schema, names in (("log", kinds, said.key), ("table of labels", theirs, wanted)):
        if missing := [name for name in names if name not in schema]:
            raise InputError(
                f"the {table} has no column {missing[0]!r}, which {FILE} names; there are {', '.join(schema)}"
            )
    key = pl.concat_str([pl.col(name).cast(pl.String) for name in said.key], separator="\x1f", ignore_nulls=True)
    hashed = key.hash(seed=0).alias(KEY)
    cast = [pl.col(name).cast(kinds[name]) for name in said.key]
    labels = labels.with_row_index(KNOWN).filter(pl.col(judging.answer).is_not_null()).with_columns(cast)
    order = pl.col(said.known_at or KNOWN).alias(KNOWN)
    logged = log.with_columns(hashed, pl.col("time").dt.date().alias(DAY))
    if judging.answer in kinds:
        logged = logged.drop(judging.answer)
    return logged, labels.select(hashed, order, judging.answer)


def _cut_by(log: pl.LazyFrame, said: Monitor) -> list[str]:
    """Name the columns that slices are cut by."""
    # refuses a column that is not logged, and what is no condition
    find_slices(log.head(0).collect(), said.slices, FILE)
    found = [name for rule in said.slices for name in rule.by]
    found += [name for rule in said.slices if rule.where for name in pl.sql_expr(rule.where).meta.root_names()]
    return list(dict.fromkeys(found))


def _parts(log: pl.LazyFrame, labels: pl.LazyFrame, level: int = 0) -> Iterator[tuple[pl.DataFrame, pl.DataFrame]]:
    """Yield rows and labels in parts that fit into memory; a key and its label are in the same.

    A part that is still too large is parted again, by the next digit of its hash. More parts at once would take more memory:
    each that is being written holds some megabytes.
    """
    tables = {"log": log, "labels": labels}
    rows = max(table.select(pl.len()).collect(engine="streaming").item() for table in tables.values())
    if rows <= AT_ONCE or level == MOST_LEVELS:
        yield log.collect(engine="streaming"), labels.collect(engine="streaming")
        return
    with tempfile.TemporaryDirectory(prefix="onebutton-monitor-") as scratch:
        for name, table in tables.items():
            digit = pl.col(KEY) // PARTS**level % PARTS
            by = pl.PartitionBy(Path(scratch) / name, key={"_part": digit}, include_key=False)
            table.sink_ipc(by, mkdir=True, engine="streaming", compression="lz4", record_batch_size=AT_ONCE // 50)
        for part in range(PARTS):
            folders = {name: Path(scratch) / name / f"_part={part}" for name in tables}
            found = {
                name: pl.scan_ipc(folder / "*") if folder.is_dir() else tables[name].head(0)
                for name, folder in folders.items()
            }
            yield from _parts(found["log"], found["labels"], level + 1)


def _last(rows: pl.DataFrame, by: str) -> pl.DataFrame:
    """Keep the last row of each key; sorting takes a tenth of the time of a table of hashes."""
    return rows.sort(KEY, by, maintain_order=True).filter(pl.col(KEY).ne_missing(pl.col(KEY).shift(-1)))


def _sums(
    rows: pl.DataFrame, labels: pl.DataFrame, said: Monitor, judging: Judging, told: Counter[str]
) -> pl.DataFrame:
    """Add up one part by slice and day."""
    latest, once = _last(labels, KNOWN), _last(rows, "time")
    frame = once.join(latest, on=KEY, how="left")
    answered = pl.col(judging.answer).is_not_null()
    known, open_ = frame.filter("_ours", answered), frame.filter("_ours", ~answered)
    of_others = frame.filter(~pl.col("_ours"), answered).height
    distinct = labels.select(KEY, judging.answer).sort(pl.all())
    distinct = distinct.filter(pl.any_horizontal(pl.all().ne_missing(pl.all().shift())))
    told["labels"] += labels.height
    told["labels that came again"] += labels.height - distinct.height
    told["labels that were corrected"] += distinct.height - latest.height
    told["labels for unknown keys"] += latest.height - known.height - of_others
    told["labels of another release"] += of_others
    told["predictions asked for again"] += rows.height - once.height
    told["predictions of another release"] += once.height - known.height - open_.height
    frame = pl.concat([known.hstack(outcome(known, judging, said.harm)), open_], how="diagonal")
    sums = [pl.len().cast(pl.Int64).alias("rows"), pl.col("cost").count().cast(pl.Int64).alias("labelled")]
    sums += [pl.col(name).sum() for name in SUMS]
    found = [
        frame.filter(one.mask).group_by(DAY).agg(sums).select(pl.lit(one.name).alias("slice"), pl.all())
        for one in find_slices(frame, said.slices, FILE)
    ]
    return pl.concat(found)


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
    counts = log.group_by(week_of()).len().collect(engine="streaming")
    share = (said.watched_rows / pl.col("len")).clip(0, 1) * float(2**64)
    drawn = (
        log.with_columns(week_of())
        .join(counts.lazy().select(WEEK, share.alias("_share")), on=WEEK)
        .filter(pl.col(KEY).cast(pl.Float64) <= pl.col("_share"))
        .drop("_share")
        .collect(engine="streaming")
    )
    drawn = _last(drawn, "time").sort("time", KEY)
    known = labels.join(drawn.lazy().select(KEY), on=KEY, how="semi").collect(engine="streaming")
    return drawn.join(_last(known, KNOWN).drop(KNOWN), on=KEY, how="left", maintain_order="left")


def scan(pattern: str, root: Path, what: str) -> pl.LazyFrame:
    """Read tables that a path or a pattern names, Parquet or CSV, in the order of their names.

    Raises:
        InputError: there is none, or they are of another kind.
    """
    path = root / pattern
    files = sorted(path.parent.glob(path.name))
    kinds = {file.suffix for file in files}
    if kinds == {".parquet"}:
        return pl.scan_parquet(files, missing_columns="insert")
    if kinds == {".csv"}:
        return pl.scan_csv(files, try_parse_dates=True)
    raise InputError(f"{what}: {path} names no Parquet or CSV file, or files of both kinds")
