"""Tests that need XGBoost, which the everyday environment does not bring; `test_xgboost.py` runs them in one that does."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import polars as pl
import pytest
import xgboost
from packages.models.tests.conftest import prove_equal
from sklearn.compose import ColumnTransformer
from sklearn.ensemble import StackingClassifier
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import Pipeline
from sklearn.preprocessing import OneHotEncoder, OrdinalEncoder

from onebutton_models.conversion import to_onnx
from onebutton_models.scoring import OnnxModel

if TYPE_CHECKING:
    from numpy.typing import NDArray

TEXTS = ["carrier", "origin", "dest"]
TOLERANCE = 1e-5


def make(path: str, **settings: Any) -> Any:
    return getattr(xgboost, path.removeprefix("xgboost."))(n_estimators=20, random_state=0, n_jobs=1, **settings)


def around(estimator: Any, encoder: Any = None) -> Pipeline:
    """Build a pipeline of text and numbers; missing numbers go to XGBoost as they are."""
    numbered = OrdinalEncoder(handle_unknown="use_encoded_value", unknown_value=-1)
    columns = ColumnTransformer([("texts", encoder or numbered, TEXTS)], remainder="passthrough")
    return Pipeline([("columns", columns), ("trees", estimator)])


@pytest.mark.parametrize("path", ["xgboost.XGBClassifier", "xgboost.XGBRegressor"])
def test_every_row_of_the_table_becomes_onnx_and_answers_alike(
    path: str, seen: pl.DataFrame, unseen: pl.DataFrame, late: NDArray[np.int64], delay: NDArray[np.float64]
) -> None:
    assert unseen["wind_gust"].null_count() > 0
    pipeline = around(make(path)).fit(seen, delay if path.endswith("Regressor") else late)
    model = to_onnx(pipeline, seen)
    prove_equal(pipeline, model, unseen, TOLERANCE)
    assert np.ptp(OnnxModel(model).predict(unseen)) > 0.05
    assert to_onnx(pipeline, seen) == model


def test_one_column_for_each_category_answers_alike(
    seen: pl.DataFrame, unseen: pl.DataFrame, late: NDArray[np.int64]
) -> None:
    pipeline = around(make("XGBClassifier"), OneHotEncoder(handle_unknown="ignore", sparse_output=False)).fit(
        seen, late
    )
    prove_equal(pipeline, to_onnx(pipeline, seen), unseen, TOLERANCE)


def test_three_classes_answer_alike(seen: pl.DataFrame, unseen: pl.DataFrame, delay: NDArray[np.float64]) -> None:
    pipeline = around(make("XGBClassifier")).fit(seen, np.digitize(delay, [0.25, 1]))
    model = to_onnx(pipeline, seen)
    prove_equal(pipeline, model, unseen, TOLERANCE)
    assert OnnxModel(model).predict(unseen).shape == (500, 3)


def test_a_column_that_was_whole_in_training_may_be_missing_later(
    seen: pl.DataFrame, unseen: pl.DataFrame, late: NDArray[np.int64]
) -> None:
    pipeline = around(make("XGBClassifier")).fit(seen, late)
    missing = unseen.with_columns(pl.lit(None, pl.Float32).alias(name) for name in ("distance", "temp", "humid"))
    prove_equal(pipeline, to_onnx(pipeline, seen), missing, TOLERANCE)


def test_trees_that_stopped_early_are_left_out(
    seen: pl.DataFrame, unseen: pl.DataFrame, late: NDArray[np.int64]
) -> None:
    columns = around(make("XGBClassifier"))["columns"].fit(seen)
    trees = make("XGBClassifier", early_stopping_rounds=1, learning_rate=1.0)
    trees.fit(
        columns.transform(seen)[:700], late[:700], eval_set=[(columns.transform(seen)[700:], late[700:])], verbose=0
    )
    assert trees.best_iteration + 1 < trees.get_booster().num_boosted_rounds()
    pipeline = Pipeline([("columns", columns), ("trees", trees)])
    prove_equal(pipeline, to_onnx(pipeline, seen), unseen, TOLERANCE)


def test_a_booster_inside_another_estimator_converts(
    seen: pl.DataFrame, unseen: pl.DataFrame, late: NDArray[np.int64]
) -> None:
    line = LogisticRegression(solver="newton-cholesky")
    stacked = StackingClassifier([("trees", make("XGBClassifier"))], final_estimator=line)
    pipeline = around(stacked).fit(seen, late)
    prove_equal(pipeline, to_onnx(pipeline, seen), unseen, TOLERANCE)


def test_no_number_changes_sides_when_thresholds_become_float32() -> None:
    numbers = np.float32(2**20) + np.arange(60, dtype=np.float32) / 8  # each the next that float32 knows
    frame = pl.DataFrame({"number": np.tile(numbers, 20)})
    answers = np.tile(np.random.default_rng(2013).integers(0, 2, 60), 20)
    columns = ColumnTransformer([("numbers", "passthrough", ["number"])])
    pipeline = Pipeline([("columns", columns), ("trees", make("XGBClassifier", tree_method="exact"))]).fit(
        frame, answers
    )
    prove_equal(pipeline, to_onnx(pipeline, frame), frame, TOLERANCE)
