"""Name what is likely to know the answer already: a model that sees it is good here and useless later."""

from collections.abc import Iterator

import numpy as np
import polars as pl

from onebutton_contracts.intake.roles import Roles
from onebutton_contracts.tables import HOLDOUT, SPLIT

WHOLE = {"binary": 0.9, "multiclass": 0.95, "regression": 0.98}  # of the way from guessing to knowing
ORDERED = 0.9  # the same, of an id, which should know nothing
BINS, ROWS_A_BIN = 64, 5  # that a column of numbers is cut into, and what each holds
UNUSUAL = 0.005  # of the rows, as copies on both sides
SEED = 2024
ENOUGH = 20_000  # rows to look at


def knowing_columns(rows: pl.DataFrame, roles: Roles) -> dict[str, float]:
    """Find the inputs of which each alone predicts the answer almost wholly, with the share of it that each tells."""
    some = rows.sample(min(rows.height, ENOUGH), seed=SEED)
    told = {name: _tells(some[name], some, roles) for name in (*roles.numbers, *roles.words)}
    return {name: share for name, share in told.items() if share >= WHOLE[roles.task]}


def likely_leaks(table: pl.DataFrame, rows: pl.DataFrame, roles: Roles) -> Iterator[str]:
    """Say what else may know the answer: an id that orders it, and rows that stand on both sides of the column `split`."""
    for name in [one for one in roles.key if one in table.columns and one != roles.time]:
        if _tells(rows[name].rank("dense"), rows, roles) >= ORDERED:
            yield f"{name} orders the answer. It is no input; was it given out, or the file sorted, when the answer was known?"
    alike = [*roles.numbers, *roles.words, roles.answer]
    finest = max(alike[:-1], key=lambda name: rows[name].n_unique())
    if rows[finest].n_unique() > rows.height / 4:  # else rows of few values are alike by chance
        found, by_chance = (_shared(rows.with_columns(one), alike) for one in (finest, rows[finest].shuffle(SEED)))
        if found > 3 * by_chance + UNUSUAL * rows.height:
            yield f"{found:,} rows that judge stand in training, too: are they copies? Leave them out in the file"


def _shared(rows: pl.DataFrame, alike: list[str]) -> int:
    """Count the rows of the holdout that training has, too."""
    held_out, known = rows.filter(pl.col(SPLIT) == HOLDOUT), rows.filter(pl.col(SPLIT) != HOLDOUT)
    return held_out.join(known.select(alike).unique(), on=alike, how="semi", nulls_equal=True).height


def _tells(column: pl.Series, rows: pl.DataFrame, roles: Roles) -> float:
    """Measure how much of an answer a column alone tells on rows that it was not looked up in, from 0 for nothing to 1 for all.

    Of a number the share of the variance of its rank, of classes the share of the errors of always saying the commonest that go.
    A missing value is a value, and is left out where most are known.
    """
    is_number, known = roles.task == "regression", column.is_not_null()
    answers = rows[roles.answer].rank("average" if is_number else "dense")
    found = _by_lookup(column, answers, is_number=is_number)
    some = len(column) / 2 < known.sum() < len(column)
    return max(found, _by_lookup(column.filter(known), answers.filter(known), is_number=is_number)) if some else found


def _by_lookup(column: pl.Series, answers: pl.Series, *, is_number: bool) -> float:
    """Measure what the usual answer for each value in one half of the rows tells of the other half."""
    in_first_half = np.random.Generator(np.random.PCG64(SEED)).permutation(len(answers)) % 2 == 0
    rows = pl.DataFrame({"value": _codes(column), "answer": answers, "first": in_first_half})
    answer, first, always = pl.col("answer"), pl.col("first"), pl.col("always")
    usual = answer.filter(first).mean() if is_number else answer.filter(first).mode().min()
    asked = rows.with_columns(said=usual.over("value"), always=usual).filter(~first)
    both = (pl.coalesce("said", always), always)
    left, at_first = (((said - answer) ** 2 if is_number else said != answer).sum() for said in both)
    return float(asked.select(pl.when(at_first > 0).then(1 - left / at_first).otherwise(0)).item())


def _codes(column: pl.Series) -> pl.Series:
    """Number the values of a column, many numbers by bins of equal count; nulls are a value."""
    bins = min(BINS, len(column) // (2 * ROWS_A_BIN))
    if column.dtype == pl.String or column.n_unique() <= bins:
        return column.rank("dense").fill_null(0)
    return (column.rank("average") * bins // len(column)).fill_null(-1)
