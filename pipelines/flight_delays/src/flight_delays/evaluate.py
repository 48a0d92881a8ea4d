"""Score the months that training never saw with the ONNX file that ships, and judge it beside simpler answers."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl

from flight_delays.params import EvaluateParams, load
from flight_delays.train import model_inputs, months
from onebutton_contracts.contract import load_contract
from onebutton_contracts.errors import run_stage
from onebutton_contracts.tables import read_parquet, write_parquet
from onebutton_evaluation.metrics import DIGITS, calibration_curve, metrics, metrics_by, roc_points
from onebutton_models.scoring import OnnxModel


def score(rows: pl.DataFrame, model: OnnxModel, baseline: OnnxModel) -> pl.DataFrame:
    """Add each flight's probability of being late, from the model and from the baseline.

    Args:
        rows: the columns of `contracts/features.odcs.yaml`.
        model: the boosted trees.
        baseline: the logistic regression.

    Returns:
        The columns of `contracts/predictions.odcs.yaml`.
    """
    inputs = model_inputs(rows)
    return rows.select(
        "carrier",
        "flight",
        "origin",
        "scheduled_hour",
        "month",
        "late",
        pl.Series("probability", model.predict(inputs), dtype=pl.Float64),
        pl.Series("logistic_regression", baseline.predict(inputs), dtype=pl.Float64),
    )


def judge(scored: pl.DataFrame, trained_on: pl.Series, params: EvaluateParams) -> dict[str, Any]:
    """Compare the model with the baseline and with always saying the share of late flights seen in training.

    Args:
        scored: as `score` returns it.
        trained_on: whether each flight of the training months was late, 0 or 1.
        params: as `params.yaml` says.
    """
    base_rate = float(np.mean(trained_on.to_numpy()))
    answers, bins = scored["late"].to_numpy(), params.calibration_bins
    return {
        "model": metrics(answers, scored["probability"].to_numpy(), bins),
        "logistic_regression": metrics(answers, scored["logistic_regression"].to_numpy(), bins),
        "base_rate": metrics(answers, np.full(len(answers), base_rate), bins),
        "by_month": metrics_by(scored, "month", "late", "probability", bins),
        "by_origin": metrics_by(scored, "origin", "late", "probability", bins),
        "training": {"rows": len(trained_on), "share": round(base_rate, DIGITS)},
    }


def main() -> None:
    """Write predictions, metrics and the data of the plots."""
    params = load()
    features = read_parquet(Path("data/features.parquet"), "features", major=1)
    test = months(features, params.evaluate.test_months)
    known = months(features, params.train.fit_months + params.train.tune_months)
    model, baseline = (OnnxModel(Path(f"model/{name}.onnx")) for name in ("model", "baseline"))
    scored = score(test, model, baseline)
    judged = judge(scored, known["late"], params.evaluate)

    write_parquet(scored, Path("data/predictions.parquet"), load_contract(Path("contracts/predictions.odcs.yaml")))
    Path("plots").mkdir(exist_ok=True)
    Path("metrics.json").write_text(json.dumps(judged, indent=2) + "\n", encoding="utf-8")
    answers, probabilities = scored["late"].to_numpy(), scored["probability"].to_numpy()
    roc_points(answers, probabilities).write_csv("plots/roc.csv")
    calibration_curve(answers, probabilities, params.evaluate.calibration_bins).write_csv(
        "plots/calibration.csv", float_precision=6
    )
    by_month = [{"month": int(month), **numbers} for month, numbers in judged["by_month"].items()]
    pl.DataFrame(by_month).write_csv("plots/by_month.csv")


if __name__ == "__main__":
    run_stage(main)
