from __future__ import annotations

import subprocess
import sys
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import polars as pl
import pytest
from lightgbm import LGBMClassifier, LGBMRegressor
from sklearn.compose import ColumnTransformer
from sklearn.pipeline import Pipeline
from sklearn.preprocessing import OrdinalEncoder

from onebutton_models.conversion import to_onnx
from onebutton_models.scoring import OnnxModel, ScoringError

if TYPE_CHECKING:
    from numpy.typing import NDArray


def convert(estimator: Any, frame: pl.DataFrame, answers: Any) -> bytes:
    encoder = OrdinalEncoder(handle_unknown="use_encoded_value", unknown_value=-1)
    columns = ColumnTransformer([("texts", encoder, ["carrier", "origin", "dest"])], remainder="passthrough")
    return to_onnx(Pipeline([("columns", columns), ("trees", estimator)]).fit(frame, answers), frame)


def trees() -> LGBMClassifier:
    return LGBMClassifier(n_estimators=10, random_state=0, verbose=-1, n_jobs=1)


@pytest.fixture(scope="module")
def content(seen: pl.DataFrame, late: NDArray[np.int64]) -> bytes:
    return convert(trees(), seen, late)


@pytest.fixture(scope="module")
def model(content: bytes) -> OnnxModel:
    """Whether a flight comes late."""
    return OnnxModel(content)


def test_two_classes_give_one_probability_a_row(model: OnnxModel, unseen: pl.DataFrame) -> None:
    answers = model.predict(unseen)
    assert answers.shape == (500,)
    assert answers.dtype == np.float32
    assert 0 < answers.min() < answers.max() < 1


def test_three_classes_give_three_probabilities_a_row(
    seen: pl.DataFrame, unseen: pl.DataFrame, delay: NDArray[np.float64]
) -> None:
    answers = OnnxModel(convert(trees(), seen, np.digitize(delay, [0.25, 1]))).predict(unseen)
    assert answers.shape == (500, 3)
    np.testing.assert_allclose(answers.sum(axis=1), 1, atol=1e-6)


def test_a_regression_gives_one_value_a_row(
    seen: pl.DataFrame, unseen: pl.DataFrame, delay: NDArray[np.float64]
) -> None:
    estimator = LGBMRegressor(n_estimators=10, random_state=0, verbose=-1, n_jobs=1)
    answers = OnnxModel(convert(estimator, seen, delay)).predict(unseen)
    assert answers.shape == (500,)
    assert delay.min() < answers.mean() < delay.max()


def test_no_rows_give_no_answers(model: OnnxModel, unseen: pl.DataFrame) -> None:
    assert model.predict(unseen.clear()).shape == (0,)


@pytest.mark.parametrize("rows", [1, 2, 10, 50, 499])
def test_a_row_is_answered_alike_in_every_batch(model: OnnxModel, unseen: pl.DataFrame, rows: int) -> None:
    batches = [model.predict(batch) for batch in unseen.iter_slices(rows)]
    np.testing.assert_array_equal(np.concatenate(batches), model.predict(unseen))


def test_polars_and_pandas_give_the_same(model: OnnxModel, unseen: pl.DataFrame) -> None:
    import pandas as pd

    assert unseen["wind_gust"].null_count() > 0
    frame = pd.DataFrame(unseen.to_dict(as_series=False))
    np.testing.assert_array_equal(model.predict(frame), model.predict(unseen))


def test_columns_may_come_in_any_order_and_beside_others(model: OnnxModel, unseen: pl.DataFrame) -> None:
    turned = unseen.select(reversed(unseen.columns)).with_columns(tailnum=pl.lit("N14228"))
    np.testing.assert_array_equal(model.predict(turned), model.predict(unseen))


@pytest.mark.parametrize("kind", [pl.Int64, pl.Int16, pl.Float64, pl.Decimal(10, 2)], ids=str)
def test_numbers_may_come_in_any_type(model: OnnxModel, unseen: pl.DataFrame, kind: pl.DataType) -> None:
    np.testing.assert_array_equal(
        model.predict(unseen.with_columns(pl.col("distance").cast(kind))), model.predict(unseen)
    )


def test_a_column_of_nothing_but_nulls_counts_as_missing(model: OnnxModel, unseen: pl.DataFrame) -> None:
    untyped = unseen.with_columns(temp=None)
    missing = unseen.with_columns(temp=pl.lit(float("nan"), pl.Float32))
    np.testing.assert_array_equal(model.predict(untyped), model.predict(missing))
    assert (model.predict(untyped) != model.predict(unseen)).any()


def test_a_missing_column_is_named(model: OnnxModel, unseen: pl.DataFrame) -> None:
    with pytest.raises(ScoringError, match="the model needs the column 'humid'"):
        model.predict(unseen.drop("humid"))


def test_a_missing_column_of_a_pandas_frame_is_named(model: OnnxModel, unseen: pl.DataFrame) -> None:
    import pandas as pd

    with pytest.raises(ScoringError, match="the model needs the column 'humid'"):
        model.predict(pd.DataFrame(unseen.drop("humid").to_dict(as_series=False)))


@pytest.mark.parametrize(
    "wrong",
    [
        pl.lit("far"),
        pl.lit("1400"),  # NumPy would take it for a number
        pl.when(pl.col("origin") == "EWR").then(pl.lit("1400")),
        pl.lit(datetime(2013, 7, 8, tzinfo=UTC)),  # and this for microseconds
        pl.concat_list("distance", "humid"),
        pl.concat_list("distance", "humid").list.to_array(2),
    ],
    ids=["text", "digits", "digits and nulls", "time", "lists", "arrays"],
)
def test_what_is_no_number_is_refused_where_numbers_belong(
    model: OnnxModel, unseen: pl.DataFrame, wrong: pl.Expr
) -> None:
    with pytest.raises(ScoringError, match="column 'distance' must be numbers: "):
        model.predict(unseen.with_columns(distance=wrong))


@pytest.mark.parametrize(
    "wrong",
    [pl.lit(None, pl.String), pl.when(pl.col("origin") == "EWR").then("dest"), pl.col("distance")],
    ids=["null", "some null", "numbers"],
)
def test_what_is_no_text_is_refused_where_text_belongs(model: OnnxModel, unseen: pl.DataFrame, wrong: pl.Expr) -> None:
    with pytest.raises(ScoringError, match="column 'dest' must be text without nulls"):
        model.predict(unseen.with_columns(dest=wrong))


def test_a_file_and_its_content_are_the_same_model(content: bytes, unseen: pl.DataFrame, tmp_path: Path) -> None:
    file = tmp_path / "model.onnx"
    file.write_bytes(content)
    answers = OnnxModel(file).predict(unseen)
    np.testing.assert_array_equal(answers, OnnxModel(content).predict(unseen))


def test_a_file_that_is_not_there_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ScoringError, match=r"not a model that can be loaded: .*model\.onnx"):
        OnnxModel(tmp_path / "model.onnx")


def test_half_a_file_is_refused(content: bytes) -> None:
    with pytest.raises(ScoringError, match="not a model that can be loaded"):
        OnnxModel(content[: len(content) // 2])


def test_scoring_loads_nothing_that_training_needs() -> None:
    program = "import sys, onebutton_models.scoring; print(*(name.split('.')[0] for name in sys.modules))"
    loaded = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True).stdout.split()
    assert "onnxruntime" in loaded
    assert not {"sklearn", "skl2onnx", "onnx", "lightgbm", "pandas", "polars", "scipy"} & set(loaded)
