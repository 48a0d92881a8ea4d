from datetime import date, timedelta

import polars as pl
import pytest

from onebutton_contracts.errors import InputError
from onebutton_evaluation.splits import at_random, by_group, by_time, by_values, likely_leaks

DAYS = pl.DataFrame(
    {"row": range(100), "day": [date(2024, 1, 1) + timedelta(days=row // 2) for row in range(100)]}
).with_columns(month=pl.col("day").dt.month(), customer=pl.col("row") % 20)


def parts(rows: pl.DataFrame) -> tuple[pl.DataFrame, pl.DataFrame]:
    return rows.filter(pl.col("split") != "holdout"), rows.filter(split="holdout")


def test_rows_of_other_values_are_left_out_and_the_rest_keeps_its_order() -> None:
    rows = by_values(DAYS, "month", fit=[1], holdout=[2])
    assert rows.drop("split").equals(DAYS.filter(pl.col("month") < 3))
    assert set(rows.filter(month=2)["split"]) == {"holdout"}


def test_a_value_in_two_parts_is_refused() -> None:
    with pytest.raises(InputError, match="month 2 is in more than one part of the split"):
        by_values(DAYS, "month", fit=[1, 2], tune=[3], holdout=[2])


def test_by_time_what_is_judged_comes_after_what_was_trained_on() -> None:
    rows = by_time(DAYS, "day", tune_from=date(2024, 1, 20), holdout_from=date(2024, 2, 1))
    ends = rows.group_by("split").agg(pl.col("day").min().alias("first"), pl.col("day").max().alias("last"))
    assert ends.sort("first")["split"].to_list() == ["fit", "tune", "holdout"]
    assert (ends.sort("first")["first"][1:] > ends.sort("first")["last"][:-1]).all()
    with pytest.raises(InputError, match="not before 2024-01-02"):
        by_time(DAYS, "day", tune_from=date(2024, 1, 2), holdout_from=date(2024, 1, 2))
    with pytest.raises(InputError, match="1 of 100 rows have no day"):
        by_time(DAYS.with_columns(day=pl.when(pl.col("row") > 0).then("day")), "day", holdout_from=date(2024, 2, 1))


def test_all_rows_of_a_group_are_on_the_same_side() -> None:
    rows = by_group(DAYS, "customer", holdout_share=0.3, tune_share=0.2, seed=1)
    assert rows.drop("split").equals(DAYS)
    sides = rows.group_by("customer").agg(pl.col("split").n_unique(), pl.col("split").first().alias("side"))
    assert set(sides["split"]) == {1}
    assert {side: len(some) for (side,), some in sides.group_by("side")} == {"fit": 10, "tune": 4, "holdout": 6}


def test_the_same_seed_draws_the_same_rows_and_another_seed_others() -> None:
    first, again, other = (at_random(DAYS, holdout_share=0.25, seed=seed) for seed in (1, 1, 2))
    assert first.equals(again)
    assert not first.equals(other)
    assert parts(first)[1].height == 25
    assert first.drop("split").equals(DAYS)


def test_a_random_split_of_rows_that_carry_a_time_is_told_as_a_likely_leak() -> None:
    (told,) = likely_leaks(*parts(at_random(DAYS, holdout_share=0.3, seed=1)))
    assert "of 70 rows of training come after the holdout begins" in told
    assert likely_leaks(*parts(by_time(DAYS, "day", holdout_from=date(2024, 2, 1)))) == []


def test_rows_that_share_their_unit_over_the_border_are_told_as_a_likely_leak() -> None:
    told = likely_leaks(*parts(at_random(DAYS, holdout_share=0.3, seed=1)), unit="customer")
    assert told[0] == "30 of 30 rows of the holdout share their customer with a row of training"
    assert likely_leaks(*parts(by_group(DAYS, "customer", holdout_share=0.3, seed=1)), unit="customer") == []
