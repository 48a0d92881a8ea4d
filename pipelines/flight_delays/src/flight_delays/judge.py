"""Judge the scored flights by what `gates.toml` declares: slices, comparisons, and how the model stands faults of its inputs."""

from __future__ import annotations

from pathlib import Path

import polars as pl

from flight_delays.features import LOCAL_TIME
from flight_delays.train import model_inputs
from onebutton_contracts.contract import load_contract
from onebutton_contracts.errors import run_stage
from onebutton_contracts.tables import read_parquet
from onebutton_evaluation.judgement import Asked, judge_model
from onebutton_models.scoring import OnnxModel


def judged_rows(predictions: pl.DataFrame, features: pl.DataFrame, key: tuple[str, ...]) -> pl.DataFrame:
    """Put what is known of each scored flight beside its prediction, to cut slices by.

    Args:
        predictions: as `contracts/predictions.odcs.yaml` says; not one of them is left out.
        features: as `contracts/features.odcs.yaml` says.
        key: the columns that together name a flight.

    Returns:
        One row per prediction, in their order, with the features, the local `day`, and the local `hour` of departure.
    """
    known = features.select(*key, *(name for name in features.columns if name not in predictions.columns))
    return predictions.join(known, on=key, how="left", maintain_order="left", validate="1:1").with_columns(
        pl.col("scheduled_hour").dt.convert_time_zone(LOCAL_TIME).dt.date().alias("day"),
        (pl.col("departure_minute") // 60).cast(pl.Int64).alias("hour"),
    )


def main() -> None:
    """Write slices, comparisons, robustness, and the golden examples that a release carries."""
    contract = load_contract(Path("contracts/predictions.odcs.yaml"))
    predictions, features = (
        read_parquet(Path(f"data/{name}.parquet"), name, major=1) for name in ("predictions", "features")
    )
    rows = judged_rows(predictions, features, contract.primary_key)
    judge_model(rows, Asked(model_inputs(rows), OnnxModel(Path("model/model.onnx")).predict), contract)


if __name__ == "__main__":
    run_stage(main)
