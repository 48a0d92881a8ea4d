import dataclasses
from pathlib import Path

import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from onebutton_contracts.contract import Column, Contract
from onebutton_contracts.errors import InputError
from onebutton_contracts.odd_rows import odd_rows
from onebutton_contracts.terms import RowRule
from onebutton_contracts.validation import validate

COLUMNS = (
    Column("carrier", "string", required=True, pattern="^[A-Z0-9]{2}$"),
    Column("origin", "string", required=True, allowed=("EWR", "JFK", "LGA")),
    Column("remark", "string", max_length=40, classification="personal"),
    Column("distance", "number", required=True, minimum=1, maximum=6000),
    Column("temp", "number"),
    Column("seats", "integer", required=True, minimum=1, maximum=853),
    Column("late", "integer"),
)
CONTRACT = Contract(Path("flights.odcs.yaml"), "flights", "1.0.0", "the team", COLUMNS)
SEEN = pl.DataFrame(
    {
        "carrier": ["UA", "B6", "UA", "AA"],
        "origin": ["EWR", "JFK", "EWR", "EWR"],
        "remark": ["full flight", "late crew", "snow", "snow"],
        "distance": [1400.0, 944.0, 200.0, 200.0],
        "temp": [39.5, 41.0, 38.0, 39.5],
        "seats": [149.0, 20.0, 149.0, 178.0],
    },
    schema_overrides={"distance": pl.Float32, "temp": pl.Float32, "seats": pl.Float32},
)


@settings(max_examples=20, deadline=None)
@given(seed=st.integers(0, 2**32))
def test_the_contract_lets_every_row_in(seed: int) -> None:
    drawn = odd_rows(CONTRACT, SEEN, 300, seed)
    assert drawn.schema == SEEN.schema
    inputs = dataclasses.replace(CONTRACT, columns=COLUMNS[:-1])
    rows = drawn.cast({"seats": pl.Int64, "distance": pl.Float64, "temp": pl.Float64})
    assert validate(rows, inputs).height == drawn.height


def test_they_hold_what_training_hardly_does() -> None:
    drawn = odd_rows(CONTRACT, SEEN)
    assert {1.0, 6000.0, (944.0 + 1400.0) / 2} <= set(drawn["distance"])  # ends, and halfway between two flights
    assert drawn["temp"].min() < SEEN["temp"].min()  # type: ignore[operator]  # no limit is said
    assert len(set(drawn["carrier"]) - set(SEEN["carrier"])) > 20
    assert "LGA" in set(drawn["origin"])
    assert {"", "Ünïcode Straße"} <= set(drawn["remark"])
    assert (drawn["seats"] % 1 == 0).all()


def test_what_may_be_missing_is_and_what_is_required_is_not() -> None:
    nulls = odd_rows(CONTRACT, SEEN).null_count().row(0, named=True)
    assert {name for name, count in nulls.items() if count} == {"remark", "temp"}


def test_each_column_is_odd_alone_in_some_rows() -> None:
    drawn = odd_rows(CONTRACT, SEEN)
    for name in ("carrier", "remark", "temp"):
        others = [other for other in SEEN.columns if other != name]
        alone = drawn.join(SEEN.select(others).unique(), on=others, how="semi")
        assert len(set(alone[name]) - set(SEEN[name])) > 5, name


def test_a_rule_over_several_columns_holds_and_one_about_columns_that_are_no_inputs_is_left_out() -> None:
    rules = (
        RowRule("small planes fly short", "seats < 50 AND distance > 1000", "seats"),
        RowRule("late is known", "late IS NULL", "late"),
    )
    drawn = odd_rows(dataclasses.replace(CONTRACT, row_rules=rules), SEEN)
    assert drawn.height > 500
    assert drawn.filter((pl.col("seats") < 50) & (pl.col("distance") > 1000)).is_empty()


def test_the_same_seed_draws_the_same_rows() -> None:
    assert odd_rows(CONTRACT, SEEN, seed=1).equals(odd_rows(CONTRACT, SEEN, seed=1))
    assert not odd_rows(CONTRACT, SEEN, seed=1).equals(odd_rows(CONTRACT, SEEN, seed=2))


def test_a_column_that_no_contract_describes_is_refused() -> None:
    with pytest.raises(
        InputError, match=r"flights\.odcs\.yaml: the model has 'gate', of which this contract says nothing"
    ):
        odd_rows(CONTRACT, SEEN.with_columns(gate=pl.lit("A1")))
