from __future__ import annotations

import json
import shutil
from pathlib import Path

import polars as pl
import pytest

from flight_delays import judge
from flight_delays.judge import judged_rows

PIPELINE = Path(__file__).parents[1]
KEY = ("carrier", "flight", "origin", "scheduled_hour")


@pytest.fixture
def folder(finished: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The results of the small run, to change and to judge again."""
    copy = tmp_path / "flight_delays"
    shutil.copytree(finished, copy)
    monkeypatch.chdir(copy)
    return copy


def test_every_prediction_is_judged_with_its_features_beside_it(finished: Path) -> None:
    predictions, features = (
        pl.read_parquet(finished / "data" / f"{name}.parquet") for name in ("predictions", "features")
    )
    rows = judged_rows(predictions, features.sample(fraction=1, shuffle=True, seed=1), KEY)
    assert rows.select(predictions.columns).equals(predictions)
    there = rows.join(features, on=KEY, suffix="_again")
    assert there.height == predictions.height
    assert there["distance"].equals(there["distance_again"])
    late_evening = rows.filter(pl.col("departure_minute") >= 22 * 60)
    assert set(late_evening["hour"]) == {22, 23}
    assert rows["day"].n_unique() > 150


def test_the_slices_tell_the_story_of_the_year() -> None:
    slices = json.loads((PIPELINE / "slices.json").read_text(encoding="utf-8"))["slices"]
    september, december = (slices[f"month {name}"]["metrics"] for name in ("September", "December"))
    assert september["share"]["estimate"] == pytest.approx(0.137, abs=0.001)
    assert december["share"]["estimate"] == pytest.approx(0.335, abs=0.001)
    assert september["share"]["high"] < december["share"]["low"]
    assert (
        september["bias"]["low"] > 0 > december["bias"]["high"]
    )  # it says too much in the one and too little in the other
    assert slices["to Honolulu"]["enough_data"] is False


def test_the_first_release_is_on_record_and_the_baseline_is_compared_with(folder: Path) -> None:
    judge.main()
    compared = json.loads((folder / "comparison.json").read_text(encoding="utf-8"))
    assert compared["champion"] == {"name": None, "in_words": "first release: there is no champion yet"}
    assert (
        compared["logistic_regression"]["slices"]["all"]["rows"] == pl.read_parquet("data/predictions.parquet").height
    )


def test_a_champion_in_its_folder_is_compared_with(folder: Path) -> None:
    (folder / "champion").mkdir()
    shutil.copy(folder / "data" / "predictions.parquet", folder / "champion")
    (folder / "champion" / "champion.txt").write_text("2013-07\n", encoding="utf-8")
    judge.main()
    compared = json.loads((folder / "comparison.json").read_text(encoding="utf-8"))["champion"]
    assert (compared["name"], compared["verdict"]) == ("2013-07", "same")


def test_judging_again_gives_the_same_bytes(folder: Path) -> None:
    names = ("slices.json", "comparison.json", "robustness.json")
    before = {name: (folder / name).read_bytes() for name in names}
    judge.main()
    assert {name: (folder / name).read_bytes() for name in names} == before
