"""Join logged predictions with labels that come late, each of them once, and add up what wrong calls cost by slice and day.

Nothing is remembered between two runs: all is computed again from log and labels, so that a run that was killed left nothing half
done. Both tables are parted by the hash of their key, and joined part by part: a Grace hash join (Kitsuregawa et al. 1983), whose
sums by day add up.
"""

import tempfile
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import NamedTuple

import numpy as np
import polars as pl

from onebutton_contracts.errors import require
from onebutton_evaluation.declarations import Judging, SliceRule
from onebutton_evaluation.intervals import student
from onebutton_evaluation.metrics import read_rows
from onebutton_evaluation.slices import ALL, find_slices
from onebutton_evaluation.wording import with_interval
from onebutton_monitoring.declaration import FILE, Harm, Monitor

AT_ONCE, WRITTEN = 5_000_000, 20_000  # cells that are joined in memory, rows that are written to a part
PARTS, MOST_LEVELS = 16, 4  # rows of one key stay together, however many they are
ALIKE = 1e-9  # predictions that vary less can be followed by nothing
KEY, DAY, WEEK, KNOWN, SLICE = "_key", "_day", "_week", "_known", "_slice"
OF_WEEK = pl.col("time").dt.date().dt.truncate("1w").alias(WEEK)  # its Monday
SUMS = ("_predicted", "_answered", "_both", "_squared", "_cost")


class Joined(NamedTuple):
    """What the log and the labels say together, of the release in service."""

    days: pl.DataFrame  # by slice and day: `rows` predicted, `labelled`, and sums over these of what `outcome` returns
    watched: pl.DataFrame  # rows drawn of each week, once for each slice; answer and outcome are null where not known
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
    answer, ours = pl.col(judging.answer), pl.col("version") == version if version else pl.lit(value=True)
    sizes = log.filter(ours).group_by(WEEK).agg(pl.len().alias("_size")).collect(engine="streaming")
    share = (said.watched_rows / pl.col("_size")).clip(0, 1) * float(2**64)  # of hashes: the same draw on every day
    told, days, watched = Counter[str](), [], []
    for rows, known in _parts([log, labels]):
        once, latest = _last(rows, "time"), _last(known, KNOWN)
        both = once.join(latest, on=KEY, how="left")
        mine, distinct = both.filter(ours), known.n_unique([KEY, judging.answer])
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
        done = mine.filter(answer.is_not_null())
        done = done.hstack(outcome(done, judging, said.harm))
        mine = pl.concat([done, mine.filter(answer.is_null())], how="diagonal")
        counts = (pl.len().alias("rows"), answer.count().alias("labelled"))
        days.append(by_slice(mine, said.slices).group_by(SLICE, WEEK, DAY).agg(*counts, pl.col(SUMS).sum()).collect())
        watched.append(mine.join(sizes, on=WEEK).filter(pl.col(KEY).cast(pl.Float64) <= share).drop("_size"))
    summed = pl.concat(days).group_by(SLICE, WEEK, DAY).agg(pl.all().sum())
    drawn = by_slice(pl.concat(watched, how="diagonal").sort("time", KEY), said.slices)
    return Joined(summed.sort(pl.col(SLICE) != ALL, SLICE, DAY), drawn.collect(), told)


def by_slice(frame: pl.DataFrame, rules: Sequence[SliceRule]) -> pl.LazyFrame:
    """Repeat each row for each slice that it is of, which a column names."""
    return pl.concat(
        frame.lazy().filter(pl.lit(pl.Series(part.mask))).with_columns(pl.lit(part.name).alias(SLICE))
        for part in find_slices(frame, rules, FILE)
    )


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
    kind = theirs[judging.answer]
    text = f"the table of labels: {judging.answer} is to be a number, and is read as text, or is empty in all rows"
    require(judging.classes or kind.is_numeric() or kind == pl.Boolean, text)
    key = pl.concat_str([pl.col(name).cast(pl.String) for name in said.key], separator="\x1f", ignore_nulls=True)
    hashed, day = key.hash(seed=0).alias(KEY), pl.col("time").dt.date().alias(DAY)
    logged = log.drop(judging.answer, strict=False).with_columns(hashed, day, OF_WEEK)
    known = labels.with_row_index(KNOWN).filter(pl.col(judging.answer).is_not_null())
    known = known.with_columns(pl.col(name).cast(kinds[name]) for name in said.key)
    return logged, known.select(hashed, pl.col(said.known_at or KNOWN).alias(KNOWN), judging.answer)


