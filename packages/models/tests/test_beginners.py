"""Models in the shape that a beginner writes them: no column transformer, labels as they stand in the table, defaults."""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd
import polars as pl
import pytest
from packages.models.tests.conftest import prove_equal
from packages.models.tests.converting import CONVERTS
from sklearn.base import is_classifier, is_regressor
from sklearn.calibration import CalibratedClassifierCV
from sklearn.compose import ColumnTransformer
from sklearn.ensemble import RandomForestClassifier
from sklearn.feature_extraction.text import CountVectorizer, TfidfVectorizer
from sklearn.impute import SimpleImputer
from sklearn.linear_model import LogisticRegression, RidgeClassifier
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import OneHotEncoder, StandardScaler
from sklearn.svm import SVC, LinearSVC

from onebutton_models.conversion import ConversionError, to_onnx
from onebutton_models.proof import prove
from onebutton_models.scoring import OnnxModel

if TYPE_CHECKING:
    from numpy.typing import NDArray

NUMBERS = ["distance", "departure_minute", "temp", "humid"]
TOLERANCE = 1e-5
QUICK: dict[str, dict[str, Any]] = {
    "LogisticRegression": {"max_iter": 500},
    "MLPClassifier": {"max_iter": 500, "tol": 0.01, "random_state": 0},
    "LGBMClassifier": {"n_estimators": 10, "verbose": -1, "n_jobs": 1},
    "LGBMRegressor": {"n_estimators": 10, "verbose": -1, "n_jobs": 1},
}
ESTIMATORS = [
    path
    for path in CONVERTS
    if not path.startswith(("sklearn.preprocessing", "sklearn.impute", "sklearn.decomposition", "sklearn.feature"))
    and not path.endswith(("StackingClassifier", "StackingRegressor", "VotingRegressor", "CalibratedClassifierCV"))
]
WORDS = np.array(["late", "on", "time", "Ärger", "STORM", "São", "crew", "a", "3h"])


def make(path: str) -> Any:
    module, name = path.rsplit(".", 1)
    settings = QUICK.get(name, {"n_estimators": 10, "random_state": 0} if ".ensemble." in path else {})
    return getattr(importlib.import_module(module), name)(**settings)


@pytest.fixture(scope="module")
def numbers(seen: pl.DataFrame) -> pl.DataFrame:
    """Four columns of numbers near 1, none missing."""
    return seen.select(NUMBERS).drop_nulls().select((pl.all() - pl.all().mean()) / pl.all().std())


@pytest.fixture(scope="module")
def far(numbers: pl.DataFrame) -> pl.Series:
    return numbers["distance"] + numbers["temp"] > 0


@pytest.mark.filterwarnings(
    "ignore::sklearn.exceptions.ConvergenceWarning", "ignore:X does not have valid feature names"
)
@pytest.mark.parametrize("path", ESTIMATORS)
def test_a_bare_estimator_on_several_columns_converts(path: str, numbers: pl.DataFrame, far: pl.Series) -> None:
    estimator = make(path)
    answers = np.exp(numbers["humid"].to_numpy()) if is_regressor(estimator) else far.to_numpy()
    estimator.fit(numbers, answers)
    model = to_onnx(estimator, numbers)
    prove_equal(estimator, model, numbers, TOLERANCE)
    assert list(OnnxModel(model).inputs) == NUMBERS
    assert to_onnx(estimator, numbers) == model


@pytest.mark.parametrize("labels", [[False, True], ["late", "on time"], [1, 2], ["early", "late", "on time"]], ids=str)
@pytest.mark.parametrize("estimator", [LogisticRegression(), RandomForestClassifier(10, random_state=0)])
def test_labels_may_be_what_the_table_has(estimator: Any, labels: list[Any], numbers: pl.DataFrame) -> None:
    marks = np.digitize(numbers["distance"].to_numpy(), [0, 1][: len(labels) - 1])
    pipeline = make_pipeline(StandardScaler(), estimator).fit(numbers, np.array(labels)[marks])
    if isinstance(estimator, RandomForestClassifier):  # nothing is scaled before trees
        pipeline = estimator
    model = to_onnx(pipeline, numbers)
    prove_equal(pipeline, model, numbers, TOLERANCE)
    found = OnnxModel(model).predict(numbers)
    assert found.shape == ((numbers.height,) if len(labels) == 2 else (numbers.height, 3))
    assert OnnxModel(model).classes == (tuple(labels) if isinstance(labels[0], str) else ())


