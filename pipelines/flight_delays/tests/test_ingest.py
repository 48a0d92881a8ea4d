from pathlib import Path

import polars as pl
import pytest

from onebutton_contracts.contract import Contract
from onebutton_contracts.errors import InputError
from onebutton_contracts.sources import pinned_source
from onebutton_contracts.tables import write_parquet
from onebutton_flights.source import read_table, unpack


@pytest.fixture(scope="module")
def lines(contracts: dict[str, Contract]) -> list[str]:
    """The file of the weather, line by line."""
    return unpack(pinned_source(contracts["weather"])).decode().splitlines()


def refusal(lines: list[str], contract: Contract) -> str:
    """Take in a table as `ingest` does, and return why it is refused."""
    with pytest.raises(InputError) as caught:
        write_parquet(read_table("\n".join(lines).encode(), contract), Path("never-written.parquet"), contract)
    message = str(caught.value)
    assert str(contract.path) in message
    assert f"Owner: {contract.owner}" in message
    return message


def swap(line: str, first: int, second: int) -> str:
    cells = line.split(",")
    cells[first], cells[second] = cells[second], cells[first]
    return ",".join(cells)


def test_the_locked_distribution_brings_every_flight_of_the_year(flights: pl.DataFrame) -> None:
    assert flights.height == 336_776
    assert flights["month"].unique().sort().to_list() == list(range(1, 13))
    assert flights.schema["time_hour"] == pl.Datetime("us", "UTC")
    first = flights.row(0, named=True)
    assert (first["carrier"], first["flight"], first["origin"], first["dest"]) == ("UA", 1545, "EWR", "IAH")


def test_the_locked_distribution_brings_the_weather_until_30_december(weather: pl.DataFrame) -> None:
    assert weather.height == 26_115
    assert weather["time_hour"].max() == pl.select(pl.datetime(2013, 12, 30, 23, time_zone="UTC")).item()


def test_na_is_read_as_missing(flights: pl.DataFrame) -> None:
    assert flights.filter(pl.col("dep_time").is_null()).height == 8_255
    assert flights["tailnum"].null_count() == 2_512


def test_columns_in_another_order_come_back_in_that_of_the_contract(
    lines: list[str], weather: pl.DataFrame, contracts: dict[str, Contract]
) -> None:
    turned = "\n".join(swap(line, 5, 6) for line in lines).encode()
    assert read_table(turned, contracts["weather"]).select(weather.columns).equals(weather)


def test_a_file_cut_in_half_is_refused(lines: list[str], contracts: dict[str, Contract]) -> None:
    message = refusal(lines[: len(lines) // 2], contracts["weather"])
    assert "rows must be at least 20,000, is 13057 [row count]" in message


def test_a_file_cut_within_its_last_line_is_refused(lines: list[str], contracts: dict[str, Contract]) -> None:
    message = refusal([*lines[:-1], lines[-1][:40]], contracts["weather"])
    assert "time_hour: must not be missing (1 rows) [required]" in message


def test_values_under_the_wrong_heading_are_refused(lines: list[str], contracts: dict[str, Contract]) -> None:
    message = refusal([lines[0], *(swap(line, 0, 1) for line in lines[1:])], contracts["weather"])
    assert "could not parse `EWR` as dtype `i64` at column 'year'" in message


def test_numbers_under_the_wrong_heading_are_refused_by_their_range(
    lines: list[str], contracts: dict[str, Contract]
) -> None:
    message = refusal([lines[0], *(swap(line, 7, 12) for line in lines[1:])], contracts["weather"])
    assert "humid: must be at most 100 percent" in message
    assert "pressure: must be at least 850 millibars" in message


@pytest.mark.parametrize(
    "broken",
    [[], [""], ["origin;year"], ["origin,year", "EWR,2013,1"]],
    ids=["nothing", "an empty line", "semicolons", "a cell too many"],
)
def test_what_is_no_table_is_refused_by_name(broken: list[str], contracts: dict[str, Contract]) -> None:
    assert "weather" in refusal(broken, contracts["weather"])
