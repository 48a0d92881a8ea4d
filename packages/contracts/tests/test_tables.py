from pathlib import Path

import polars as pl
import pytest

from onebutton_contracts.contract import Contract
from onebutton_contracts.errors import InputError
from onebutton_contracts.sources import sha256
from onebutton_contracts.tables import read_parquet, write_parquet, write_split


@pytest.fixture
def file(tmp_path: Path) -> Path:
    return tmp_path / "data" / "flights.parquet"


def test_a_table_comes_back_as_it_was_written_in_the_order_of_the_contract(
    flights: pl.DataFrame, contract: Contract, file: Path
) -> None:
    write_parquet(flights.select(reversed(flights.columns)), file, contract)
    assert read_parquet(file, "flights", 1).equals(flights)
    assert [path.name for path in file.parent.iterdir()] == ["flights.parquet"]


def test_the_file_says_which_contract_it_keeps(flights: pl.DataFrame, contract: Contract, file: Path) -> None:
    write_parquet(flights, file, contract)
    facts = pl.read_parquet_metadata(file)
    assert (facts["onebutton.contract"], facts["onebutton.contract.version"]) == ("flights", "1.2.0")


def test_the_bytes_depend_on_the_rows_alone(flights: pl.DataFrame, contract: Contract, file: Path) -> None:
    write_parquet(flights, file, contract)
    first = sha256(file)
    write_parquet(pl.concat([flights.head(1), flights.tail(2)], rechunk=False), file, contract)
    assert sha256(file) == first


def test_rows_that_break_the_contract_leave_the_file_as_it_was(
    flights: pl.DataFrame, contract: Contract, file: Path
) -> None:
    write_parquet(flights, file, contract)
    with pytest.raises(InputError, match="so nothing was written"):
        write_parquet(flights.with_columns(distance=pl.lit(0.0)), file, contract)
    assert read_parquet(file, "flights", 1).equals(flights)


@pytest.mark.parametrize(
    ("reader", "words"),
    [
        (("flights", 2), "is flights 1.2.0, this reader was written for flights 2.x"),
        (("weather", 1), "is flights 1.2.0, this reader was written for weather 1.x"),
    ],
)
def test_a_reader_refuses_a_table_that_it_was_not_written_for(
    flights: pl.DataFrame, contract: Contract, file: Path, reader: tuple[str, int], words: str
) -> None:
    write_parquet(flights, file, contract)
    with pytest.raises(InputError, match=words):
        read_parquet(file, *reader)


def test_a_table_of_no_contract_a_damaged_file_and_none_are_refused_in_one_line(
    flights: pl.DataFrame, file: Path
) -> None:
    file.parent.mkdir()
    with pytest.raises(InputError, match=r"flights.parquet is not here. `make run` makes it"):
        read_parquet(file, "flights", 1)
    flights.write_parquet(file)
    with pytest.raises(InputError, match="is of no contract"):
        read_parquet(file, "flights", 1)
    file.write_bytes(b"PAR1 and no more")
    with pytest.raises(InputError, match="cannot be read"):
        read_parquet(file, "flights", 1)


def test_a_split_becomes_two_files_and_a_key_stands_once_in_both(
    flights: pl.DataFrame, contract: Contract, tmp_path: Path
) -> None:
    parts = flights.with_columns(split=pl.Series(["fit", "tune", "holdout"]))
    write_split(parts, contract, tmp_path)
    known, held_out = (read_parquet(tmp_path / f"{name}.parquet", "flights", 1) for name in ("train", "holdout"))
    assert known["split"].to_list() == ["fit", "tune"]
    assert pl.concat([known.drop("split"), held_out]).equals(flights)
    twice = pl.concat([parts, parts.head(1).with_columns(split=pl.lit("holdout"))])
    with pytest.raises(InputError, match="must name one row only"):
        write_split(twice, contract, tmp_path)


@pytest.mark.parametrize(
    ("split", "words"), [("test", "must be one of fit, tune, holdout"), ("fit", "each needs some")]
)
def test_a_split_that_says_something_else_or_holds_nothing_out_is_refused(
    flights: pl.DataFrame, contract: Contract, tmp_path: Path, split: str, words: str
) -> None:
    with pytest.raises(InputError, match=words):
        write_split(flights.with_columns(split=pl.lit(split)), contract, tmp_path)
    assert list(tmp_path.iterdir()) == []
