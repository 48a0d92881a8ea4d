from __future__ import annotations

import importlib
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
from lightgbm import LGBMClassifier
from packages.models.tests.conftest import prove_equal
from packages.models.tests.converting import CONVERTS
from skl2onnx import _supported_operators
from sklearn.base import BaseEstimator, TransformerMixin, is_classifier, is_regressor
from sklearn.compose import ColumnTransformer
from sklearn.ensemble import HistGradientBoostingClassifier, StackingClassifier, VotingClassifier
from sklearn.impute import SimpleImputer
from sklearn.linear_model import LinearRegression, LogisticRegression
from sklearn.pipeline import FeatureUnion, Pipeline
from sklearn.preprocessing import FunctionTransformer, OneHotEncoder, StandardScaler
from sklearn.svm import LinearSVC
from sklearn.tree import DecisionTreeClassifier, DecisionTreeRegressor

from onebutton_models.conversion import REPLACEMENTS, ConversionError, to_onnx
from onebutton_models.scoring import OnnxModel

if TYPE_CHECKING:
    import polars as pl
    from numpy.typing import NDArray

TEXTS = ["carrier", "origin", "dest"]
NUMBERS = ["distance", "departure_minute", "temp", "humid", "wind_gust"]
TOLERANCE = 1e-5

CLASSIFIERS = [("line", LogisticRegression(solver="newton-cholesky")), ("tree", DecisionTreeClassifier(max_depth=3))]
REGRESSORS = [("line", LinearRegression()), ("tree", DecisionTreeRegressor(max_depth=3))]
# What a row needs to be small, quick and the same each time.
SETTINGS: dict[str, dict[str, Any]] = {
    "sklearn.preprocessing.OrdinalEncoder": {"handle_unknown": "use_encoded_value", "unknown_value": -1},
    "sklearn.preprocessing.OneHotEncoder": {"handle_unknown": "ignore", "sparse_output": False},
    "sklearn.preprocessing.KBinsDiscretizer": {"strategy": "uniform", "encode": "onehot-dense"},
    "sklearn.decomposition.PCA": {"n_components": 3},
    "sklearn.calibration.CalibratedClassifierCV": {"estimator": LinearSVC(), "cv": 3},
    "sklearn.linear_model.LogisticRegression": {"max_iter": 500},
    "sklearn.neural_network.MLPClassifier": {"max_iter": 500, "tol": 0.01, "random_state": 0},
    "sklearn.ensemble.StackingClassifier": {"estimators": CLASSIFIERS},
    "sklearn.ensemble.StackingRegressor": {"estimators": REGRESSORS},
    "sklearn.ensemble.VotingRegressor": {"estimators": REGRESSORS},
    "VotingClassifier": {"estimators": CLASSIFIERS},
    "FunctionTransformer": {"func": np.tanh},
    **{
        f"sklearn.ensemble.{kind}{task}": {"n_estimators": 10, "random_state": 0}
        for kind in ("RandomForest", "ExtraTrees", "GradientBoosting")
        for task in ("Classifier", "Regressor")
    },
    **{
        f"lightgbm.LGBM{task}": {"n_estimators": 10, "verbose": -1, "n_jobs": 1} for task in ("Classifier", "Regressor")
    },
}


def make(path: str) -> Any:
    """Set up one row of the tables."""
    module, name = path.rsplit(".", 1)
    return getattr(importlib.import_module(module), name)(**SETTINGS.get(path, SETTINGS.get(name, {})))


def around(estimator: Any) -> Pipeline:
    """Build a pipeline of text and numbers around an estimator, as the estimator needs it.

    Missing numbers go to LightGBM as they are and are filled before all others; nothing is scaled before trees.
    """
    module, name = type(estimator).__module__, type(estimator).__name__
    texts: Any = OneHotEncoder(handle_unknown="ignore", sparse_output=False)
    numbers: Any = Pipeline([("fill", SimpleImputer()), ("scale", StandardScaler())])
    if is_classifier(estimator) or is_regressor(estimator):
        if "lightgbm" in module:
            numbers = "passthrough"
        elif "ensemble" in module or "tree" in module:
            numbers = SimpleImputer()
        return Pipeline([("columns", columns(texts, numbers)), ("model", estimator)])
    if name.endswith("Vectorizer"):
        words = ColumnTransformer([("texts", estimator, "dest"), ("numbers", numbers, NUMBERS)])
        return Pipeline([("columns", words), ("model", LogisticRegression(max_iter=500))])
    if name.endswith("Encoder"):
        texts = estimator
    elif name == "SimpleImputer":
        numbers = Pipeline([("row", estimator), ("scale", StandardScaler())])
    else:
        numbers = Pipeline([("fill", SimpleImputer()), ("scale", StandardScaler()), ("row", estimator)])
    return Pipeline([("columns", columns(texts, numbers)), ("model", LogisticRegression(max_iter=500))])


def columns(texts: Any, numbers: Any) -> ColumnTransformer:
    return ColumnTransformer([("texts", texts, TEXTS), ("numbers", numbers, NUMBERS)])


def test_the_flights_to_score_hold_what_training_never_saw(seen: pl.DataFrame, unseen: pl.DataFrame) -> None:
    assert set(unseen["dest"]) - set(seen["dest"]) >= {"ALB", "MSN"}
    assert unseen["wind_gust"].null_count() > 0


