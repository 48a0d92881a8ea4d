"""Twelve faults that real data has had, planted into the flights: each is caught where the data comes in, by the rule's name."""

import dataclasses
from collections.abc import Callable

import polars as pl
import pytest

from onebutton_contracts.contract import Contract
from onebutton_contracts.dvc_files import read_yaml
from onebutton_contracts.errors import InputError
from onebutton_contracts.validation import validate

Fault = Callable[[pl.DataFrame], pl.DataFrame]


def swapped(frame: pl.DataFrame, one: str, other: str) -> pl.DataFrame:
    return frame.rename({one: other, other: one})


FAULTS: dict[str, tuple[Fault, str]] = {
    "missing column": (lambda flights: flights.drop("dest"), "dest: this column is missing [missing column]"),
    "wrong unit": (
        lambda flights: flights.with_columns((pl.col("distance") * 1.609344).round().cast(pl.Int64)),
        "must be at most 5500 miles",
    ),
    "duplicate key": (
        lambda flights: pl.concat([flights, flights.head(1)]),
        "table: carrier, flight, origin, time_hour must name one row only (2 rows) [primary key]",
    ),
    "out of range": (
        lambda flights: flights.with_columns(month=pl.when(pl.int_range(pl.len()) == 7).then(13).otherwise("month")),
        "month: must be at most 12 (1 rows) [maximum]",
    ),
    "unseen category": (
        lambda flights: flights.with_columns(origin=pl.col("origin").replace("LGA", "SWF")),
        "origin: must be one of EWR, JFK, LGA (104,662 rows) [allowed values]",
    ),
    "time zone shift": (
        lambda flights: flights.with_columns(pl.col("time_hour").dt.offset_by("1h")),
        "table: hour must be the hour in New York of time_hour, which is 4 or 5 hours behind UTC (113,957 rows) [time zone]",
    ),
    "truncated file": (
        lambda flights: flights.head(200_000),
        "table: rows must be at least 300,000, is 200000 [row count]",
    ),
    "swapped columns": (
        lambda flights: swapped(flights, "dep_time", "sched_dep_time"),
        "sched_dep_time: must not be missing (8,255 rows) [required]",
    ),
    "nulls": (
        lambda flights: flights.with_columns(tailnum=pl.when(pl.int_range(pl.len()) % 10 > 0).then("tailnum")),
        "tailnum: at most 5 percent may be missing, is 10.6",
    ),
    "stale date": (
        lambda flights: flights.filter(pl.col("month") < 12),
        "time_hour: the newest must be of 2013-12-31 12:00 UTC or later, is 2013-12-01 04:00:00+00:00 [freshness]",
    ),
    "extra column": (
        lambda flights: flights.with_columns(passenger=pl.lit("")),
        "passenger: the contract knows no such column [unknown column]",
    ),
    "personal data in free text": (
        lambda flights: flights.with_columns(
            tailnum=pl.when(pl.int_range(pl.len()) == 3).then(pl.lit("ask jo@airline.example")).otherwise("tailnum")
        ),
        "tailnum: must hold no personal data, as it is not classified personal (1 rows) [personal data]",
    ),
}


@pytest.mark.parametrize("fault", FAULTS)
def test_a_fault_is_caught_at_the_first_boundary(
    flights: pl.DataFrame, contracts: dict[str, Contract], fault: str
) -> None:
    plant, rule = FAULTS[fault]
    with pytest.raises(InputError) as caught:
        validate(plant(flights), contracts["flights"])
    assert rule in str(caught.value)
    assert "jo@airline.example" not in str(caught.value)


@pytest.mark.slow
@pytest.mark.parametrize("one", ["dep_delay", "carrier", "distance", "sched_dep_time", "hour", "month", "year"])
def test_columns_under_each_others_heading_are_noticed(
    flights: pl.DataFrame, contracts: dict[str, Contract], one: str
) -> None:
    others = [name for name in flights.columns if name != one and flights.schema[name] == flights.schema[one]]
    for other in others:
        with pytest.raises(InputError):
            validate(swapped(flights, one, other), contracts["flights"])


def test_each_contract_of_the_pipeline_is_owned_licensed_and_says_how_to_get_access(
    contracts: dict[str, Contract],
) -> None:
    assert sorted(contracts) == ["features", "flights", "predictions", "weather"]
    assert all(contract.owner and contract.primary_key for contract in contracts.values())
    assert all(read_yaml(contract.path)["roles"][0]["description"] for contract in contracts.values())
    assert {contracts[name].properties["sourceLicense"] for name in ("flights", "weather")} == {"CC0-1.0"}


def test_without_its_rules_in_sql_the_time_zone_shift_would_pass(
    flights: pl.DataFrame, contracts: dict[str, Contract]
) -> None:
    bare = dataclasses.replace(contracts["flights"], row_rules=())
    shifted = FAULTS["time zone shift"][0](flights)
    assert validate(shifted, bare).height == flights.height
