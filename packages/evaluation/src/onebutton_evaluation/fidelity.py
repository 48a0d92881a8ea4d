"""How well dummy data resembles real data: is it as good to train on, does it give anybody away, can it be told apart?

Train on synthetic, test on real: Esteban, Hyland and Raetsch (2017). Distance to the closest record: Park et al. (2018), "Data
synthesis based on generative adversarial networks". Telling two samples apart by a classifier: Lopez-Paz and Oquab (2017).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import polars as pl

from onebutton_contracts.dummy.plan import FidelityPlan

if TYPE_CHECKING:
    from sklearn.pipeline import Pipeline

LOSS_ALLOWED = 0.05  # AUC
SAMPLE = 20_000  # rows of each side that distances and the classifier look at
ASKED = 2_000  # rows whose nearest neighbour is looked for
NEAR = 5  # the percentile of distances that is held to account: the closest, but not one chance row


@dataclass(frozen=True)
class Fidelity:
    """What was measured of dummy data.

    Attributes:
        auc: of a model trained on it and tested on real rows.
        real_auc: of the same model trained on real rows.
        nearest: 5th percentile of the distance from its rows to the nearest real row.
        real_nearest: the same from real rows to the nearest other real row.
        copies: the share of its rows that equal a real row.
        told_apart: AUC of a classifier that tells its rows from real ones; 0.5 is chance.
    """

    auc: float
    real_auc: float
    nearest: float
    real_nearest: float
    copies: float
    told_apart: float

    @property
    def gates(self) -> dict[str, bool]:
        """The two requirements, and whether each is met."""
        return {
            f"loses at most {LOSS_ALLOWED} AUC": self.real_auc - self.auc <= LOSS_ALLOWED,
            "no nearer to a real row than real rows are": self.nearest >= self.real_nearest,
        }


def measure(real: pl.DataFrame, dummy: pl.DataFrame, plan: FidelityPlan, seed: int = 0) -> Fidelity:
    """Hold dummy rows against the real rows.

    Args:
        real: the columns that the plan names.
        dummy: the same columns.
        plan: what the rows are for, and which of them train and test.
        seed: of the samples.
    """
    trains, tests = pl.col(plan.split).is_in(plan.train), pl.col(plan.split).is_in(plan.test)
    ours, theirs = (rows.select(*plan.inputs, plan.target) for rows in (real, dummy))
    nearest, real_nearest = (float(np.percentile(found, NEAR)) for found in _nearest(ours, theirs, seed))
    return Fidelity(
        auc=_auc(dummy.filter(trains), real.filter(tests), plan.inputs, plan.target, seed),
        real_auc=_auc(real.filter(trains), real.filter(tests), plan.inputs, plan.target, seed),
        nearest=nearest,
        real_nearest=real_nearest,
        copies=theirs.join(ours.unique(), on=ours.columns, how="semi", nulls_equal=True).height / theirs.height,
        told_apart=_told_apart(ours, theirs, seed),
    )


def _auc(train: pl.DataFrame, test: pl.DataFrame, inputs: list[str], target: str, seed: int) -> float:
    """Train on some rows, and return the AUC on others; 0.5 when there is nothing to learn from."""
    from sklearn.metrics import roc_auc_score

    if train[target].n_unique() < 2:  # noqa: PLR2004  no late flight, or only late ones
        return 0.5
    model = _model(train.select(inputs), seed).fit(train.select(inputs), train[target].to_numpy())
    return float(roc_auc_score(test[target].to_numpy(), model.predict_proba(test.select(inputs))[:, 1]))


def _model(inputs: pl.DataFrame, seed: int) -> Pipeline:
    from sklearn.compose import make_column_transformer
    from sklearn.ensemble import HistGradientBoostingClassifier
    from sklearn.pipeline import make_pipeline
    from sklearn.preprocessing import OrdinalEncoder

    encoder = OrdinalEncoder(handle_unknown="use_encoded_value", unknown_value=-1)
    columns = make_column_transformer((encoder, _texts(inputs)), remainder="passthrough")
    trees = HistGradientBoostingClassifier(max_iter=150, min_samples_leaf=100, early_stopping=False, random_state=seed)
    return make_pipeline(columns, trees)


def _texts(rows: pl.DataFrame) -> list[str]:
    return rows.select(pl.selectors.string()).columns


def _told_apart(real: pl.DataFrame, dummy: pl.DataFrame, seed: int) -> float:
    """Train a classifier on one half of both samples to say which is which, and examine it on the other half."""
    rows = min(SAMPLE, real.height, dummy.height)
    samples = [part.sample(rows, seed=seed).with_columns(is_real=number) for number, part in enumerate((dummy, real))]
    both = pl.concat(samples).sample(fraction=1.0, shuffle=True, seed=seed)
    return _auc(both.head(rows), both.tail(rows), real.columns, "is_real", seed)


def _nearest(real: pl.DataFrame, dummy: pl.DataFrame, seed: int) -> tuple[Any, Any]:
    """Return for some rows of each side, dummy first, the distance to the nearest of the same real rows, which hold none of them.

    A number is laid out in its standard deviations, a text as one axis for each value, a null as the mean.
    """
    from sklearn.compose import ColumnTransformer
    from sklearn.impute import SimpleImputer
    from sklearn.neighbors import NearestNeighbors
    from sklearn.pipeline import make_pipeline
    from sklearn.preprocessing import OneHotEncoder, StandardScaler

    texts = OneHotEncoder(handle_unknown="ignore", sparse_output=False)
    numbers = make_pipeline(StandardScaler(), SimpleImputer())
    space = ColumnTransformer(
        [("texts", texts, _texts(real)), ("numbers", numbers, real.drop(_texts(real)).columns)],
        transformer_weights={"texts": 2**-0.5},  # two unlike texts are as far apart as one standard deviation
    ).fit(real)
    mixed = real.sample(fraction=1.0, shuffle=True, seed=seed)
    asked = min(ASKED, real.height // 2, dummy.height)
    search = NearestNeighbors(n_neighbors=1).fit(space.transform(mixed.slice(asked, SAMPLE)))
    sides = (dummy.sample(asked, seed=seed), mixed.head(asked))
    nearest, real_nearest = (search.kneighbors(space.transform(side))[0][:, 0] for side in sides)
    return nearest, real_nearest
