"""Say which rows train a model and which judge it: by values of a column, by an instant, by groups, or at random.

The column `split` says it: `fit` trains, `tune` chooses among trained models, `holdout` judges and is never trained on.
`onebutton_contracts.tables.write_split` writes the two files.
"""

from collections.abc import Iterable
from datetime import date, datetime
from typing import Any

import numpy as np
import polars as pl

from onebutton_contracts.errors import require
from onebutton_contracts.frames import from_pandas
from onebutton_contracts.tables import HOLDOUT, SPLIT

FIT, TUNE = "fit", "tune"


def by_values(
    rows: pl.DataFrame, column: str, *, fit: Iterable[object], holdout: Iterable[object], tune: Iterable[object] = ()
) -> pl.DataFrame:
    """Split by the values of a column, such as months or shops; rows with other values are left out.

    Raises:
        InputError: a value is named twice, so the score would flatter the model.
    """
    parts = {FIT: [*fit], TUNE: [*tune], HOLDOUT: [*holdout]}
    values = [value for part in parts.values() for value in part]
    for value in values:
        twice = f"{column} {value} is in more than one part of the split, so the score would flatter the model"
        require(values.count(value) == 1, f"{twice}. Name it in one alone, then press `make run`")
    place = {value: part for part, values in parts.items() for value in values}
    kept = rows.filter(pl.col(column).is_in(values))
    return kept.with_columns(pl.col(column).replace_strict(place, return_dtype=pl.String).alias(SPLIT))


def by_time(
    rows: pl.DataFrame, column: str, *, holdout_from: date | datetime, tune_from: date | datetime | None = None
) -> pl.DataFrame:
    """Split by a date or an instant: what is judged comes after all that was trained on.

    Raises:
        InputError: rows are tuned on from a time that is not before the holdout, or a row has no time.
    """
    late = f"the split tunes from {tune_from} on, which is not before {holdout_from}, where the holdout begins"
    require(tune_from is None or tune_from < holdout_from, late)
    lacking = rows[column].null_count()
    words = f"{lacking:,} of {rows.height:,} rows have no {column}, so nothing says if they come before"
    require(not lacking, words)
    time = pl.col(column)
    fitted = pl.when(time < (tune_from or holdout_from)).then(pl.lit(FIT))
    part = fitted.when(time < holdout_from).then(pl.lit(TUNE)).otherwise(pl.lit(HOLDOUT))
    return rows.with_columns(part.alias(SPLIT))


def by_group(
    rows: pl.DataFrame, column: str, *, holdout_share: float, seed: int, tune_share: float = 0.0
) -> pl.DataFrame:
    """Draw groups, such as customers: all rows of one are on the same side. The shares are of the groups."""
    groups = rows.select(pl.col(column).unique().sort())
    drawn = at_random(groups, holdout_share=holdout_share, seed=seed, tune_share=tune_share)
    return rows.join(drawn, on=column, how="left", maintain_order="left", nulls_equal=True)


def at_random(rows: pl.DataFrame, *, holdout_share: float, seed: int, tune_share: float = 0.0) -> pl.DataFrame:
    """Draw rows: the same ones from the same seed. For rows that neither follow each other in time nor belong together."""
    held_out, tuned = round(holdout_share * rows.height), round(tune_share * rows.height)
    parts = pl.Series(SPLIT, [HOLDOUT] * held_out + [TUNE] * tuned).extend_constant(FIT, rows.height - held_out - tuned)
    drawn = rows.with_row_index("_row").sample(fraction=1.0, shuffle=True, seed=seed)
    return drawn.with_columns(parts).sort("_row").drop("_row")


def as_split(  # noqa: PLR0913  what a split in pandas gives
    known: Any, answers: Any, held_out: Any, held_answers: Any, *, answer: str, key: str
) -> pl.DataFrame:
    """Join what was split already, in pandas, such as by scikit-learn's `train_test_split`: inputs and answers of either side.

    The column of answers is called `answer`; `key` names a row by its index where that is a number of its own, else by its place.
    """
    sides = (known, answers, FIT), (held_out, held_answers, HOLDOUT)
    parts = [inputs.assign(**{answer: np.asarray(column), SPLIT: part}) for inputs, column, part in sides]
    rows = pl.concat(map(from_pandas, parts))
    if rows[answer].dtype == pl.Boolean:
        rows = rows.with_columns(pl.col(answer).cast(pl.Int64))
    index = known.index.append(held_out.index)
    numbers = index if index.is_unique and index.inferred_type == "integer" else range(len(index))
    return rows.select(pl.Series(key, list(numbers), pl.Int64), pl.all())


def likely_leaks(known: pl.DataFrame, held_out: pl.DataFrame, unit: str = "") -> list[str]:
    """Say where training may know the answers of the holdout: rows that belong together stand on both sides, or time runs back.

    Where a `unit` is declared and none is on both sides, times may overlap: the rows were drawn by it.
    """
    leaks = []
    if unit and unit in known.columns and unit in held_out.columns:
        shared = held_out.join(known.select(pl.col(unit).unique()), on=unit, how="semi").height
        if not shared:
            return []
        leaks.append(f"{shared:,} of {held_out.height:,} rows of the holdout share their {unit} with a row of training")
    for name, kind in held_out.schema.items():
        if kind in {pl.Date, pl.Datetime} and name in known.columns:
            later = known.filter(pl.col(name) > held_out[name].min()).height
            if later:
                leaks.append(f"by {name}, {later:,} of {known.height:,} rows of training come after the holdout begins")
    return leaks