@pytest.fixture(scope="module")
def remarks() -> pl.DataFrame:
    chance = np.random.default_rng(0)
    return pl.DataFrame(
        {"remark": [" ".join(chance.choice(WORDS, 6)) for _ in range(400)], "hours": chance.random(400)}
    )


@pytest.fixture(scope="module")
def storm(remarks: pl.DataFrame) -> NDArray[np.bool_]:
    return remarks["remark"].str.contains("STORM").to_numpy()


OTHER_REMARKS = ["", "UNKNOWN words", "über-late, São Paulo's crew_3", "日本 STORM x", "ÄRGER ärger Ärger"]


@pytest.mark.parametrize(
    "vectorizer",
    [TfidfVectorizer(), TfidfVectorizer(lowercase=False), CountVectorizer(), CountVectorizer(lowercase=False)],
    ids=str,
)
def test_words_of_a_text_are_counted_as_scikit_learn_counts_them_without_any_locale(
    vectorizer: Any, remarks: pl.DataFrame, storm: NDArray[np.bool_], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("LC_ALL", "C")
    texts = remarks.select("remark")
    pipeline = make_pipeline(vectorizer, LogisticRegression()).fit(texts["remark"], storm)
    proof = prove(pipeline, to_onnx(pipeline, texts), texts, pl.DataFrame({"remark": OTHER_REMARKS}))
    assert not proof.refuses


def test_a_text_beside_numbers_converts(remarks: pl.DataFrame, storm: NDArray[np.bool_]) -> None:
    columns = ColumnTransformer(
        [("words", TfidfVectorizer(ngram_range=(1, 2)), "remark"), ("rest", "passthrough", ["hours"])]
    )
    pipeline = make_pipeline(columns, LogisticRegression()).fit(remarks, storm)
    prove_equal(pipeline, to_onnx(pipeline, remarks), remarks, TOLERANCE)


@pytest.mark.parametrize("classifier", [SVC(), LinearSVC(), RidgeClassifier()], ids=lambda one: type(one).__name__)
def test_a_classifier_without_probabilities_is_refused_and_converts_as_the_message_says(
    classifier: Any, numbers: pl.DataFrame, far: pl.Series
) -> None:
    bare = make_pipeline(StandardScaler(), classifier).fit(numbers, far.to_numpy())
    with pytest.raises(
        ConversionError, match=rf"{type(classifier).__name__} answers with labels.* CalibratedClassifierCV"
    ):
        to_onnx(bare, numbers)
    calibrated = CalibratedClassifierCV(classifier, cv=3).fit(numbers, far.to_numpy())
    assert is_classifier(calibrated)
    prove_equal(calibrated, to_onnx(calibrated, numbers), numbers, TOLERANCE)


@pytest.mark.parametrize(
    "imputer",
    [SimpleImputer(strategy="constant", fill_value="none"), SimpleImputer(strategy="most_frequent")],
    ids=["constant", "most frequent"],
)
def test_categories_with_nulls_are_filled_and_encoded(
    imputer: Any, seen: pl.DataFrame, late: NDArray[np.int64]
) -> None:
    frame = pd.DataFrame(seen.select("origin", "carrier").to_dict(as_series=False))
    frame.loc[::7, "origin"] = None
    pipeline = make_pipeline(imputer, OneHotEncoder(handle_unknown="ignore"), LogisticRegression()).fit(frame, late)
    proof = prove(pipeline, to_onnx(pipeline, frame), frame, frame.assign(origin="XXX").head(20))
    model = OnnxModel(proof.model)
    assert proof.refuses == ()
    assert model.limits.text_nulls == ["origin"]
    np.testing.assert_allclose(model.predict(frame), pipeline.predict_proba(frame)[:, 1], atol=1e-6)


@pytest.mark.parametrize("kind", ["polars", "pandas"])
def test_null_may_be_a_category_of_its_own(kind: str, seen: pl.DataFrame, late: NDArray[np.int64]) -> None:
    origin = pl.when(pl.col("origin") == "LGA").then(None).otherwise("origin")
    frame: Any = seen.select("carrier", origin.alias("origin"))
    if kind == "pandas":
        frame = pd.DataFrame(frame.to_dict(as_series=False))
    pipeline = make_pipeline(OneHotEncoder(), LogisticRegression(max_iter=500)).fit(frame, late)
    proof = prove(pipeline, to_onnx(pipeline, frame), frame)
    np.testing.assert_allclose(OnnxModel(proof.model).predict(frame), pipeline.predict_proba(frame)[:, 1], atol=1e-6)
