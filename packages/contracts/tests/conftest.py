"""Three flights that left New York on 1 January 2013, and a contract that they keep."""

from datetime import UTC, datetime
from pathlib import Path

import polars as pl
import pytest

from onebutton_contracts.contract import Contract, load_contract

CONTRACT = (Path(__file__).parent / "flights.odcs.yaml").read_text(encoding="utf-8")


@pytest.fixture(scope="session")
def contract_file(tmp_path_factory: pytest.TempPathFactory) -> Path:
    file = tmp_path_factory.mktemp("contracts") / "flights.odcs.yaml"
    file.write_text(CONTRACT, encoding="utf-8")
    return file


@pytest.fixture(scope="session")
def contract(contract_file: Path) -> Contract:
    return load_contract(contract_file)


@pytest.fixture(scope="session")
def flights() -> pl.DataFrame:
    hour = datetime(2013, 1, 1, 10, tzinfo=UTC)
    return pl.DataFrame(
        {
            "carrier": ["UA", "UA", "AA"],
            "flight": [1545, 1714, 1141],
            "origin": ["EWR", "LGA", "JFK"],
            "distance": [1400.0, 1416.0, 1089.0],
            "time_hour": pl.Series([hour] * 3, dtype=pl.Datetime("us", "UTC")),
            "pilot": ["Amelia", "Bessie", None],
        }
    )
