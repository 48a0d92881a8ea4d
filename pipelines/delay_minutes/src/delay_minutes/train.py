"""Train a model for the middle of what may happen and one for each end, and convert all to ONNX.

The months that judge them are in another file, which is not read here.
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import polars as pl

from delay_minutes.params import Params, TrainParams
from onebutton_contracts.contract import Contract, load_contract
from onebutton_contracts.errors import run_stage
from onebutton_contracts.odd_rows import odd_rows
from onebutton_contracts.tables import read_parquet
from onebutton_flights.weather import WEATHER
from onebutton_models.conversion import to_onnx
from onebutton_models.proof import prove

if TYPE_CHECKING:
    from sklearn.pipeline import Pipeline

CATEGORIES = ("carrier", "origin", "dest")
NUMBERS = ("distance", "weekday", "departure_minute", "arrival_minute", *WEATHER)
ANSWER = "delay"
LEVELS = {"model": 0.5, "p10": 0.1, "p90": 0.9}  # the share of flights below, by the file that says so


def model_inputs(rows: pl.DataFrame) -> pl.DataFrame:
    """Take the columns that the models see: text as it is, numbers as float32, which is what ONNX will get."""
    return rows.select(*CATEGORIES, pl.col(*NUMBERS).cast(pl.Float32))


def train(rows: pl.DataFrame, level: float, params: TrainParams) -> Pipeline:
    """Train trees that say how late a flight is at most, with the probability `level`.

    Weather is hardly ever missing in these months, and would be a riddle to trees that never saw that: some flights are shown twice.

    Returns:
        A fitted pipeline that takes frames with the columns of `model_inputs`, and answers in minutes.
    """
    from lightgbm import LGBMRegressor
    from sklearn.compose import ColumnTransformer
    from sklearn.pipeline import Pipeline
    from sklearn.preprocessing import OrdinalEncoder

    numbered = OrdinalEncoder(handle_unknown="use_encoded_value", unknown_value=-1)
    columns = ColumnTransformer([("categories", numbered, list(CATEGORIES)), ("numbers", "passthrough", list(NUMBERS))])
    trees = LGBMRegressor(
        objective="quantile",
        alpha=level,
        n_estimators=params.trees,
        num_leaves=params.num_leaves,
        learning_rate=params.learning_rate,
        min_child_samples=200,
        random_state=params.seed,
        n_jobs=params.threads,
        deterministic=True,
        force_row_wise=True,  # else LightGBM times both layouts and takes the faster, another one on another day
        verbose=-1,
    )
    blind = rows.gather_every(params.blind_every).with_columns(pl.lit(None, pl.Float64).alias(name) for name in WEATHER)
    shown = pl.concat([rows, blind])
    return Pipeline([("columns", columns), ("trees", trees)]).fit(model_inputs(shown), shown[ANSWER].to_numpy())


def ship(pipeline: Pipeline, rows: pl.DataFrame, params: TrainParams, contract: Contract) -> bytes:
    """Convert a pipeline, and refuse the file unless it answers as the pipeline does on all that the contract lets in.

    Raises:
        InputError: a step does not convert, or the two differ.
    """
    known = model_inputs(rows)
    model = to_onnx(pipeline, known)
    proof = prove(pipeline, model, known, odd_rows(contract, known), tolerance=params.proof_tolerance)
    for line in proof.refuses:
        print(line)
    return proof.model


def main() -> None:
    """Write `model/model.onnx`, `model/p10.onnx` and `model/p90.onnx`."""
    params, contract = Params.load().train, load_contract(Path("contracts/features.odcs.yaml"))
    rows = read_parquet(Path("data/train.parquet"), "features", major=1)
    models = {name: ship(train(rows, level, params), rows, params, contract) for name, level in LEVELS.items()}
    Path("model").mkdir(exist_ok=True)
    for name, model in models.items():
        Path(f"model/{name}.onnx").write_bytes(model)


if __name__ == "__main__":
    run_stage(main)
