from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import polars as pl
import pytest
from sklearn.metrics import log_loss
from sklearn.pipeline import Pipeline
from sklearn.preprocessing import StandardScaler

from flight_delays.features import CATEGORIES, NUMBERS
from flight_delays.params import TrainParams
from flight_delays.train import Tuning, boosted_trees, encode, model_inputs, ship, train, train_baseline, tune
from onebutton_contracts.contract import load_contract
from onebutton_contracts.errors import run_stage
from onebutton_contracts.odd_rows import odd_rows
from onebutton_flights.weather import WEATHER
from onebutton_models import conversion
from onebutton_models.conversion import ConversionError, to_onnx
from onebutton_models.proof import answers_of
from onebutton_models.scoring import Limits, OnnxModel

if TYPE_CHECKING:
    from numpy.typing import NDArray

FEATURES = load_contract(Path(__file__).parents[1] / "contracts" / "features.odcs.yaml")


def trained(rows: pl.DataFrame, quick: TrainParams) -> tuple[bytes, bytes]:
    """Go the whole way to both files."""
    pipeline = train(rows, tune(rows, quick), quick)
    return ship(pipeline, rows, quick, FEATURES), ship(train_baseline(rows), rows, quick, FEATURES)


@pytest.fixture(scope="module")
def tuning(rows: pl.DataFrame, quick: TrainParams) -> Tuning:
    return tune(rows, quick)


@pytest.fixture(scope="module")
def trees(rows: pl.DataFrame, tuning: Tuning, quick: TrainParams) -> Pipeline:
    return train(rows, tuning, quick)


@pytest.fixture(scope="module")
def models(rows: pl.DataFrame, quick: TrainParams) -> tuple[bytes, bytes]:
    """The files of the trees and of the baseline."""
    return trained(rows, quick)


def probabilities(model: bytes, rows: pl.DataFrame) -> NDArray[np.float32]:
    return OnnxModel(model).predict(model_inputs(rows))


def test_the_model_sees_text_and_float32_and_nothing_else(rows: pl.DataFrame, models: tuple[bytes, bytes]) -> None:
    inputs = model_inputs(rows)
    assert inputs.schema == dict.fromkeys(CATEGORIES, pl.String()) | dict.fromkeys(NUMBERS, pl.Float32())
    expected = dict.fromkeys(CATEGORIES, "string") | dict.fromkeys(NUMBERS, "float")
    assert [OnnxModel(model).inputs for model in models] == [expected, expected]


def test_tuning_takes_the_leaves_and_trees_with_the_least_loss(
    rows: pl.DataFrame, tuning: Tuning, quick: TrainParams
) -> None:
    alone = [tune(rows, quick.model_copy(update={"num_leaves": [leaves]})) for leaves in quick.num_leaves]
    best = min(alone, key=lambda one: one.log_loss)
    assert (tuning.num_leaves, tuning.trees, tuning.log_loss) == (best.num_leaves, best.trees, best.log_loss)
    assert tuning.curve["log_loss"].arg_min() == tuning.trees - 1
    assert tuning.curve["log_loss"].min() == pytest.approx(tuning.log_loss, abs=1e-6)


def test_tuning_stops_when_more_trees_no_longer_help(tuning: Tuning, rows: pl.DataFrame, quick: TrainParams) -> None:
    eager = tune(rows, quick.model_copy(update={"learning_rate": 1.0, "max_trees": 200}))
    assert eager.curve.height == eager.trees + quick.stop_after < 200
    assert eager.log_loss > tuning.log_loss


def test_the_loss_of_tuning_is_that_of_the_months_kept_for_it(
    rows: pl.DataFrame, tuning: Tuning, quick: TrainParams
) -> None:
    fit, check = rows.filter(pl.col("month") < 6), rows.filter(month=6)
    estimator = boosted_trees(quick, tuning.num_leaves, tuning.trees)
    pipeline = Pipeline([("columns", encode()), ("trees", estimator)]).fit(model_inputs(fit), fit["late"].to_numpy())
    loss = log_loss(check["late"].to_numpy(), pipeline.predict_proba(model_inputs(check)))
    assert loss == pytest.approx(tuning.log_loss, abs=1e-9)


def test_the_model_is_trained_on_the_tuning_months_too(
    rows: pl.DataFrame, tuning: Tuning, trees: Pipeline, quick: TrainParams
) -> None:
    june = pl.col("month") == 6
    otherwise = rows.with_columns(late=pl.when(june).then(1 - pl.col("late")).otherwise("late"))
    another = train(otherwise, tuning, quick)
    answers = (pipeline.predict_proba(model_inputs(rows))[:, 1] for pipeline in (trees, another))
    assert np.ptp(np.subtract(*answers)) > 0.1


def test_training_twice_gives_the_same_bytes(
    rows: pl.DataFrame, models: tuple[bytes, bytes], quick: TrainParams
) -> None:
    assert trained(rows, quick) == models


def test_another_seed_gives_another_model(
    rows: pl.DataFrame, tuning: Tuning, models: tuple[bytes, bytes], quick: TrainParams
) -> None:
    another = quick.model_copy(update={"seed": 2014})
    assert ship(train(rows, tuning, another), rows, quick, FEATURES) != models[0]


