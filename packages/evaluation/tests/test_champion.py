import datetime as dt
from pathlib import Path

import polars as pl
import pytest

from onebutton_contracts.errors import InputError
from onebutton_evaluation.champion import Champion, beside, read_champion
from onebutton_evaluation.holdout import read_holdout

HOUR = dt.datetime(2013, 7, 1, 12, tzinfo=dt.UTC)
ROWS = pl.DataFrame({"flight": [1, 2, 3], "hour": [HOUR] * 3, "late": [0, 1, 0], "probability": [0.1, 0.2, 0.3]})
KEY = ("flight", "hour")


def test_without_a_champion_there_is_none(tmp_path: Path) -> None:
    assert read_champion(tmp_path) is None
    assert read_champion(tmp_path / "nowhere") is None


def test_predictions_that_another_branch_left_behind_are_no_champion(tmp_path: Path) -> None:
    ROWS.write_parquet(tmp_path / "predictions.parquet")
    assert read_champion(tmp_path) is None


def test_a_champion_stands_beside_the_challenger_row_by_row_in_any_order(tmp_path: Path) -> None:
    ROWS.with_columns(probability=pl.col("probability") + 0.5).reverse().write_parquet(tmp_path / "predictions.parquet")
    (tmp_path / "champion.txt").write_text("v7\n", encoding="utf-8")
    champion = read_champion(tmp_path)
    assert champion is not None
    assert champion.name == "v7"
    for rows in (ROWS, ROWS.with_columns(champion=0.0)):
        assert beside(rows, champion, KEY, {"probability": "champion"})["champion"].to_list() == pytest.approx(
            [0.6, 0.7, 0.8]
        )


@pytest.mark.parametrize(
    ("predictions", "words"),
    [
        (ROWS.head(2), "no prediction for 1 of 3 rows"),
        (ROWS.with_columns(probability=pl.lit(float("nan"))), "no prediction for 3 of 3 rows"),
        (ROWS.drop("probability"), "nothing can be compared: .*probability"),
    ],
)
def test_a_champion_that_cannot_answer_every_row_is_not_compared(predictions: pl.DataFrame, words: str) -> None:
    with pytest.raises(InputError, match=words):
        beside(ROWS, Champion("v7", predictions), KEY, {"probability": "champion"})


def test_a_damaged_file_of_the_champion_is_told_and_not_taken_for_none(tmp_path: Path) -> None:
    (tmp_path / "predictions.parquet").write_bytes(b"PAR1")
    (tmp_path / "champion.txt").write_text("v7\n", encoding="utf-8")
    with pytest.raises(InputError, match="Nothing was compared"):
        read_champion(tmp_path)


def test_a_champion_whose_predictions_are_not_here_is_told_and_not_taken_for_none(tmp_path: Path) -> None:
    (tmp_path / "champion.txt").write_text("v7\n", encoding="utf-8")
    with pytest.raises(InputError, match="`make pull` fetches them"):
        read_champion(tmp_path)


def test_a_file_that_names_no_champion_is_told_and_not_taken_for_none(tmp_path: Path) -> None:
    (tmp_path / "champion.txt").write_text("\n", encoding="utf-8")
    with pytest.raises(InputError, match=r"champion\.txt is empty, so it names no champion\. .*`make deploy STATUS=1`"):
        read_champion(tmp_path)


def test_the_holdout_is_the_same_in_any_order_and_another_with_other_rows_or_answers() -> None:
    holdout = read_holdout(ROWS, KEY, "late")
    assert holdout == read_holdout(ROWS.reverse().with_columns(probability=0.0), KEY, "late")
    others = [
        ROWS.head(2),
        ROWS.with_columns(late=1 - pl.col("late")),
        ROWS.with_columns(flight=pl.col("flight") + 1),
        ROWS.with_columns(hour=pl.col("hour") + pl.duration(hours=1)),
    ]
    digests = {read_holdout(other, KEY, "late").digest for other in others}
    assert len(digests) == 4
    assert holdout.digest not in digests
