from __future__ import annotations

import os
import subprocess
import sys
from typing import TYPE_CHECKING, Any

import numpy as np
import onnx
import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from lightgbm import LGBMClassifier, LGBMRegressor
from packages.models.tests.conftest import prove_equal
from sklearn.compose import ColumnTransformer
from sklearn.ensemble import (
    ExtraTreesClassifier,
    GradientBoostingClassifier,
    GradientBoostingRegressor,
    IsolationForest,
    RandomForestClassifier,
    RandomForestRegressor,
)
from sklearn.linear_model import LinearRegression, LogisticRegression
from sklearn.naive_bayes import GaussianNB
from sklearn.neighbors import KNeighborsClassifier
from sklearn.pipeline import Pipeline
from sklearn.preprocessing import OneHotEncoder, OrdinalEncoder, StandardScaler
from sklearn.tree import DecisionTreeClassifier

from onebutton_models import conversion
from onebutton_models.conversion import ConversionError, to_onnx
from onebutton_models.scoring import OnnxModel

if TYPE_CHECKING:
    from numpy.typing import NDArray

WHOLE = ["distance", "departure_minute"]  # the numbers that are never missing


def trees(seed: int = 0, **settings: Any) -> LGBMClassifier:
    return LGBMClassifier(n_estimators=20, random_state=seed, verbose=-1, n_jobs=1, **settings)


def on_numbers(estimator: Any, names: list[str], *before: tuple[str, Any]) -> Pipeline:
    return Pipeline(
        [("columns", ColumnTransformer([("numbers", "passthrough", names)])), *before, ("model", estimator)]
    )


@pytest.fixture(scope="module")
def pipeline(seen: pl.DataFrame, late: NDArray[np.int64]) -> Pipeline:
    encoder = OrdinalEncoder(handle_unknown="use_encoded_value", unknown_value=-1)
    columns = ColumnTransformer([("texts", encoder, ["carrier", "origin", "dest"])], remainder="passthrough")
    return Pipeline([("columns", columns), ("trees", trees())]).fit(seen, late)


def test_a_file_is_proven_that_answers_alike(pipeline: Pipeline, seen: pl.DataFrame, unseen: pl.DataFrame) -> None:
    model = to_onnx(pipeline, seen)
    prove_equal(pipeline, model, unseen, 1e-5)
    difference = np.abs(pipeline.predict_proba(unseen)[:, 1] - OnnxModel(model).predict(unseen)).max()
    assert 0 < difference < 1e-6


def test_one_input_for_each_column_text_as_string_and_numbers_as_float(pipeline: Pipeline, seen: pl.DataFrame) -> None:
    inputs = OnnxModel(to_onnx(pipeline, seen)).inputs
    assert list(inputs) == seen.columns
    assert [name for name, kind in inputs.items() if kind == "string"] == ["carrier", "origin", "dest"]


def test_columns_are_called_as_people_call_them(late: NDArray[np.int64]) -> None:
    chance = np.random.default_rng(0)
    names = ["Größe (cm)", "a b", "a_b", 'say "it"', "価格"]
    seen = pl.DataFrame({name: chance.normal(size=len(late)).astype(np.float32) for name in names})
    fitted = on_numbers(trees(), names).fit(seen, late)
    model = to_onnx(fitted, seen)
    assert list(OnnxModel(model).inputs) == names
    prove_equal(fitted, model, seen, 1e-5)


def test_another_model_is_refused(
    pipeline: Pipeline, seen: pl.DataFrame, unseen: pl.DataFrame, late: NDArray[np.int64]
) -> None:
    other = Pipeline([("columns", pipeline["columns"]), ("trees", trees(min_child_samples=50))]).fit(seen, late)
    with pytest.raises(ConversionError, match=r"differ by 0\.\d+ on the sample, 8.07e-06 is allowed"):
        prove_equal(pipeline, to_onnx(other, seen), unseen, 1e-5)


def test_a_model_with_other_classes_is_refused(
    pipeline: Pipeline, seen: pl.DataFrame, unseen: pl.DataFrame, delay: NDArray[np.float64]
) -> None:
    three = Pipeline([("columns", pipeline["columns"]), ("trees", trees())]).fit(seen, np.digitize(delay, [0.25, 1]))
    with pytest.raises(ConversionError, match=r"answers with float64 of shape \(500,\), the ONNX file .* \(500, 3\)"):
        prove_equal(pipeline, to_onnx(three, seen), unseen, 1e-5)


