from __future__ import annotations

import json
import math
import os
import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import polars as pl
import pytest
import yaml

from flight_delays.evaluate import judge, score
from flight_delays.params import Params
from flight_delays.train import model_inputs
from onebutton_contracts.contract import Contract
from onebutton_contracts.sources import sha256
from onebutton_contracts.validation import validate
from onebutton_models.scoring import OnnxModel

TEST = list(range(7, 13))
NUMBERS = {"rows", "share", "auc", "log_loss", "calibration_error"}


@pytest.fixture(scope="module")
def scored(finished: Path) -> pl.DataFrame:
    return pl.read_parquet(finished / "data" / "predictions.parquet")


def test_every_output_that_dvc_yaml_names_is_written(finished: Path) -> None:
    pipeline = Path(__file__).parents[1]
    stages = yaml.safe_load((pipeline / "dvc.yaml").read_text(encoding="utf-8"))["stages"]
    entries = [
        entry
        for name in ("features", "train", "evaluate", "judge", "card")
        for kind in ("outs", "metrics")
        for entry in stages[name].get(kind, [])
    ]
    outputs = [entry if isinstance(entry, str) else next(iter(entry)) for entry in entries]
    assert len(outputs) > 11
    assert [name for name in outputs if not (finished / name).is_file()] == []


def test_each_flight_of_the_test_months_and_no_other_is_scored(finished: Path, scored: pl.DataFrame) -> None:
    features = pl.read_parquet(finished / "data" / "features.parquet")
    expected = features.filter(pl.col("month").is_in(TEST))
    key = ["carrier", "flight", "origin", "scheduled_hour"]
    assert scored.select(*key, "late").equals(expected.select(*key, "late"))


def test_predictions_keep_their_contract(scored: pl.DataFrame, contracts: dict[str, Contract]) -> None:
    assert validate(scored, contracts["predictions"]).columns == contracts["predictions"].column_names


def test_probabilities_are_those_of_the_files_that_ship(finished: Path, scored: pl.DataFrame) -> None:
    features = pl.read_parquet(finished / "data" / "features.parquet").filter(pl.col("month").is_in(TEST))
    model, baseline = (OnnxModel(finished / "model" / f"{name}.onnx") for name in ("model", "baseline"))
    assert score(features, model, baseline).equals(scored)
    np.testing.assert_array_equal(scored["probability"], model.predict(model_inputs(features)))
    assert (scored["probability"] != scored["logistic_regression"]).any()


def test_the_model_stands_beside_its_baseline_and_the_base_rate(finished: Path, scored: pl.DataFrame) -> None:
    judged = json.loads((finished / "metrics.json").read_text(encoding="utf-8"))
    assert list(judged) == ["model", "logistic_regression", "base_rate", "by_month", "by_origin", "training"]
    for name in ("model", "logistic_regression", "base_rate"):
        assert set(judged[name]) == NUMBERS
        assert judged[name]["rows"] == scored.height
    assert judged["base_rate"]["auc"] == 0.5
    assert judged["model"]["auc"] > 0.6
    assert judged["model"]["log_loss"] < judged["base_rate"]["log_loss"]
    assert list(judged["by_month"]) == ["07", "08", "09", "10", "11", "12"]
    assert list(judged["by_origin"]) == ["EWR", "JFK", "LGA"]
    for group in ("by_month", "by_origin"):
        assert sum(part["rows"] for part in judged[group].values()) == scored.height


def test_the_base_rate_is_the_share_of_late_flights_in_the_training_months(finished: Path) -> None:
    features = pl.read_parquet(finished / "data" / "features.parquet")
    in_training, in_test = (
        float(np.mean(features.filter(pl.col("month").is_in(wanted))["late"].to_numpy()))
        for wanted in (range(1, 7), TEST)
    )
    found = json.loads((finished / "metrics.json").read_text(encoding="utf-8"))
    assert found["training"]["share"] == pytest.approx(in_training, abs=1e-6)
    judged = found["base_rate"]
    loss = -in_test * math.log(in_training) - (1 - in_test) * math.log(1 - in_training)
    assert judged["log_loss"] == pytest.approx(loss, abs=1e-6)
    assert judged["calibration_error"] == pytest.approx(abs(in_training - in_test), abs=1e-6)


def test_a_model_no_better_than_its_baseline_shows(scored: pl.DataFrame, params: Params) -> None:
    copied = scored.with_columns(probability="logistic_regression")
    judged = judge(copied, scored["late"], params.evaluate)
    assert judged["model"] == judged["logistic_regression"]


def test_the_data_of_the_plots_is_that_of_the_metrics(finished: Path) -> None:
    judged = json.loads((finished / "metrics.json").read_text(encoding="utf-8"))
    by_month = pl.read_csv(finished / "plots" / "by_month.csv")
    assert by_month["month"].to_list() == TEST
    assert by_month["auc"].to_list() == [part["auc"] for part in judged["by_month"].values()]
    calibration = pl.read_csv(finished / "plots" / "calibration.csv")
    assert calibration["rows"].sum() == judged["model"]["rows"]
    roc = pl.read_csv(finished / "plots" / "roc.csv")
    assert (roc.row(0), roc.row(-1)) == ((0.0, 0.0), (1.0, 1.0))


@pytest.mark.slow
def test_every_output_has_the_same_bytes_whatever_the_number_of_threads(finished: Path, tmp_path: Path) -> None:
    written = []
    for threads in ("1", "5"):
        folder = tmp_path / threads
        folder.mkdir()
        shutil.copytree(finished / "contracts", folder / "contracts")
        shutil.copy(finished / "params.yaml", folder)
        environment = os.environ | {"POLARS_MAX_THREADS": threads, "OMP_NUM_THREADS": threads}
        for stage in ("ingest", "features", "train", "evaluate"):  # on every flight of the year
            subprocess.run([sys.executable, "-m", f"flight_delays.{stage}"], cwd=folder, env=environment, check=True)
        written.append({str(file.relative_to(folder)): sha256(file) for file in folder.rglob("*.*") if file.is_file()})
    assert len(written[0]) > 15
    assert written[0] == written[1]
