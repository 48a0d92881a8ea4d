"""What training held and what comes later are two things: a model ships when both are answered as it was trained to."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd
import polars as pl
import pytest
from lightgbm import LGBMClassifier
from packages.models.tests.conftest import prove_equal
from sklearn.compose import ColumnTransformer
from sklearn.ensemble import GradientBoostingClassifier, RandomForestClassifier, RandomForestRegressor
from sklearn.feature_extraction.text import CountVectorizer, TfidfVectorizer
from sklearn.impute import KNNImputer, SimpleImputer
from sklearn.linear_model import LinearRegression, LogisticRegression, PoissonRegressor
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import OneHotEncoder, OrdinalEncoder, StandardScaler

from onebutton_models.conversion import ConversionError, to_onnx
from onebutton_models.proof import Proof, answers_of, prove
from onebutton_models.scoring import OnnxModel, ScoringError

if TYPE_CHECKING:
    from numpy.typing import NDArray

ROWS = 1200
TOLERANCE = 1e-5
LETTERS = "[A-Za-z]+"


@pytest.fixture(scope="module")
def rows() -> pl.DataFrame:
    chance = np.random.default_rng(0)
    return pl.DataFrame(
        {
            "kind": chance.choice(list("abc"), ROWS),
            "day": chance.integers(1, 6, ROWS).astype("float32"),
            "x": chance.normal(size=ROWS).astype("float32"),
            "z": chance.normal(size=ROWS).astype("float32"),
        }
    )


@pytest.fixture(scope="module")
def answers(rows: pl.DataFrame) -> NDArray[np.int64]:
    noise = np.random.default_rng(1).normal(size=ROWS)
    return np.asarray((rows["kind"] == "a").to_numpy() + rows["x"].to_numpy() + noise > 0.5, dtype=np.int64)


@pytest.fixture(scope="module")
def drawn(rows: pl.DataFrame) -> pl.DataFrame:
    """What a contract lets in where nothing is required: each column odd alone, and several together."""
    some = rows.head(20)
    return pl.concat(
        [
            some.with_columns(kind=pl.lit("new")),
            some.with_columns(kind=pl.lit("Ünïcode")),
            some.with_columns(kind=pl.lit(None, pl.String)),
            some.with_columns(day=pl.lit(7, pl.Float32)),
            some.with_columns(x=pl.lit(None, pl.Float32)),
            some.with_columns(z=pl.lit(None, pl.Float32)),
            some.with_columns(x=pl.lit(40, pl.Float32), z=pl.lit(-40, pl.Float32)),
            some.with_columns((pl.col("x").sort() + pl.col("x").sort().shift(-1).fill_null(0)) / 2),
            some.with_columns(kind=pl.lit("new"), x=pl.lit(None, pl.Float32), z=pl.lit(None, pl.Float32)),
        ]
    )


def ordinal() -> OrdinalEncoder:
    return OrdinalEncoder(handle_unknown="use_encoded_value", unknown_value=-1, encoded_missing_value=-2)


def fitted(rows: pl.DataFrame, answers: Any, numbers: Any, texts: Any, last: Any) -> Any:
    columns = ColumnTransformer([("texts", texts, ["kind"]), ("numbers", numbers, ["x", "z"])])
    return make_pipeline(columns, last).fit(rows, answers)


def proven(pipeline: Any, rows: pl.DataFrame, drawn: pl.DataFrame) -> Proof:
    return prove(pipeline, to_onnx(pipeline, rows), rows, drawn, tolerance=TOLERANCE)


def assert_every_odd_row_is_answered_alike_or_refused(
    pipeline: Any, proof: Proof, odd: pl.DataFrame
) -> tuple[int, int]:
    """Ask both about each row alone; return how many were answered and how many refused."""
    model, answered = OnnxModel(proof.model), 0
    for row in odd.iter_slices(1):
        try:
            (answer,) = model.predict(row)
        except ScoringError:
            continue
        answered += 1
        np.testing.assert_allclose(answer, answers_of(pipeline)(row)[0], atol=1e-4)
    return answered, odd.height - answered


@pytest.mark.parametrize(
    "steps",
    [
        (RandomForestClassifier(20, max_depth=6, random_state=0), "passthrough", ordinal()),
        (GradientBoostingClassifier(n_estimators=20), "passthrough", OrdinalEncoder()),
        (LogisticRegression(), KNNImputer(), OrdinalEncoder()),
        (LogisticRegression(), "passthrough", OrdinalEncoder()),
        (LogisticRegression(), SimpleImputer(), OneHotEncoder()),
        (LogisticRegression(), SimpleImputer(), OneHotEncoder(handle_unknown="ignore")),
        (LGBMClassifier(n_estimators=20, verbose=-1, n_jobs=1), "passthrough", ordinal()),
    ],
    ids=["forest", "boosting", "nearest neighbours fill", "line", "one-hot", "one-hot ignores", "lightgbm"],
)
def test_what_ships_answers_every_odd_row_as_it_was_trained_to_or_refuses_it(
    steps: tuple[Any, Any, Any], rows: pl.DataFrame, answers: NDArray[np.int64], drawn: pl.DataFrame
) -> None:
    inputs, odd = rows.select("kind", "x", "z"), drawn.select("kind", "x", "z")
    last, numbers, texts = steps
    pipeline = fitted(inputs, answers, numbers, texts, last)
    proof = proven(pipeline, inputs, odd)
    answered, refused = assert_every_odd_row_is_answered_alike_or_refused(pipeline, proof, odd)
    assert answered >= 60
    assert bool(refused) is bool(proof.refuses)


@pytest.mark.parametrize("kind", ["regression", "classes", "text"])
def test_every_kind_of_model_answers_odd_rows_as_it_was_trained_to_or_refuses_them(
    kind: str, rows: pl.DataFrame, drawn: pl.DataFrame
) -> None:
    columns: Any = ColumnTransformer([("texts", OneHotEncoder(), ["kind"]), ("numbers", "passthrough", ["x", "z"])])
    answers: Any = rows["x"].to_numpy() * 60
    last: Any = RandomForestRegressor(20, max_depth=6, random_state=0)
    if kind == "classes":
        answers, last = (
            np.array(["early", "on time", "late"])[np.digitize(rows["x"].to_numpy(), [-0.5, 0.5])],
            GradientBoostingClassifier(n_estimators=10),
        )
    if kind == "text":
        columns = ColumnTransformer(
            [("words", CountVectorizer(token_pattern=LETTERS), "kind"), ("fill", SimpleImputer(), ["x"])]
        )
        answers, last = rows["x"].to_numpy() > 0, LogisticRegression()
    pipeline = make_pipeline(columns, last).fit(rows, answers)
    proof = proven(pipeline, rows, drawn)
    answered, refused = assert_every_odd_row_is_answered_alike_or_refused(pipeline, proof, drawn)
    assert answered >= 60
    assert refused > 0


def test_a_forest_that_would_answer_a_null_otherwise_refuses_it(
    rows: pl.DataFrame, answers: NDArray[np.int64], drawn: pl.DataFrame
) -> None:
    inputs, odd = rows.select("kind", "x", "z"), drawn.select("kind", "x", "z")
    pipeline = fitted(
        inputs, answers, "passthrough", ordinal(), RandomForestClassifier(20, max_depth=6, random_state=0)
    )
    unlimited = to_onnx(pipeline, inputs)
    prove_equal(pipeline, unlimited, inputs, TOLERANCE)
    null = odd.filter(pl.col("x").is_null() & (pl.col("kind") != "new"))
    assert np.abs(OnnxModel(unlimited).predict(null) - pipeline.predict_proba(null)[:, 1]).max() > 0.05
    proof = proven(pipeline, inputs, odd)
    assert OnnxModel(proof.model).limits.required == ["x", "z"]
    assert proof.refuses[0].startswith(
        "x: a missing value is refused (required): the ONNX file and what was trained differ"
    )
    with pytest.raises(ScoringError, match="column 'x' must not be missing"):
        OnnxModel(proof.model).predict(null)


def test_where_an_encoder_refuses_new_words_the_column_is_closed_to_those_of_training(
    rows: pl.DataFrame, answers: NDArray[np.int64], drawn: pl.DataFrame
) -> None:
    columns = ColumnTransformer([("both", OneHotEncoder(), ["kind", "day"]), ("fill", SimpleImputer(), ["x", "z"])])
    pipeline = make_pipeline(columns, LogisticRegression()).fit(rows, answers)
    model = OnnxModel(proven(pipeline, rows, drawn).model)
    assert model.limits.allowed == {"kind": ["a", "b", "c"], "day": [1, 2, 3, 4, 5]}
    assert model.limits.required == []
    with pytest.raises(ScoringError, match="column 'kind' is closed to the values of training, and holds 'new'"):
        model.predict(drawn.filter(pl.col("kind") == "new"))
    with pytest.raises(ScoringError, match=r"column 'day' is closed .* holds 7\.0"):
        model.predict(drawn.filter(pl.col("day") == 7))
    assert model.predict(drawn.filter(pl.col("x").is_null() & (pl.col("kind") != "new"))).shape == (20,)


def test_what_is_refused_and_the_names_of_classes_stand_in_one_file(rows: pl.DataFrame, drawn: pl.DataFrame) -> None:
    inputs = rows.select("kind", "x", "z")
    marks = np.array(["small", "middle", "large"])[np.arange(rows.height) % 3]
    pipeline = fitted(inputs, marks, "passthrough", ordinal(), RandomForestClassifier(5, random_state=0))
    model = OnnxModel(proven(pipeline, inputs, drawn.select("kind", "x", "z")).model)
    assert model.classes == ("large", "middle", "small")
    assert model.limits.required == ["x", "z"]


def test_values_with_a_fraction_are_written_as_people_write_them(answers: NDArray[np.int64]) -> None:
    tenths = pl.DataFrame({"share": np.tile(np.array([0.1, 0.2, 0.7], dtype=np.float32), ROWS // 3)})
    pipeline = make_pipeline(OrdinalEncoder(), LogisticRegression()).fit(tenths, answers)
    model = OnnxModel(proven(pipeline, tenths, pl.DataFrame({"share": [0.3]}, schema=tenths.schema)).model)
    assert model.limits.allowed == {"share": [0.1, 0.2, 0.7]}
    assert model.predict(tenths).shape == (ROWS,)


def test_a_scaler_before_trees_does_not_ship_though_every_row_of_training_is_answered_alike(
    rows: pl.DataFrame, answers: NDArray[np.int64]
) -> None:
    inputs = rows.select(pl.col("x", "z") * 1000 + 12345)
    forest = make_pipeline(StandardScaler(), RandomForestClassifier(20, random_state=0)).fit(inputs, answers)
    halfway = inputs.select((pl.all().sort() + pl.all().sort().shift(-1)) / 2).drop_nulls()
    with pytest.raises(ConversionError, match=r"values that training never saw .* scale nothing that goes into trees"):
        proven(forest, inputs, halfway)


def test_a_free_text_that_cannot_be_answered_is_not_closed_to_the_texts_of_training(answers: NDArray[np.int64]) -> None:
    texts = pl.DataFrame({"text": [f"flight {number} is late" for number in range(ROWS)]})
    pattern = TfidfVectorizer(token_pattern=LETTERS)
    pipeline = make_pipeline(pattern, LogisticRegression()).fit(texts["text"], answers)
    pipeline[0].lowercase = False  # from here on the two differ where a text has capitals
    model = to_onnx(pipeline, texts)
    pipeline[0].lowercase = True
    with pytest.raises(ConversionError, match="column 'text', values that training never saw"):
        prove(pipeline, model, texts, pl.DataFrame({"text": ["FLIGHT is LATE"]}), tolerance=TOLERANCE)


def test_the_tolerance_is_a_share_of_the_spread_of_the_answers(rows: pl.DataFrame) -> None:
    inputs = rows.select("x", "z")
    for unit in (1.0, 1e6):
        answers = (inputs["x"].to_numpy() * 3 + inputs["z"].to_numpy()) * unit
        line = LinearRegression().fit(inputs, answers)
        model = to_onnx(line, inputs)
        prove_equal(line, model, inputs, TOLERANCE)
        worse = LinearRegression().fit(inputs, answers + unit * 0.01)
        with pytest.raises(ConversionError, match="differ by"):
            prove_equal(worse, model, inputs, TOLERANCE)


def test_an_answer_far_out_may_differ_by_as_many_digits(rows: pl.DataFrame) -> None:
    inputs = rows.select("x", "z")
    line = PoissonRegressor().fit(inputs, np.exp(inputs["x"].to_numpy()))
    far = pl.DataFrame({"x": [60.0], "z": [0.0]}, schema=inputs.schema)
    assert float(line.predict(far)[0]) > 1e9
    assert proven(line, inputs, far).refuses == ()


def test_nothing_is_written_into_a_file_that_answers_everything(
    rows: pl.DataFrame, answers: NDArray[np.int64], drawn: pl.DataFrame
) -> None:
    inputs, odd = rows.select("x", "z"), drawn.select("x", "z")
    trees = LGBMClassifier(n_estimators=20, verbose=-1, n_jobs=1).fit(inputs, answers)
    model = to_onnx(trees, inputs)
    assert prove(trees, model, inputs, odd).model == model


def test_a_pipeline_of_pandas_is_asked_in_pandas(
    rows: pl.DataFrame, answers: NDArray[np.int64], drawn: pl.DataFrame
) -> None:
    frame = pd.DataFrame(rows.to_dict(as_series=False)).astype(dict.fromkeys(["day", "x", "z"], "float32"))
    columns = ColumnTransformer([("texts", OneHotEncoder(), ["kind"]), ("rest", SimpleImputer(), ["day", "x", "z"])])
    pipeline = make_pipeline(columns, LogisticRegression()).fit(frame, answers)
    model = OnnxModel(prove(pipeline, to_onnx(pipeline, frame), frame, drawn).model)
    assert model.limits.allowed == {"kind": ["a", "b", "c"]}