def test_an_answer_that_is_no_number_is_refused(seen: pl.DataFrame, delay: NDArray[np.float64]) -> None:
    pipeline = on_numbers(LinearRegression(), WHOLE).fit(seen, delay)
    pipeline["model"].intercept_ = float("nan")
    with pytest.raises(ConversionError, match="differ by nan on the sample"):
        prove_equal(pipeline, to_onnx(pipeline, seen), seen, 1e-5)


def test_a_scaler_before_trees_is_refused_on_rows_that_training_never_saw(
    seen: pl.DataFrame, unseen: pl.DataFrame, late: NDArray[np.int64]
) -> None:
    scaled = on_numbers(trees(), WHOLE, ("scale", StandardScaler())).fit(seen, late)
    model = to_onnx(scaled, seen)
    prove_equal(scaled, model, seen, 1e-5)  # thresholds lie between the numbers seen, so these prove little
    with pytest.raises(ConversionError, match="scale nothing that goes into trees"):
        prove_equal(scaled, model, unseen, 1e-5)


@pytest.mark.parametrize("forest", [DecisionTreeClassifier(), RandomForestClassifier(10), ExtraTreesClassifier(10)])
def test_missing_numbers_in_trees_of_scikit_learn_are_refused(
    forest: Any, seen: pl.DataFrame, unseen: pl.DataFrame, late: NDArray[np.int64]
) -> None:
    pipeline = on_numbers(forest.set_params(random_state=0), ["wind_gust", "temp"]).fit(seen, late)
    with pytest.raises(ConversionError, match="fill what is missing before trees of scikit-learn"):
        prove_equal(pipeline, to_onnx(pipeline, seen), unseen, 1e-5)


def test_a_column_that_was_whole_in_training_may_be_missing_later(
    pipeline: Pipeline, seen: pl.DataFrame, unseen: pl.DataFrame
) -> None:
    missing = unseen.with_columns(pl.lit(None, pl.Float32).alias(name) for name in (*WHOLE, "temp", "humid"))
    assert seen.select(WHOLE).null_count().sum_horizontal().item() == 0
    prove_equal(pipeline, to_onnx(pipeline, seen), missing, 1e-6)


def test_an_encoder_that_onnx_cannot_score_with_is_refused(seen: pl.DataFrame, late: NDArray[np.int64]) -> None:
    rare = OneHotEncoder(handle_unknown="infrequent_if_exist", min_frequency=5, sparse_output=False)
    columns = ColumnTransformer([("texts", rare, ["origin"])])
    pipeline = Pipeline([("columns", columns), ("line", LogisticRegression())]).fit(seen, late)
    elsewhere = seen.with_columns(origin=pl.lit("SFO"))
    assert len(pipeline.predict(elsewhere)) == 1000
    with pytest.raises(ConversionError, match="the ONNX file cannot score what was trained to"):
        prove_equal(pipeline, to_onnx(pipeline, seen), elsewhere, 1e-5)


def test_labels_of_an_outlier_detector_do_not_pass_for_its_scores(seen: pl.DataFrame) -> None:
    pipeline = on_numbers(IsolationForest(n_estimators=5, random_state=0), WHOLE).fit(seen)
    with pytest.raises(ConversionError, match="differ by"):
        prove_equal(pipeline, to_onnx(pipeline, seen), seen, 1e-5)


# --- equal pipelines give equal bytes


@pytest.mark.parametrize("estimator", [trees(), KNeighborsClassifier(), GaussianNB()])
def test_converting_twice_gives_the_same_bytes(estimator: Any, seen: pl.DataFrame, late: NDArray[np.int64]) -> None:
    pipeline = on_numbers(estimator, WHOLE).fit(seen, late)
    first = to_onnx(pipeline, seen)
    to_onnx(on_numbers(KNeighborsClassifier(3), WHOLE).fit(seen, late), seen)  # another conversion between the two
    assert to_onnx(pipeline, seen) == first


def test_the_operator_sets_of_a_file_are_in_one_order(seen: pl.DataFrame, late: NDArray[np.int64]) -> None:
    for estimator in (trees(), DecisionTreeClassifier()):  # skl2onnx hands them over in an order that is not always one
        file = onnx.load_from_string(to_onnx(on_numbers(estimator, WHOLE).fit(seen, late), seen.select(WHOLE)))
        domains = [opset.domain for opset in file.opset_import]
        assert domains == sorted(domains)
        assert set(domains) == {"", "ai.onnx.ml"}