def test_what_happens_in_the_training_months_does_change_them(
    rows: pl.DataFrame, models: tuple[bytes, bytes], quick: TrainParams
) -> None:
    january = pl.col("month") == 1
    otherwise = rows.with_columns(late=pl.when(january).then(1 - pl.col("late")).otherwise("late"))
    assert not set(trained(otherwise, quick)) & set(models)


# --- scoring what training never saw


def test_an_unseen_airport_is_scored_instead_of_refused(later: pl.DataFrame, models: tuple[bytes, bytes]) -> None:
    new = later.with_columns(dest=pl.lit("XNA2"), carrier=pl.lit("ZZ"))
    for model in models:
        answers = probabilities(model, new)
        assert np.isfinite(answers).all()
        assert 0 < answers.min() < answers.max() < 1


def test_missing_weather_is_scored_instead_of_refused(rows: pl.DataFrame, models: tuple[bytes, bytes]) -> None:
    blind = rows.with_columns(pl.lit(None, pl.Float64).alias(name) for name in WEATHER)
    for model in models:
        answers = probabilities(model, blind)
        assert np.isfinite(answers).all()
        assert (answers != probabilities(model, rows)).any()


def apart(trained: Pipeline, model: bytes, frame: pl.DataFrame) -> float:
    """Score every row both ways; return the largest difference."""
    return float(np.abs(OnnxModel(model).predict(frame) - answers_of(trained)(frame)).max())


def test_onnx_answers_as_scikit_learn_does_where_airports_are_new_and_weather_is_missing(
    rows: pl.DataFrame, trees: Pipeline, models: tuple[bytes, bytes]
) -> None:
    blind = rows.with_columns(pl.lit(None, pl.Float64).alias(name) for name in WEATHER)
    new = blind.with_columns(dest=pl.lit("XNA2"))
    assert apart(trees, models[0], model_inputs(pl.concat([rows, blind, new]))) <= 1e-6


def test_the_files_answer_all_that_the_contract_lets_in_as_scikit_learn_does(
    rows: pl.DataFrame, trees: Pipeline, models: tuple[bytes, bytes]
) -> None:
    odd = odd_rows(FEATURES, model_inputs(rows), 1000, seed=1)  # another seed than the proof's
    assert odd["temp"].null_count() > 0
    assert apart(trees, models[0], odd) <= 1e-5
    assert [OnnxModel(model).limits for model in models] == [Limits(), Limits()]


# --- what ships is what was trained


@pytest.fixture(scope="module")
def later_flights(later: pl.DataFrame) -> pl.DataFrame:
    """What the model sees of them."""
    return model_inputs(later)


def test_no_real_flight_changes_sides_when_thresholds_become_float32(
    trees: Pipeline, later_flights: pl.DataFrame
) -> None:
    assert later_flights.height > 80_000
    assert apart(trees, to_onnx(trees, later_flights), later_flights) <= 1e-6


def test_thresholds_rounded_to_the_nearest_float32_would_be_refused_on_real_flights(
    trees: Pipeline, later_flights: pl.DataFrame, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(conversion, "_round_down", lambda node: node)
    assert apart(trees, to_onnx(trees, later_flights), later_flights) > 1e-6


def test_they_would_not_ship_either_though_the_proof_knows_no_later_flight(
    trees: Pipeline, rows: pl.DataFrame, quick: TrainParams, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(conversion, "_round_down", lambda node: node)
    with pytest.raises(ConversionError, match="differ by"):
        ship(trees, rows, quick, FEATURES)


def test_a_tolerance_of_nothing_ships_nothing(trees: Pipeline, rows: pl.DataFrame, quick: TrainParams) -> None:
    with pytest.raises(ConversionError, match=r"differ by .* on the sample, 0 is allowed"):
        ship(trees, rows, quick.model_copy(update={"proof_tolerance": 0.0}), FEATURES)


def test_trees_behind_a_scaler_do_not_ship(rows: pl.DataFrame, tuning: Tuning, quick: TrainParams) -> None:
    estimator = boosted_trees(quick, tuning.num_leaves, tuning.trees)
    scaled = Pipeline([("columns", encode()), ("scale", StandardScaler()), ("trees", estimator)])
    with pytest.raises(ConversionError, match="scale nothing that goes into trees"):
        ship(scaled.fit(model_inputs(rows), rows["late"].to_numpy()), rows, quick, FEATURES)


def test_an_estimator_that_onnx_does_not_know_does_not_ship(rows: pl.DataFrame, quick: TrainParams) -> None:
    from sklearn.ensemble import VotingClassifier

    voting: Any = VotingClassifier([("trees", boosted_trees(quick, 15, 3))])
    pipeline = Pipeline([("columns", encode()), ("vote", voting)])
    fitted = pipeline.fit(model_inputs(rows), rows["late"].to_numpy())
    with pytest.raises(SystemExit, match=r"^step 'vote': VotingClassifier cannot become ONNX"):  # a line, no traceback
        run_stage(lambda: ship(fitted, rows, quick, FEATURES))


def test_the_stage_writes_both_models_and_what_tuning_saw(finished: Path) -> None:
    chosen = json.loads((finished / "tuning.json").read_text(encoding="utf-8"))["tuning"]
    curve = pl.read_csv(finished / "plots" / "tuning.csv")
    assert curve.filter(pl.col("trees") == chosen["trees"])["log_loss"].item() == chosen["log_loss"]
    first, second = (OnnxModel(finished / "model" / f"{name}.onnx") for name in ("model", "baseline"))
    assert first.inputs == second.inputs
