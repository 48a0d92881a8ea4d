import zipfile
from pathlib import Path

import polars as pl
import pytest

from onebutton_contracts.errors import InputError
from onebutton_contracts.terms import Column, Contract
from onebutton_flights.source import read_table, unpack


def weather(classification: str = "public") -> Contract:
    columns = (Column("origin", "string"), Column("temp", "number", classification=classification))
    return Contract(Path("contracts/weather.odcs.yaml"), "weather", "1.0.0", "the weather team", columns)


def refusal(text: str, contract: Contract) -> str:
    with pytest.raises(InputError) as caught:
        read_table(text.encode(), contract)
    assert "weather cannot be read by contracts/weather.odcs.yaml" in str(caught.value)
    assert "Owner: the weather team" in str(caught.value)
    return str(caught.value)


def test_na_is_read_as_missing_and_all_else_as_its_contract_says() -> None:
    frame = read_table(b"origin,temp\nEWR,NA\nJFK,40\n", weather())
    assert frame.rows() == [("EWR", None), ("JFK", 40.0)]
    assert frame.schema["temp"] == pl.Float64


@pytest.mark.parametrize(("classification", "told"), [("public", "`far`"), ("personal", "a value")])
def test_a_value_of_another_type_is_told_unless_it_may_be_somebodys(classification: str, told: str) -> None:
    words = refusal("origin,temp\nEWR,far\n", weather(classification))
    assert f"could not parse {told}" in words
    assert "'temp'" in words
    assert ("far" in words) is (classification == "public")


@pytest.mark.parametrize("broken", ["", "origin,temp\nEWR,40,1\n"], ids=["nothing", "a cell too many"])
def test_what_is_no_table_is_refused_by_name(broken: str) -> None:
    refusal(broken, weather())


def test_a_zipped_file_is_read_as_its_content(tmp_path: Path) -> None:
    plain, zipped = tmp_path / "table.csv", tmp_path / "table.csv.zip"
    plain.write_bytes(b"a,b\n1,2\n")
    with zipfile.ZipFile(zipped, "w") as archive:
        archive.write(plain, "table.csv")
    assert unpack(zipped) == unpack(plain) == b"a,b\n1,2\n"
