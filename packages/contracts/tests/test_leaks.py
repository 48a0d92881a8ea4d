"""Planted leaks are named, and honest tables are left in peace."""

from collections.abc import Callable
from typing import Any

import numpy as np
import polars as pl
import pytest

from onebutton_contracts.intake.leaks import knowing_columns, likely_leaks
from onebutton_contracts.intake.roles import Said, find_roles, prepare

ROWS = 800
Draw = Callable[[np.random.Generator], dict[str, Any]]


def numbers(chance: np.random.Generator) -> dict[str, Any]:
    """A number that six others explain in part."""
    inputs = chance.normal(size=(ROWS, 6))
    answer = inputs @ [3, 2, 1, 1, 0.5, 0] + chance.normal(0, 2, ROWS)
    return {**{f"measure {n}": inputs[:, n] for n in range(6)}, "answer": answer}


def yes_or_no(chance: np.random.Generator) -> dict[str, Any]:
    """A rare yes, and columns of few values."""
    age, visits = chance.integers(18, 90, ROWS), chance.poisson(3, ROWS)
    yes = chance.random(ROWS) < 1 / (1 + np.exp(6 - 0.05 * age - 0.4 * visits))
    return {
        "age": age,
        "visits": visits,
        "town": chance.choice(["A", "B", "C"], ROWS),
        "answer": np.where(yes, "yes", "no"),
    }


def classes(chance: np.random.Generator) -> dict[str, Any]:
    """Three classes that one column nearly tells apart."""
    kind = chance.integers(0, 3, ROWS)
    return {
        "width": kind + chance.normal(0, 0.45, ROWS),
        "height": chance.normal(size=ROWS),
        "answer": [f"kind {n}" for n in kind],
    }


def skewed(chance: np.random.Generator) -> dict[str, Any]:
    """Prices, a few of them far larger than the others, some columns with missing values."""
    size, age = chance.lognormal(4, 0.8, ROWS), chance.integers(0, 99, ROWS).astype(float)
    price = size * chance.lognormal(1, 0.3, ROWS) * np.exp(-age / 90)
    age[chance.random(ROWS) < 0.2] = np.nan
    return {"size": size, "age": age, "answer": price}


def days(chance: np.random.Generator) -> dict[str, Any]:
    """Sales that rise from day to day, the rows numbered as they came."""
    day = np.arange(ROWS)
    sales = 50 + day / 20 + chance.normal(0, 20, ROWS)
    return {"sale_id": day + 1, "weekday": day % 7, "rain": chance.normal(size=ROWS), "answer": sales}


HONEST: tuple[Draw, ...] = (numbers, yes_or_no, classes, skewed, days)


def other_unit(table: dict[str, Any], chance: np.random.Generator) -> dict[str, Any]:
    return {"in_pounds": np.asarray(table["answer"]) * 2.2046 + chance.normal(0, 0.01, ROWS)}


def taken_later(table: dict[str, Any], chance: np.random.Generator) -> dict[str, Any]:
    """What is written down when the answer is known, and only then."""
    yes = np.asarray(table["answer"]) == "yes"
    return {"refund": [value if one else None for one, value in zip(yes, chance.normal(size=ROWS), strict=True)]}


def code_of(table: dict[str, Any], chance: np.random.Generator) -> dict[str, Any]:
    wrong = chance.random(ROWS) < 0.01
    return {"verdict": ["X" if out else f"code {one}" for one, out in zip(table["answer"], wrong, strict=True)]}


def by_order(table: dict[str, Any], _: np.random.Generator) -> dict[str, Any]:
    """An id that was given out when the answer was known."""
    codes = np.unique(np.asarray(table["answer"]), return_inverse=True)[1]
    return {"case_id": np.argsort(np.argsort(codes, kind="stable"), kind="stable") + 1}


def score_of(table: dict[str, Any], chance: np.random.Generator) -> dict[str, Any]:
    """Another model's score, made of the answer."""
    yes = np.asarray(table["answer"]) == "yes"
    return {"score": yes + chance.normal(0, 0.2, ROWS)}


PLANTED = [
    (numbers, other_unit),
    (numbers, by_order),
    (skewed, other_unit),
    (skewed, by_order),
    (days, other_unit),
    (yes_or_no, taken_later),
    (yes_or_no, code_of),
    (yes_or_no, score_of),
    (yes_or_no, by_order),
    (classes, code_of),
]


def named(columns: dict[str, Any], *, copies: bool = False) -> list[str]:
    """What is named of a table; with `copies` every fifth row stands in it twice."""
    table = pl.DataFrame({name: list(values) for name, values in columns.items()}).fill_nan(None)
    table = pl.concat([table, table.gather_every(5)]) if copies else table
    roles = find_roles(table, Said("answer"), {})
    rows = prepare(table, roles)
    side = pl.Series("split", np.random.default_rng(0).choice(["fit", "holdout"], rows.height))
    return [*knowing_columns(rows, roles), *likely_leaks(table, rows.with_columns(side), roles)]


@pytest.mark.parametrize("seed", [1, 2])
def test_of_ten_honest_tables_at_most_one_is_suspected(seed: int) -> None:
    found = [draw.__name__ for draw in HONEST if named(draw(np.random.default_rng(seed)))]
    assert not found


def test_of_ten_planted_leaks_nine_are_named() -> None:
    missed = []
    for number, (draw, plant) in enumerate(PLANTED):
        luck = np.random.default_rng(number)
        table = draw(luck)
        planted = plant(table, luck)
        if not any(name in " ".join(named({**planted, **table})) for name in planted):
            missed.append((draw.__name__, plant.__name__))
    assert len(missed) <= 1, missed


def test_rows_that_stand_twice_are_named_and_rows_alike_by_chance_are_not() -> None:
    assert "are they copies?" in " ".join(named(numbers(np.random.default_rng(3)), copies=True))
    assert named(yes_or_no(np.random.default_rng(3))) == []
