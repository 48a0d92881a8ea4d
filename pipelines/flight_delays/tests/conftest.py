"""The flights and the weather of 2013, as the locked distribution brings them, and a small part of them to train on."""

from __future__ import annotations

import contextlib
import dataclasses
import re
import shutil
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from flight_delays import evaluate, features, judge, train
from flight_delays.features import build_features
from flight_delays.ingest import read_table, unpack
from flight_delays.params import Params, TrainParams
from onebutton_contracts.contract import Contract, load_contract
from onebutton_contracts.parameters import load_parameters
from onebutton_contracts.sources import pinned_source
from onebutton_contracts.tables import write_parquet
from onebutton_contracts.validation import validate
from onebutton_evaluation import card

if TYPE_CHECKING:
    import polars as pl

PIPELINE = Path(__file__).parents[1]


def contract_of(name: str) -> Contract:
    return load_contract(PIPELINE / "contracts" / f"{name}.odcs.yaml")


@pytest.fixture(scope="session")
def contracts() -> dict[str, Contract]:
    """The contracts of this pipeline, by name; in those of its results any number of rows will do."""
    few = {name: dataclasses.replace(contract_of(name), minimum_rows=1) for name in ("features", "predictions")}
    return {name: contract_of(name) for name in ("flights", "weather")} | few


@pytest.fixture(scope="session")
def params() -> Params:
    """What `params.yaml` says."""
    return load_parameters(Params, PIPELINE / "params.yaml")


@pytest.fixture(scope="session")
def quick(params: Params) -> TrainParams:
    """Parameters that suit few rows and one core."""
    return dataclasses.replace(params.train, max_trees=30, stop_after=5, min_child_samples=20, threads=1)


@pytest.fixture(scope="session")
def flights(contracts: dict[str, Contract]) -> pl.DataFrame:
    """Every flight of the year, as `ingest` reads it."""
    table = read_table(unpack(pinned_source(contracts["flights"])), contracts["flights"])
    return validate(table, contracts["flights"]).select(contracts["flights"].column_names)


@pytest.fixture(scope="session")
def weather(contracts: dict[str, Contract]) -> pl.DataFrame:
    """The weather of the year, as `ingest` reads it."""
    table = read_table(unpack(pinned_source(contracts["weather"])), contracts["weather"])
    return validate(table, contracts["weather"]).select(contracts["weather"].column_names)


@pytest.fixture(scope="session")
def year(flights: pl.DataFrame, weather: pl.DataFrame, params: Params, contracts: dict[str, Contract]) -> pl.DataFrame:
    """The features of every flight of the year, in the order of their key."""
    contract = contracts["features"]
    built = build_features(flights.lazy(), weather.lazy(), params.features).select(contract.column_names)
    return built.sort(contract.primary_key).collect()


@pytest.fixture(scope="session")
def rows(year: pl.DataFrame) -> pl.DataFrame:
    """The features of every twentieth flight: some 1,400 a month."""
    return year.gather_every(20)


@pytest.fixture(scope="session")
def finished(flights: pl.DataFrame, weather: pl.DataFrame, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Run the stages after `ingest` as programs do, on every fortieth flight; return the folder that they leave behind."""
    folder = tmp_path_factory.mktemp("flight_delays")
    shutil.copytree(PIPELINE / "contracts", folder / "contracts")
    for name in ("features", "predictions"):
        file = folder / "contracts" / f"{name}.odcs.yaml"
        text = file.read_text(encoding="utf-8")
        file.write_text(text.replace("mustBeGreaterOrEqualTo: ", "mustBeGreaterOrEqualTo: 1 # "), encoding="utf-8")
    settings = (PIPELINE / "params.yaml").read_text(encoding="utf-8")
    for key, instead in (("max_trees", "30"), ("threads", "1"), ("min_child_samples", "20")):
        settings, lines = re.subn(rf"^( *{key}:) *\S+", rf"\1 {instead}", settings, flags=re.MULTILINE)
        assert lines == 1
    (folder / "params.yaml").write_text(settings, encoding="utf-8")
    for name in ("gates.toml", "card.toml"):
        shutil.copy(PIPELINE / name, folder)
    some = dataclasses.replace(contract_of("flights"), minimum_rows=1, freshness=None)
    write_parquet(flights.gather_every(40), folder / "data" / "raw" / "flights.parquet", some)
    write_parquet(weather, folder / "data" / "raw" / "weather.parquet", contract_of("weather"))
    with contextlib.chdir(folder):
        features.main()
        train.main()
        evaluate.main()
        judge.main()
        card.main()
    return folder
