"""How well dummy data resembles real data: is it as good to train on, does it give anybody away, can it be told apart?

Train on synthetic, test on real: Esteban, Hyland and Raetsch (2017). Distance to the closest record: Park et al. (2018), "Data
synthesis based on generative adversarial networks". Telling two samples apart by a classifier: Lopez-Paz and Oquab (2017).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import polars as pl

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


@dataclass(frozen=True)
class Task:
    """What the rows are for.

    Attributes:
        target: the column to predict, 0 or 1.
        inputs: the columns to predict it from; text or numbers.
        split: the column that says where a row belongs.
        train: its values in training.
        test: its values in the test.
    """

    target: str
    inputs: tuple[str, ...]
    split: str
    train: tuple[int, ...]
    test: tuple[int, ...]


def measure(real: pl.DataFrame, dummy: pl.DataFrame, task: Task, seed: int = 0) -> Fidelity:
    """Hold dummy rows against the real rows.

    Args:
        real: the columns of the task.
        dummy: the same columns.
        task: what both are for.
        seed: of the samples.
    """
    known, examined = (real.filter(pl.col(task.split).is_in(values)) for values in (task.train, task.test))
    made = dummy.filter(pl.col(task.split).is_in(task.train))
    columns = [*task.inputs, task.target]
    nearest, real_nearest = _nearest(real.select(columns), dummy.select(columns), seed)
    return Fidelity(
        auc=trained_auc(made, examined, task, seed),
        real_auc=trained_auc(known, examined, task, seed),
        nearest=float(np.percentile(nearest, NEAR)),
        real_nearest=float(np.percentile(real_nearest, NEAR)),
        copies=dummy.select(columns)
        .join(real.select(columns).unique(), on=columns, how="semi", nulls_equal=True)
        .height
        / dummy.height,
        told_apart=_told_apart(real.select(columns), dummy.select(columns), seed),
    )


def trained_auc(train: pl.DataFrame, test: pl.DataFrame, task: Task, seed: int) -> float:
    """Train on some rows, and return the AUC on others; 0.5 when there is nothing to learn from."""
    from sklearn.metrics import roc_auc_score

    if train[task.target].n_unique() < 2:  # noqa: PLR2004  no late flight, or only late ones
        return 0.5
    model = _model(train.select(task.inputs), seed).fit(train.select(task.inputs), train[task.target].to_numpy())
    return float(roc_auc_score(test[task.target].to_numpy(), model.predict_proba(test.select(task.inputs))[:, 1]))


def shuffled(frame: pl.DataFrame, seed: int) -> pl.DataFrame:
    """Shuffle each column by itself: the spreads stay, what binds columns together is gone."""
    return frame.select(pl.col(name).shuffle(seed + at) for at, name in enumerate(frame.columns))


def _model(inputs: pl.DataFrame, seed: int) -> Pipeline:
    from sklearn.compose import ColumnTransformer
    from sklearn.ensemble import HistGradientBoostingClassifier
    from sklearn.pipeline import Pipeline
    from sklearn.preprocessing import OrdinalEncoder

    texts = [name for name, kind in inputs.schema.items() if kind == pl.String]
    numbers = [name for name in inputs.columns if name not in texts]
    encoder = OrdinalEncoder(handle_unknown="use_encoded_value", unknown_value=-1)
    columns = ColumnTransformer([("texts", encoder, texts), ("numbers", "passthrough", numbers)])
    trees = HistGradientBoostingClassifier(max_iter=150, min_samples_leaf=100, early_stopping=False, random_state=seed)
    return Pipeline([("columns", columns), ("trees", trees)])


def _told_apart(real: pl.DataFrame, dummy: pl.DataFrame, seed: int) -> float:
    """Train a classifier on one half of both samples to say which is which, and examine it on the other half."""
    rows = min(SAMPLE, real.height, dummy.height)
    both = pl.concat(
        [part.sample(rows, seed=seed).with_columns(is_real=pl.lit(number)) for number, part in enumerate((dummy, real))]
    ).sample(fraction=1.0, shuffle=True, seed=seed)
    task = Task("is_real", tuple(real.columns), "", (), ())
    return trained_auc(both.head(rows), both.tail(rows), task, seed)


def _nearest(real: pl.DataFrame, dummy: pl.DataFrame, seed: int) -> tuple[Any, Any]:
    """Return for some rows of each side the distance to the nearest of the same real rows, which hold none of them."""
    from sklearn.neighbors import NearestNeighbors

    mixed = real.sample(fraction=1.0, shuffle=True, seed=seed)
    asked = min(ASKED, real.height // 2, dummy.height)
    ours, others = mixed.head(asked), mixed.slice(asked, SAMPLE)
    sides = [_coordinates(part, real) for part in (others, ours, dummy.sample(asked, seed=seed))]
    search = NearestNeighbors(n_neighbors=1).fit(sides[0])
    real_nearest, nearest = (search.kneighbors(side)[0][:, 0] for side in sides[1:])
    return nearest, real_nearest


def _coordinates(rows: pl.DataFrame, real: pl.DataFrame) -> Any:
    """Lay rows out in space: a number in its standard deviations, a text as one axis for each value, a null as the mean."""
    parts: list[Any] = []
    for name, kind in real.schema.items():
        if kind == pl.String:
            values = sorted(real[name].unique().drop_nulls())
            parts += [(rows[name] == value).fill_null(value=False).to_numpy() / np.sqrt(2) for value in values]
        else:
            numbers = real[name].cast(pl.Float64)
            centre, spread = numbers.mean(), numbers.std() or 1.0
            parts.append(((rows[name].cast(pl.Float64) - centre) / spread).fill_null(0.0).to_numpy())
    return np.column_stack(parts)
