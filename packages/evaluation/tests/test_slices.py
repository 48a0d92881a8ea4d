import datetime as dt

import numpy as np
import polars as pl
import pytest
from sklearn.metrics import log_loss, roc_auc_score

from onebutton_contracts.errors import InputError
from onebutton_evaluation.declarations import Judging, SliceRule
from onebutton_evaluation.slices import find_slices, judge

FLIGHTS = pl.DataFrame(
    {
        "origin": ["JFK", "EWR", None, "JFK", "EWR", "LGA"],
        "month": [9, 12, 9, 9, 12, 7],
        "hour": [6, 18, 20, 18, 17, 9],
        "distance": [100.0, 200.0, None, 300.0, 400.0, 500.0],
    }
)


def masks(*rules: SliceRule) -> dict[str, list[int]]:
    return {one.name: np.flatnonzero(one.mask).tolist() for one in find_slices(FLIGHTS, rules)}


def test_all_rows_come_first_and_then_one_slice_per_value_in_their_order() -> None:
    found = masks(SliceRule(by=("month",), labels={"9": "September", "12": "December"}))
    assert found == {"all": [0, 1, 2, 3, 4, 5], "month 7": [5], "month September": [0, 2, 3], "month December": [1, 4]}
    assert list(found) == ["all", "month 7", "month September", "month December"]


def test_missing_values_are_a_slice_of_their_own_so_that_every_row_is_in_one() -> None:
    found = masks(SliceRule(by=("origin",)))
    assert found["origin missing"] == [2]
    assert sorted(row for name, rows in found.items() if name != "all" for row in rows) == [0, 1, 2, 3, 4, 5]
    found = masks(SliceRule(by=("distance",), quantiles=2))
    assert found == {
        "all": [0, 1, 2, 3, 4, 5],
        "distance 100 to 300": [0, 1, 3],
        "distance 300 to 500": [4, 5],
        "distance missing": [2],
    }


def test_combinations_and_conditions_name_parts_of_parts() -> None:
    assert masks(SliceRule(by=("origin", "month")))["origin JFK and month 9"] == [0, 3]
    evening = masks(SliceRule(name="EWR evenings", where="origin = 'EWR' AND hour >= 18"))
    assert evening == {"all": [0, 1, 2, 3, 4, 5], "EWR evenings": [1]}


@pytest.mark.parametrize(
    ("rule", "words"),
    [
        (
            SliceRule(by=("airport",)),
            'slices by (\'airport\',) cannot be cut: unable to find column "airport"; valid columns: ["origin"',
        ),
        (
            SliceRule(name="x", where="airport = 'JFK'"),
            "slices by \"airport = 'JFK'\" cannot be cut: unable to find column",
        ),
        (SliceRule(name="x", where="origin ="), "slices by 'origin =' cannot be cut: unable to parse"),
        (SliceRule(name="all", where="month = 9"), "two slices are called 'all'"),
    ],
)
def test_a_slice_that_cannot_be_cut_is_refused_in_a_line(rule: SliceRule, words: str) -> None:
    with pytest.raises(InputError, match=r"gates\.toml") as refusal:
        find_slices(FLIGHTS, [rule])
    assert words in str(refusal.value)


def test_a_column_with_a_value_per_row_is_refused_as_the_key_that_it_is() -> None:
    many = pl.DataFrame({"flight": range(600)})
    with pytest.raises(InputError, match="more than 500"):
        find_slices(many, [SliceRule(by=("flight",))])


def test_each_slice_has_the_numbers_of_its_own_rows(
    days: pl.DataFrame, judging: Judging, parts: list[SliceRule]
) -> None:
    judged = judge(days, find_slices(days, parts), judging)
    assert list(judged) == ["all", *(f"part {number}" for number in range(8))]
    for name, one in list(judged.items())[1:]:
        rows = days.filter(pl.col("part") == int(name.removeprefix("part ")))
        assert (one["rows"], one["units"]) == (rows.height, rows["unit"].n_unique())
        answers, predictions = rows["answer"].to_numpy(), rows["challenger"].to_numpy()
        assert one["metrics"]["auc"]["estimate"] == pytest.approx(roc_auc_score(answers, predictions))
        assert one["metrics"]["log_loss"]["estimate"] == pytest.approx(log_loss(answers, predictions))
        assert all(number["low"] < number["estimate"] < number["high"] for number in one["metrics"].values())


def test_a_slice_of_few_rows_or_few_units_has_no_numbers(days: pl.DataFrame, judging: Judging) -> None:
    rules = [SliceRule(name="one day", where="unit = 3"), SliceRule(name="ten days", where="unit < 10")]
    _, one, ten = judge(days, find_slices(days, rules), judging).values()
    assert (one["metrics"], ten["metrics"]) == ({}, {})
    assert ten["rows"] > judging.minimum_rows
    assert ten["units"] == 10


def test_days_may_be_dates_and_units_text(judging: Judging, days: pl.DataFrame) -> None:
    start = pl.lit(dt.date(2013, 7, 1))
    dated = days.with_columns((start + pl.duration(days=pl.col("unit"))).alias("unit"))
    texts = days.with_columns(pl.format("day {}", "unit").alias("unit"))
    plain, *others = (
        judge(frame, find_slices(frame, []), judging)["all"]["metrics"]["auc"] for frame in (days, dated, texts)
    )
    assert others == [plain, plain]


@pytest.mark.parametrize("column", ["answer", "challenger", "unit"])
def test_rows_that_cannot_be_judged_are_refused_and_not_left_out(
    days: pl.DataFrame, judging: Judging, column: str
) -> None:
    broken = days.with_columns(pl.when(pl.int_range(pl.len()) > 2).then(column).alias(column))
    with pytest.raises(InputError, match=f"3 of 9042 rows have no {column}; leaving them out would flatter the model"):
        judge(broken, find_slices(broken, []), judging)
    with pytest.raises(InputError, match=f"'{column}' is no column"):
        judge(days.drop(column), find_slices(days, []), judging)
