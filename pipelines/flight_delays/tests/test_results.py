"""What the stages make of every fortieth flight, and what is committed of all of them."""

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import polars as pl
import pytest
import yaml

from onebutton_contracts.contract import Contract
from onebutton_contracts.errors import InputError
from onebutton_contracts.sources import sha256
from onebutton_contracts.validation import validate
from onebutton_models.scoring import OnnxModel

PIPELINE = Path(__file__).parents[1]
KEY = ["carrier", "flight", "origin", "scheduled_hour"]
NUMBERS = {"rows", "share", "auc", "log_loss", "calibration_error"}
MODULES = (
    "flight_delays.ingest",
    "flight_delays.features",
    "flight_delays.train",
    "onebutton_evaluation.evaluate",
)


@pytest.fixture(scope="module")
def scored(finished: Path) -> pl.DataFrame:
    return pl.read_parquet(finished / "data" / "predictions.parquet")


@pytest.fixture(scope="module")
def held_out(finished: Path) -> pl.DataFrame:
    return pl.read_parquet(finished / "data" / "holdout.parquet")


def test_every_output_that_dvc_yaml_names_is_written(finished: Path) -> None:
    stages = yaml.safe_load((PIPELINE / "dvc.yaml").read_text(encoding="utf-8"))["stages"]
    entries = [
        entry
        for name in ("features", "train", "evaluate", "card")
        for kind in ("outs", "metrics", "plots")
        for entry in stages[name].get(kind, [])
    ]
    outputs = [entry if isinstance(entry, str) else next(iter(entry)) for entry in entries]
    assert len(outputs) > 15
    assert [name for name in outputs if not (finished / name).is_file()] == []


def test_training_sees_the_first_months_and_the_holdout_has_the_others(finished: Path, held_out: pl.DataFrame) -> None:
    known = pl.read_parquet(finished / "data" / "train.parquet")
    assert set(known.filter(split="fit")["month"]) == set(range(1, 6))
    assert set(known.filter(split="tune")["month"]) == {6}
    assert set(held_out["month"]) == set(range(7, 13))
    assert known["day"].to_numpy().max() < held_out["day"].to_numpy().min()


def test_each_flight_of_the_test_months_and_no_other_is_scored(
    finished: Path, scored: pl.DataFrame, held_out: pl.DataFrame, contracts: dict[str, Contract]
) -> None:
    assert validate(scored, contracts["predictions"]).columns == contracts["predictions"].column_names
    assert scored.select(*KEY, "late").equals(held_out.select(*KEY, "late"))
    for name, column in (("model", "probability"), ("baseline", "logistic_regression")):
        model = OnnxModel(finished / "model" / f"{name}.onnx")
        np.testing.assert_array_equal(scored[column], model.predict(held_out))


def test_the_model_stands_beside_its_baseline_and_the_base_rate(finished: Path, scored: pl.DataFrame) -> None:
    found = json.loads((finished / "metrics.json").read_text(encoding="utf-8"))
    assert list(found) == ["model", "logistic_regression", "base_rate", "by_month", "by_origin", "training"]
    for name in ("model", "logistic_regression", "base_rate"):
        assert set(found[name]) == NUMBERS
        assert found[name]["rows"] == scored.height
    assert found["base_rate"]["auc"] == 0.5
    assert found["model"]["auc"] > 0.6
    assert found["model"]["log_loss"] < found["base_rate"]["log_loss"]
    assert list(found["by_month"]) == ["07", "08", "09", "10", "11", "12"]
    assert list(found["by_origin"]) == ["EWR", "JFK", "LGA"]
    by_month = pl.read_csv(finished / "plots" / "by_month.csv")
    assert by_month["month"].to_list() == list(range(7, 13))
    assert by_month["auc"].to_list() == [part["auc"] for part in found["by_month"].values()]


def test_the_base_rate_is_the_share_of_late_flights_in_the_training_months(finished: Path) -> None:
    known = pl.read_parquet(finished / "data" / "train.parquet")
    found = json.loads((finished / "metrics.json").read_text(encoding="utf-8"))
    assert found["training"] == {"rows": known.height, "share": pytest.approx(known["late"].mean(), abs=1e-6)}


def test_the_split_by_months_is_no_likely_leak(finished: Path) -> None:
    holdout = json.loads((finished / "slices.json").read_text(encoding="utf-8"))["holdout"]
    assert holdout["likely_leaks"] == []


def test_a_month_in_two_parts_is_refused(finished: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from flight_delays import features

    for name in ("contracts", "data/raw"):
        shutil.copytree(finished / name, tmp_path / name)
    settings = (finished / "params.yaml").read_text(encoding="utf-8")
    (tmp_path / "params.yaml").write_text(settings.replace("tune_months: [6]", "tune_months: [7]"), encoding="utf-8")
    monkeypatch.chdir(tmp_path)
    with pytest.raises(InputError, match="month 7 is in more than one part of the split"):
        features.main()


def test_the_slices_tell_the_story_of_the_year() -> None:
    slices = json.loads((PIPELINE / "slices.json").read_text(encoding="utf-8"))["slices"]
    september, december = (slices[f"month {name}"]["metrics"] for name in ("September", "December"))
    assert september["share"]["estimate"] == pytest.approx(0.137, abs=0.001)
    assert december["share"]["estimate"] == pytest.approx(0.335, abs=0.001)
    assert september["share"]["high"] < december["share"]["low"]
    assert (
        september["bias"]["low"] > 0 > december["bias"]["high"]
    )  # it says too much in the one and too little in the other
    assert slices["to Honolulu"]["metrics"] == {}


@pytest.mark.slow
def test_every_output_has_the_same_bytes_whatever_the_number_of_threads(finished: Path, tmp_path: Path) -> None:
    written = []
    for threads in ("1", "5"):
        folder = tmp_path / threads
        folder.mkdir()
        shutil.copytree(finished / "contracts", folder / "contracts")
        for name in ("params.yaml", "gates.toml", "dvc.yaml"):
            shutil.copy(finished / name, folder)
        environment = os.environ | {"POLARS_MAX_THREADS": threads, "OMP_NUM_THREADS": threads}
        for module in MODULES:  # on every flight of the year
            subprocess.run([sys.executable, "-m", module], cwd=folder, env=environment, check=True)
        written.append({str(file.relative_to(folder)): sha256(file) for file in folder.rglob("*.*") if file.is_file()})
    assert len(written[0]) > 15
    assert written[0] == written[1]