def _parts(tables: Sequence[pl.LazyFrame], level: int = 0) -> Iterator[list[pl.DataFrame]]:
    """Yield tables in parts that fit into memory; a key and its label are in the same.

    What is too large is parted by a digit of its hash, and again by the next one: each file that is being written takes memory.
    """
    schemas = [table.collect_schema() for table in tables]
    rows = max(table.select(pl.len()).collect(engine="streaming").item() for table in tables)
    if rows * len(schemas[0]) <= AT_ONCE or level == MOST_LEVELS:
        yield [table.collect() for table in tables]
        return
    with tempfile.TemporaryDirectory(prefix="onebutton-monitor-") as scratch:
        for number, table in enumerate(tables):
            digit = pl.col(KEY) // PARTS**level % PARTS
            by = pl.PartitionBy(Path(scratch, str(number)), key={"_part": digit}, include_key=False)
            table.sink_ipc(by, mkdir=True, engine="streaming", compression="lz4", record_batch_size=WRITTEN)
        for part in range(PARTS):
            found = [
                pl.concat([schema.to_frame().lazy(), *map(pl.scan_ipc, Path(scratch).glob(f"{number}/_part={part}/*"))])
                for number, schema in enumerate(schemas)
            ]
            yield from _parts(found, level + 1)


def _last(rows: pl.DataFrame, by: str) -> pl.DataFrame:
    """Keep the last row of each key; sorting takes a tenth of the time of a table of hashes."""
    return rows.sort(KEY, by, maintain_order=True).filter(pl.col(KEY).ne_missing(pl.col(KEY).shift(-1)))


def outcome(known: pl.DataFrame, judging: Judging, harm: Harm) -> pl.DataFrame:
    """Find what each row is watched by: prediction, answer, their product and square, and what a wrong call cost.

    Of several classes, the prediction is the probability of the class that was called, and the answer whether it was right.
    """
    rows = read_rows(known, replace(judging, unit=""), judging.prediction)  # a log may lack quantiles
    predicted, answered = rows.predictions, rows.answers
    if judging.task == "binary":
        strange = answered[(answered != 0) & (answered != 1)]
        require(not len(strange), f"labels: {judging.answer} is {strange[:1]}, where 0 or 1 is wanted")
        cost = np.where(rows.called > answered, harm.false_alarm, harm.miss) * np.abs(rows.called - answered)
    elif judging.task == "multiclass":
        predicted, answered = predicted.max(axis=1, initial=0), (rows.called == rows.codes).astype(np.float64)
        cost = harm.wrong * (1 - answered)
    else:
        cost = harm.wrong * np.abs(predicted - answered)
    values = (predicted, answered, predicted * answered, predicted**2, cost)
    return pl.DataFrame(dict(zip(SUMS, values, strict=True)), schema=dict.fromkeys(SUMS, pl.Float64))


def measure(days: pl.DataFrame, *by: str) -> pl.DataFrame:
    """Measure days of each slice, rows of `Joined.days`, together, or by another column as well.

    Returns:
        `rows`, `labelled`, how many `days` have labels, and the numbers `cost` of a row, `gap` (predicted minus observed) and
        `slope` of answers on predictions (Cox 1958). A number is a struct of its `estimate` and the ends `low` and `high` of its
        95 % interval; days count as one observation each. Null is what labels are too few for.
    """
    count = pl.col("labelled")
    predicted, answered, both, squared, cost = map(pl.col, SUMS)
    middle, share = predicted.sum() / count.sum(), answered.sum() / count.sum()
    spread = squared - 2 * middle * predicted + count * middle**2
    together = both - middle * answered - share * predicted + count * middle * share
    return days.group_by(SLICE, *by, maintain_order=True).agg(
        pl.col("rows").sum(),
        count.sum(),
        days=(count > 0).sum(),
        cost=_ratio(cost, count),
        gap=_ratio(predicted - answered, count),
        slope=_ratio(together, spread),
    )


def _ratio(above: pl.Expr, below: pl.Expr) -> pl.Expr:
    """Divide two sums over days, with the interval of the sandwich (Liang and Zeger 1986); one day alone has none."""
    estimate, days = above.sum() / below.sum(), (pl.col("labelled") > 0).sum()
    error = ((above - estimate * below).pow(2).sum() * days / (days - 1)).sqrt() / below.sum()
    reach = days.map_elements(student, return_dtype=pl.Float64) * error
    known = below.sum().fill_nan(0) > ALIKE * pl.col("labelled").sum()
    ends = pl.when(known, days > 1)
    return pl.struct(
        estimate=pl.when(known).then(estimate), low=ends.then(estimate - reach), high=ends.then(estimate + reach)
    )


def words(number: Mapping[str, float | None]) -> str:
    """Write a number with its interval."""
    return "no labels" if number["estimate"] is None else with_interval(number)