PROGRAM = """
import sys
import polars as pl
from lightgbm import LGBMClassifier
from onebutton_models.conversion import to_onnx

frame = pl.DataFrame({"distance": [200.0, 500.0, 1000.0, 2500.0] * 20})
trees = LGBMClassifier(n_estimators=3, min_child_samples=1, random_state=0, verbose=-1, n_jobs=1)
sys.stdout.buffer.write(to_onnx(trees.fit(frame.to_numpy(), [0, 0, 1, 1] * 20), frame))
"""


@pytest.mark.slow
def test_another_process_gives_the_same_bytes() -> None:
    models = {
        subprocess.run(
            [sys.executable, "-c", PROGRAM], env=os.environ | {"PYTHONHASHSEED": seed}, capture_output=True, check=True
        ).stdout
        for seed in ("0", "1", "2", "3")  # in some of them Python's sets have another order
    }
    assert len(models) == 1
    assert OnnxModel(models.pop()).inputs == {"distance": "float"}


# --- ONNX stores thresholds as float32, LightGBM and scikit-learn as float64


@pytest.fixture(scope="module")
def neighbours() -> tuple[pl.DataFrame, NDArray[np.int64]]:
    """Numbers of which each is the next that float32 knows, so that a threshold between two is none of them."""
    numbers = np.float32(2**20) + np.arange(60, dtype=np.float32) / 8
    answers = np.random.default_rng(2013).integers(0, 2, len(numbers))
    return pl.DataFrame({"number": np.tile(numbers, 20)}), np.tile(answers, 20)


ON_NEIGHBOURS: list[Any] = [
    LGBMClassifier(n_estimators=20, min_data_in_bin=1, min_child_samples=1, verbose=-1, n_jobs=1),
    LGBMRegressor(n_estimators=20, min_data_in_bin=1, min_child_samples=1, verbose=-1, n_jobs=1),
    DecisionTreeClassifier(random_state=0),
    RandomForestClassifier(5, random_state=0),
    RandomForestRegressor(5, random_state=0),
    ExtraTreesClassifier(5, random_state=0),
    GradientBoostingClassifier(n_estimators=20, random_state=0),
    GradientBoostingRegressor(n_estimators=20, random_state=0),
]


def unchanged(threshold: Any, *_: Any) -> Any:
    """Leave a threshold to be rounded to the nearest float32."""
    return threshold


@settings(deadline=None)
@given(threshold=st.floats(allow_nan=False), number=st.floats(width=32, allow_nan=False))
def test_no_number_changes_sides_of_any_threshold(threshold: float, number: float) -> None:
    node = {"decision_type": "<=", "threshold": threshold}
    conversion._round_down(node)
    rounded = node["threshold"]
    assert isinstance(rounded, float)
    assert float(np.float32(rounded)) == rounded
    with np.errstate(over="ignore"):
        nearest = np.float32(threshold)
        beside = [np.nextafter(nearest, np.float32(side)) for side in (-np.inf, np.inf)]
    for close in (number, nearest, *beside):
        assert (float(close) <= rounded) is (float(close) <= threshold)


@pytest.mark.parametrize("estimator", ON_NEIGHBOURS, ids=lambda estimator: type(estimator).__name__)
def test_no_number_changes_sides_when_thresholds_become_float32(
    estimator: Any, neighbours: tuple[pl.DataFrame, NDArray[np.int64]]
) -> None:
    frame, answers = neighbours
    pipeline = on_numbers(estimator, ["number"]).fit(frame, answers)
    prove_equal(pipeline, to_onnx(pipeline, frame), frame, 1e-6)


@pytest.mark.parametrize("estimator", ON_NEIGHBOURS, ids=lambda estimator: type(estimator).__name__)
def test_thresholds_rounded_to_the_nearest_float32_would_be_refused(
    estimator: Any, neighbours: tuple[pl.DataFrame, NDArray[np.int64]], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(conversion, "_round_down", unchanged)
    monkeypatch.setattr("skl2onnx.common.tree_ensemble.sklearn_threshold", unchanged)
    frame, answers = neighbours
    pipeline = on_numbers(estimator, ["number"]).fit(frame, answers)
    with pytest.raises(ConversionError, match="differ by"):
        prove_equal(pipeline, to_onnx(pipeline, frame), frame, 1e-6)