@pytest.mark.parametrize("path", CONVERTS)
def test_every_row_of_the_table_becomes_onnx_and_answers_alike(
    path: str, seen: pl.DataFrame, unseen: pl.DataFrame, late: NDArray[np.int64], delay: NDArray[np.float64]
) -> None:
    estimator = make(path)
    pipeline = around(estimator).fit(seen, delay - delay.min() if is_regressor(estimator) else late)
    model = to_onnx(pipeline, seen)
    prove_equal(pipeline, model, unseen, TOLERANCE)
    assert np.ptp(OnnxModel(model).predict(unseen)) > 0.05, "a model that says one thing of every flight proves nothing"
    assert to_onnx(pipeline, seen) == model


@pytest.mark.filterwarnings("ignore")  # a warning that the tests make an error must not pass for a refusal
@pytest.mark.parametrize("name", REPLACEMENTS)
def test_every_row_of_the_replacements_is_refused_with_its_step_and_what_to_take(
    name: str, seen: pl.DataFrame, late: NDArray[np.int64]
) -> None:
    transforms = name.endswith("Transformer")
    module, step = ("preprocessing", "columns__numbers__row") if transforms else ("ensemble", "model")
    pipeline = around(make(f"sklearn.{module}.{name}")).fit(seen, late)
    with pytest.raises(ConversionError) as caught:
        to_onnx(pipeline, seen)
    assert str(caught.value).startswith(f"step '{step}': {name} cannot become ONNX")
    assert f"Take {REPLACEMENTS[name]}; " in str(caught.value)


def test_every_replacement_stands_in_the_table() -> None:
    rows = {path.rsplit(".", 1)[1] for path in CONVERTS}
    for name, advice in REPLACEMENTS.items():
        if name != "FunctionTransformer":  # its replacement is no estimator
            assert any(row in advice for row in rows), name


def test_the_page_lists_each_that_converts() -> None:
    page = (Path(__file__).parents[3] / "docs/models.md").read_text(encoding="utf-8")
    assert [path for path in CONVERTS if f"`{path.rsplit('.', 1)[1]}`" not in page] == []


def test_the_advice_on_voting_holds(seen: pl.DataFrame, unseen: pl.DataFrame, late: NDArray[np.int64]) -> None:
    advised = VotingClassifier(CLASSIFIERS, voting="soft", flatten_transform=False)
    pipeline = around(advised).fit(seen, late)
    prove_equal(pipeline, to_onnx(pipeline, seen), unseen, TOLERANCE)


def test_a_booster_inside_another_estimator_converts_before_any_other_did(
    seen: pl.DataFrame, unseen: pl.DataFrame, late: NDArray[np.int64], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delitem(_supported_operators.sklearn_operator_name_map, LGBMClassifier, raising=False)
    stacked = StackingClassifier(
        [("trees", make("lightgbm.LGBMClassifier")), ("line", LogisticRegression(solver="newton-cholesky"))]
    )
    pipeline = around(stacked).fit(seen, late)
    prove_equal(pipeline, to_onnx(pipeline, seen), unseen, TOLERANCE)


@pytest.mark.filterwarnings("ignore")
def test_columns_that_pass_through_are_not_blamed_for_another_step(seen: pl.DataFrame, late: NDArray[np.int64]) -> None:
    encoder = make("sklearn.preprocessing.OrdinalEncoder")
    trees = HistGradientBoostingClassifier(max_iter=3)
    pipeline = Pipeline([("columns", columns(encoder, "passthrough")), ("trees", trees)]).fit(seen, late)
    with pytest.raises(ConversionError, match="step 'trees': HistGradientBoostingClassifier cannot become ONNX"):
        to_onnx(pipeline, seen)


@pytest.mark.filterwarnings("ignore")
def test_a_step_deep_inside_a_union_is_named(seen: pl.DataFrame, late: NDArray[np.int64]) -> None:
    union = FeatureUnion([("as it is", SimpleImputer()), ("log", FunctionTransformer(np.log1p))])
    numbers = Pipeline([("fill", SimpleImputer()), ("both", union)])
    model = LogisticRegression(solver="newton-cholesky")
    pipeline = Pipeline([("columns", ColumnTransformer([("numbers", numbers, NUMBERS)])), ("line", model)])
    with pytest.raises(ConversionError, match="step 'columns__numbers__both__log': FunctionTransformer"):
        to_onnx(pipeline.fit(seen, late), seen)


class Halved(TransformerMixin, BaseEstimator):  # type: ignore[misc]  # scikit-learn ships no types
    """A transformer of a data scientist's own."""

    def fit(self, numbers: Any, answers: Any = None) -> Halved:
        del numbers, answers
        return self

    def transform(self, numbers: Any) -> Any:
        return np.asarray(numbers) / 2


@pytest.mark.filterwarnings("ignore")
def test_a_step_that_no_table_knows_is_refused_with_every_step_and_the_reason(
    seen: pl.DataFrame, late: NDArray[np.int64]
) -> None:
    model = Pipeline([("half", Halved()), ("fill", SimpleImputer()), ("tree", DecisionTreeClassifier(max_depth=3))])
    pipeline = Pipeline([("columns", ColumnTransformer([("numbers", "passthrough", NUMBERS)])), ("rest", model)])
    with pytest.raises(ConversionError) as caught:
        to_onnx(pipeline.fit(seen, late), seen)
    for part in ("'rest__half' (Halved)", "'rest__fill' (SimpleImputer)", "Unable to find", "lists what converts"):
        assert part in str(caught.value)
