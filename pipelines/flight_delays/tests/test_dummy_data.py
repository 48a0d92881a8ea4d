"""Dummy flights train nearly as good a model as real ones, and give no real flight away."""

from pathlib import Path

import numpy as np
import polars as pl
import pytest
from sklearn.compose import ColumnTransformer, make_column_transformer
from sklearn.ensemble import HistGradientBoostingClassifier
from sklearn.impute import SimpleImputer
from sklearn.metrics import roc_auc_score
from sklearn.neighbors import NearestNeighbors
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import OneHotEncoder, OrdinalEncoder, StandardScaler
from threadpoolctl import threadpool_limits  # type: ignore[import-untyped]

from flight_delays.features import CATEGORIES, NUMBERS, build_features
from flight_delays.params import Params
from onebutton_contracts.dummy.tables import Plan, generate, read_description

pytestmark = pytest.mark.slow  # two models on half a year each
PIPELINE = Path(__file__).resolve().parents[1]
INPUTS, ANSWER = [*CATEGORIES, *NUMBERS], "late"
TRAINING = pl.col("month") <= 6
MOST_LOST = 0.05  # of the AUC
ASKED, AMONG = 2_000, 20_000  # rows whose nearest real row is looked for, and real rows that it is looked for among


@pytest.fixture(scope="module")
def dummy(params: Params) -> pl.DataFrame:
    """The features of 50,000 dummy flights."""
    plan = Plan.load(PIPELINE / "dummy.yaml")
    tables = generate(plan, read_description(PIPELINE / "dummy.json"), plan.contracts(PIPELINE), 50_000)
    return build_features(tables["flights"].lazy(), tables["weather"].lazy(), params.features).collect()


def auc(train: pl.DataFrame, test: pl.DataFrame) -> float:
    encoder = OrdinalEncoder(handle_unknown="use_encoded_value", unknown_value=-1)
    columns = make_column_transformer((encoder, list(CATEGORIES)), remainder="passthrough")
    trees = HistGradientBoostingClassifier(max_iter=150, min_samples_leaf=100, early_stopping=False, random_state=0)
    with threadpool_limits(1):  # on a busy machine threads wait for each other
        model = make_pipeline(columns, trees).fit(train.select(INPUTS), train[ANSWER].to_numpy())
        return float(roc_auc_score(test[ANSWER].to_numpy(), model.predict_proba(test.select(INPUTS))[:, 1]))


def test_a_model_trained_on_dummy_flights_loses_little_on_real_ones(year: pl.DataFrame, dummy: pl.DataFrame) -> None:
    later = year.filter(~TRAINING)
    assert auc(year.filter(TRAINING), later) - auc(dummy.filter(TRAINING), later) <= MOST_LOST


def test_no_dummy_flight_is_a_real_one(year: pl.DataFrame, dummy: pl.DataFrame) -> None:
    known = [*INPUTS, ANSWER]
    assert dummy.join(year.select(known).unique(), on=known, how="semi", nulls_equal=True).height == 0


def test_dummy_flights_are_no_nearer_to_real_ones_than_these_to_each_other(
    year: pl.DataFrame, dummy: pl.DataFrame
) -> None:
    """A number is laid out in its standard deviations, and two unlike words are one apart; the closest in twenty count."""
    words = OneHotEncoder(handle_unknown="ignore", sparse_output=False)
    numbers = make_pipeline(StandardScaler(), SimpleImputer())
    space = ColumnTransformer(
        [("words", words, list(CATEGORIES)), ("numbers", numbers, list(NUMBERS))],
        transformer_weights={"words": 2**-0.5},
    ).fit(year)
    mixed = year.sample(fraction=1.0, shuffle=True, seed=0)
    search = NearestNeighbors(n_neighbors=1).fit(space.transform(mixed.slice(ASKED, AMONG)))
    nearest, between_real = (
        np.percentile(search.kneighbors(space.transform(rows))[0], 5)
        for rows in (dummy.sample(ASKED, seed=0), mixed.head(ASKED))
    )
    assert nearest >= between_real
