"""Train the model and its baseline, and convert both to ONNX.

Trees are grown on the first months and checked on the month after them; with the number of leaves and trees found there,
the model is trained again on all of these months. The test months are in another file, which is not read here.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import polars as pl

from flight_delays.features import CATEGORIES, NUMBERS
from flight_delays.params import Params, TrainParams
from onebutton_contracts.contract import Contract, load_contract
from onebutton_contracts.errors import run_stage
from onebutton_contracts.odd_rows import odd_rows
from onebutton_contracts.tables import read_parquet
from onebutton_models.conversion import to_onnx
from onebutton_models.proof import prove

if TYPE_CHECKING:
    from lightgbm import LGBMClassifier
    from sklearn.pipeline import Pipeline


@dataclass(frozen=True)
class Tuning:
    """What the tuning months chose.

    Attributes:
        curve: one row per tree count: `trees`, and the log loss on the tuning months with the leaves chosen.
    """

    num_leaves: int
    trees: int
    log_loss: float
    curve: pl.DataFrame


def model_inputs(rows: pl.DataFrame) -> pl.DataFrame:
    """Take the columns that the model sees: text as it is, numbers as float32, which is what ONNX will get."""
    return rows.select(*CATEGORIES, pl.col(*NUMBERS).cast(pl.Float32))


def tune(rows: pl.DataFrame, params: TrainParams) -> Tuning:
    """Try each number of leaves, stop each when more trees no longer help, and take the best."""
    import lightgbm

    fit, check = rows.filter(split="fit"), rows.filter(split="tune")
    encoder = encode().fit(model_inputs(fit))
    inputs, check_inputs = encoder.transform(model_inputs(fit)), encoder.transform(model_inputs(check))
    found = []
    for num_leaves in params.num_leaves:
        trees = boosted_trees(params, num_leaves, params.max_trees)
        stop = lightgbm.early_stopping(params.stop_after, verbose=False)
        trees.fit(
            inputs, fit["late"].to_numpy(), eval_X=check_inputs, eval_y=check["late"].to_numpy(), callbacks=[stop]
        )
        (losses,) = (scores["binary_logloss"] for scores in trees.evals_result_.values())
        curve = pl.DataFrame({"trees": range(1, len(losses) + 1), "log_loss": losses})
        found.append(
            Tuning(num_leaves, trees.best_iteration_, min(losses), curve.with_columns(pl.col("log_loss").round(6)))
        )
    return min(found, key=lambda one: one.log_loss)


def train(rows: pl.DataFrame, tuning: Tuning, params: TrainParams) -> Pipeline:
    """Train on the tuning months too, with what tuning chose.

    Returns:
        A fitted pipeline that takes frames with the columns of `model_inputs`.
    """
    from sklearn.pipeline import Pipeline

    pipeline = Pipeline([("columns", encode()), ("trees", boosted_trees(params, tuning.num_leaves, tuning.trees))])
    return pipeline.fit(model_inputs(rows), rows["late"].to_numpy())


def train_baseline(rows: pl.DataFrame) -> Pipeline:
    """Train a logistic regression on the same months: what the trees must beat to be worth their trouble."""
    from sklearn.compose import ColumnTransformer
    from sklearn.impute import SimpleImputer
    from sklearn.linear_model import LogisticRegression
    from sklearn.pipeline import Pipeline
    from sklearn.preprocessing import OneHotEncoder, StandardScaler

    numbers = Pipeline([("fill", SimpleImputer()), ("scale", StandardScaler())])
    categories = OneHotEncoder(handle_unknown="ignore", sparse_output=False)
    columns = ColumnTransformer([("categories", categories, list(CATEGORIES)), ("numbers", numbers, list(NUMBERS))])
    pipeline = Pipeline([("columns", columns), ("line", LogisticRegression(solver="newton-cholesky"))])
    return pipeline.fit(model_inputs(rows), rows["late"].to_numpy())


def encode() -> Any:
    """Number the categories; one that training never saw becomes -1 instead of an error."""
    from sklearn.compose import ColumnTransformer
    from sklearn.preprocessing import OrdinalEncoder

    categories = OrdinalEncoder(handle_unknown="use_encoded_value", unknown_value=-1)
    return ColumnTransformer([("categories", categories, list(CATEGORIES)), ("numbers", "passthrough", list(NUMBERS))])


def boosted_trees(params: TrainParams, num_leaves: int, trees: int) -> LGBMClassifier:
    """Set up LightGBM so that the same data gives the same trees, to the byte."""
    from lightgbm import LGBMClassifier

    return LGBMClassifier(
        n_estimators=trees,
        num_leaves=num_leaves,
        learning_rate=params.learning_rate,
        min_child_samples=params.min_child_samples,
        colsample_bytree=params.feature_share,
        subsample=params.row_share,
        subsample_freq=1,
        reg_lambda=params.l2,
        random_state=params.seed,
        n_jobs=params.threads,
        deterministic=True,
        force_row_wise=True,  # else LightGBM times both layouts and takes the faster, another one on another day
        verbose=-1,
    )


def ship(pipeline: Pipeline, rows: pl.DataFrame, params: TrainParams, contract: Contract) -> bytes:
    """Convert a pipeline, and refuse the file unless it answers as the pipeline does.

    Both are asked about rows of training, and about rows that the contract lets in and training hardly holds: missing weather,
    new airports, and numbers halfway between two, where trees put their thresholds and a rounding sends a flight to the other side.
    """
    known = model_inputs(rows)
    drawn = odd_rows(contract, known, params.proof_rows, params.seed)
    model = to_onnx(pipeline, known)
    proof = prove(pipeline, model, known, drawn, tolerance=params.proof_tolerance)
    for line in proof.refuses:
        print(line)
    return proof.model


def main() -> None:
    """Write both models, and what tuning saw."""
    params, contract = Params.load().train, load_contract(Path("contracts/features.odcs.yaml"))
    rows = read_parquet(Path("data/train.parquet"), "features", major=1)
    tuning = tune(rows, params)
    model = ship(train(rows, tuning, params), rows, params, contract)
    baseline = ship(train_baseline(rows), rows, params, contract)
    for folder in ("model", "plots"):
        Path(folder).mkdir(exist_ok=True)
    Path("model/model.onnx").write_bytes(model)
    Path("model/baseline.onnx").write_bytes(baseline)
    tuning.curve.write_csv("plots/tuning.csv")
    chosen = {"num_leaves": tuning.num_leaves, "trees": tuning.trees, "log_loss": round(tuning.log_loss, 6)}
    Path("tuning.json").write_text(json.dumps({"tuning": chosen}, indent=2) + "\n", encoding="utf-8")


if __name__ == "__main__":
    run_stage(main)
