from pathlib import Path

import numpy as np
import polars as pl
import pytest

from delay_minutes.features import build_features
from delay_minutes.ingest import read_source
from delay_minutes.params import Params
from delay_minutes.train import ANSWER, LEVELS, model_inputs, ship, train
from onebutton_contracts.contract import Contract, load_contract
from onebutton_contracts.validation import validate
from onebutton_evaluation.holdout import read_holdout
from onebutton_flights.source import KNOWN_TOO_LATE
from onebutton_flights.weather import WEATHER
from onebutton_models.scoring import OnnxModel

PIPELINE = Path(__file__).parents[1]


def contract_of(name: str) -> Contract:
    return load_contract(PIPELINE / "contracts" / f"{name}.odcs.yaml")


@pytest.fixture(scope="module")
def params() -> Params:
    said = Params.load(PIPELINE / "params.yaml")
    return said.model_copy(update={"train": said.train.model_copy(update={"threads": 1})})


@pytest.fixture(scope="module")
def rows(params: Params) -> pl.DataFrame:
    """What `features` makes of the pinned files."""
    flights, weather = (validate(read_source(contract_of(name)), contract_of(name)) for name in ("flights", "weather"))
    return build_features(flights.lazy(), weather.lazy(), params.features)


@pytest.fixture(scope="module")
def known(rows: pl.DataFrame) -> pl.DataFrame:
    """What training sees."""
    return rows.filter(pl.col("split") != "holdout")


@pytest.fixture(scope="module")
def held_out(rows: pl.DataFrame) -> pl.DataFrame:
    """What judges the models."""
    return rows.filter(split="holdout")


@pytest.fixture(scope="module")
def models(known: pl.DataFrame, params: Params) -> dict[str, OnnxModel]:
    """The files that are written, by their name."""
    contract = contract_of("features")
    shipped = {
        name: ship(train(known, level, params.train), known, params.train, contract) for name, level in LEVELS.items()
    }
    return {name: OnnxModel(file) for name, file in shipped.items()}


def test_every_row_keeps_the_contract_and_is_judged_by_a_time_after_training(
    rows: pl.DataFrame, known: pl.DataFrame, held_out: pl.DataFrame
) -> None:
    contract = contract_of("features")
    assert (
        validate(rows.select(contract.column_names), contract).height == rows.height == known.height + held_out.height
    )
    latest, first = known["scheduled_hour"].to_list(), held_out["scheduled_hour"].to_list()
    assert max(latest) < min(first)


def test_the_holdout_is_the_one_that_the_contract_pins(held_out: pl.DataFrame) -> None:
    promised = contract_of("predictions")
    assert read_holdout(held_out, promised.primary_key, ANSWER).digest == promised.properties["holdoutSha256"]


def test_nothing_that_is_known_too_late_comes_in_but_the_answer(known: pl.DataFrame) -> None:
    assert set(contract_of("flights").column_names) & set(KNOWN_TOO_LATE) == {"arr_delay"}
    assert not set(contract_of("features").column_names) & set(KNOWN_TOO_LATE)
    assert ANSWER not in model_inputs(known).columns
    assert set(model_inputs(known).columns) <= set(contract_of("features").column_names)


def test_about_as_many_flights_of_later_months_come_before_each_level_as_it_says(
    held_out: pl.DataFrame, models: dict[str, OnnxModel]
) -> None:
    answers = held_out[ANSWER].to_numpy()
    for name, level in LEVELS.items():
        assert (answers < models[name].predict(model_inputs(held_out))).mean() == pytest.approx(level, abs=0.05)


def test_the_middle_is_nearer_than_the_median_of_before_also_without_weather(
    known: pl.DataFrame, held_out: pl.DataFrame, models: dict[str, OnnxModel]
) -> None:
    blind = held_out.with_columns(pl.lit(None, pl.Float64).alias(name) for name in WEATHER)
    answers = held_out[ANSWER].to_numpy()
    seen, unseen = (np.abs(models["model"].predict(model_inputs(rows)) - answers).mean() for rows in (held_out, blind))
    assert seen < unseen < np.abs(np.median(known[ANSWER].to_numpy()) - answers).mean()


def test_an_unseen_airport_is_answered(held_out: pl.DataFrame, models: dict[str, OnnxModel]) -> None:
    new = model_inputs(held_out.with_columns(dest=pl.lit("XNA")))
    low, middle, high = (models[name].predict(new) for name in ("p10", "model", "p90"))
    assert (low < middle).all()
    assert (middle < high).all()


def test_training_twice_gives_the_same_bytes(known: pl.DataFrame, params: Params) -> None:
    some, contract = known.gather_every(10), contract_of("features")
    assert len({ship(train(some, 0.5, params.train), some, params.train, contract) for _ in range(2)}) == 1
