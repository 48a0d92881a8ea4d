import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from onebutton_contracts.contract import Contract
from onebutton_contracts.errors import InputError
from onebutton_contracts.validation import validate


def refusal(frame: pl.DataFrame, contract: Contract) -> str:
    """Return the rules that a frame breaks, one a line, after a look at what every refusal must tell."""
    with pytest.raises(InputError) as caught:
        validate(frame, contract)
    first, *rules, last = str(caught.value).splitlines()
    assert first == f"flights breaks its contract {contract.path} {contract.version}, so nothing was written:"
    assert last == "Owner: the flight team. What to do: docs/contracts.md"
    return "\n".join(rule.strip() for rule in rules)


def test_flights_that_keep_their_contract_come_back_as_they_went(flights: pl.DataFrame, contract: Contract) -> None:
    assert validate(flights, contract).equals(flights)


def test_the_order_of_the_columns_does_not_matter(flights: pl.DataFrame, contract: Contract) -> None:
    turned = flights.select(reversed(flights.columns))
    assert validate(turned, contract).columns == ["pilot", "time_hour", "distance", "origin", "flight", "carrier"]


def test_numbers_at_either_end_of_the_range_are_within_it(flights: pl.DataFrame, contract: Contract) -> None:
    at_the_ends = flights.with_columns(distance=pl.Series([1.0, 12000.0, 100.0]))
    assert validate(at_the_ends, contract).equals(at_the_ends)


def test_the_least_number_of_rows_is_enough(flights: pl.DataFrame, contract: Contract) -> None:
    assert validate(flights.head(2), contract).height == contract.minimum_rows


def test_a_column_that_may_be_missing_may_be_missing(flights: pl.DataFrame, contract: Contract) -> None:
    unknown = flights.with_columns(origin=pl.lit(None, pl.String))
    assert validate(unknown, contract)["origin"].null_count() == 3


def test_a_missing_column_is_named_and_nothing_else_is_blamed(flights: pl.DataFrame, contract: Contract) -> None:
    assert refusal(flights.drop("flight"), contract) == "flight: this column is missing [missing column]"


def test_every_missing_column_is_named(flights: pl.DataFrame, contract: Contract) -> None:
    rules = refusal(flights.drop("flight", "distance"), contract)
    assert rules == "flight: this column is missing [missing column]\ndistance: this column is missing [missing column]"


def test_a_column_that_the_contract_does_not_name_is_refused(flights: pl.DataFrame, contract: Contract) -> None:
    rules = refusal(flights.with_columns(dep_delay=pl.lit(12)), contract)
    assert rules == "dep_delay: the contract knows no such column [unknown column]"


@pytest.mark.parametrize(
    ("wrong", "rule"),
    [
        (pl.col("distance").cast(pl.Int64), "distance: must be Float64, which the contract calls number, is Int64"),
        (pl.col("distance").cast(pl.String), "distance: must be Float64, which the contract calls number, is String"),
        (pl.col("flight").cast(pl.String), "flight: must be Int64, which the contract calls integer, is String"),
        (
            pl.col("time_hour").dt.replace_time_zone(None),
            (
                "time_hour: must be Datetime(time_unit='us', time_zone='UTC'), which the contract calls timestamp, "
                "is Datetime(time_unit='us', time_zone=None)"
            ),
        ),
    ],
    ids=["whole numbers", "text for numbers", "text for whole numbers", "local time"],
)
def test_a_wrong_type_is_named_and_nothing_else_is_blamed(
    flights: pl.DataFrame, contract: Contract, wrong: pl.Expr, rule: str
) -> None:
    assert refusal(flights.with_columns(wrong), contract) == f"{rule} [type]"


def test_a_null_where_a_value_is_required_is_refused(flights: pl.DataFrame, contract: Contract) -> None:
    rules = refusal(flights.with_columns(distance=pl.Series([None, 1416.0, None])), contract)
    assert rules.startswith("distance: must not be missing (2 rows) [required]\n")


def test_not_a_number_does_not_pass_for_a_number(flights: pl.DataFrame, contract: Contract) -> None:
    rules = refusal(flights.with_columns(distance=pl.Series([float("nan"), 1416.0, 1089.0])), contract)
    assert "distance: must be a number, or missing where that is allowed (1 rows) [not a number]" in rules
    assert "[maximum]" not in rules


def test_numbers_out_of_range_are_counted_and_shown_with_the_key_of_their_row(
    flights: pl.DataFrame, contract: Contract
) -> None:
    assert refusal(flights.with_columns(distance=pl.Series([0.5, -3.0, 12001.0])), contract).splitlines() == [
        "distance: must be at least 1 miles (2 rows) [minimum]",
        "flight=1545 carrier=UA distance=0.5",
        "flight=1714 carrier=UA distance=-3",
        "distance: must be at most 12000 miles (1 rows) [maximum]",
        "flight=1141 carrier=AA distance=12001",
    ]


def test_at_most_five_rows_are_shown(flights: pl.DataFrame, contract: Contract) -> None:
    many = pl.concat([flights] * 40).with_columns(distance=pl.lit(0.0), flight=pl.int_range(120))
    rules = refusal(many, contract)
    assert rules.startswith("distance: must be at least 1 miles (120 rows) [minimum]")
    assert rules.partition("\ntable: ")[0].count(" distance=0") == 5


def test_a_value_that_is_not_allowed_is_shown_beside_those_that_are(flights: pl.DataFrame, contract: Contract) -> None:
    rules = refusal(flights.with_columns(origin=pl.Series(["EWR", "LAX", "SFO"])), contract)
    assert rules.startswith("origin: must be one of EWR, JFK, LGA (2 rows) [allowed values]\n")
    assert "origin=LAX" in rules


def test_two_rows_with_one_key_are_refused(flights: pl.DataFrame, contract: Contract) -> None:
    rules = refusal(flights.with_columns(flight=pl.lit(1545, pl.Int64)), contract)
    assert rules.startswith("table: flight, carrier must name one row only (2 rows) [primary key]\n")
    assert "flight=1545 carrier=UA" in rules


def test_a_rule_in_sql_over_several_columns_shows_these(flights: pl.DataFrame, contract: Contract) -> None:
    rules = refusal(flights.with_columns(distance=pl.lit(50.0)), contract)
    assert rules == (
        "table: distance must be more than 100 miles from JFK (1 rows) [no flight to where it is]\n"
        "flight=1141 carrier=AA origin=JFK distance=50"
    )


def test_data_that_ends_too_early_is_refused(flights: pl.DataFrame, contract: Contract) -> None:
    rules = refusal(flights.with_columns(pl.col("time_hour").dt.offset_by("-1h")), contract)
    assert rules == (
        "time_hour: the newest must be of 2013-01-01 10:00 UTC or later, is 2013-01-01 09:00:00+00:00 [freshness]"
    )


def test_too_many_missing_values_are_refused_where_some_may_be_missing(
    flights: pl.DataFrame, contract: Contract
) -> None:
    rules = refusal(flights.with_columns(pilot=pl.lit(None, pl.String)), contract)
    assert rules == "pilot: at most 70 percent may be missing, is 100 [missing share]"


def test_a_personal_value_is_never_shown(flights: pl.DataFrame, contract: Contract) -> None:
    rules = refusal(flights.with_columns(pilot=pl.lit("amelia earhart")), contract)
    assert "pilot: must match ^[A-Z] (3 rows) [pattern]\nflight=1545 carrier=UA pilot=***" in rules
    assert "amelia" not in rules


@pytest.mark.parametrize(
    "text",
    [
        "call me: amelia@earhart.example",
        "paid with 4111 1111 1111 1111",
        "to DE89 3704 0044 0532 0130 00",
        "on +1 212 555 0123",
        "or +442079460958, by day",
        "from 192.168.10.7",
    ],
)
def test_personal_data_in_a_column_of_free_text_is_found_and_not_shown(
    flights: pl.DataFrame, contract: Contract, text: str
) -> None:
    rules = refusal(flights.with_columns(carrier=pl.Series(["UA", text, "AA"])), contract)
    assert "carrier: must hold no personal data, as it is not classified personal (1 rows) [personal data]" in rules
    assert text not in rules


@pytest.mark.parametrize(
    "text", ["4111 1111 1111 1112", "DE88 3704 0044 0532 0130 00", "N14228", "2013-01-01 05:00:00+02:00", "+1.2345678"]
)
def test_numbers_without_the_right_check_digit_are_no_personal_data(
    flights: pl.DataFrame, contract: Contract, text: str
) -> None:
    renamed = flights.with_columns(carrier=pl.Series(["UA", text, "AA"]))
    assert validate(renamed, contract).equals(renamed)


def test_a_lazy_frame_is_checked_without_being_kept(flights: pl.DataFrame, contract: Contract) -> None:
    assert isinstance(validate(flights.lazy(), contract), pl.LazyFrame)
    with pytest.raises(InputError, match="at least 1 miles"):
        validate(flights.lazy().with_columns(distance=pl.lit(0.0)), contract)


def test_half_a_key_may_repeat(flights: pl.DataFrame, contract: Contract) -> None:
    repeated = flights.with_columns(carrier=pl.lit("UA"))
    assert validate(repeated, contract).equals(repeated)


def test_too_few_rows_are_refused(flights: pl.DataFrame, contract: Contract) -> None:
    assert refusal(flights.head(1), contract) == "table: rows must be at least 2, is 1 [row count]"


def test_every_broken_rule_is_named_at_once(flights: pl.DataFrame, contract: Contract) -> None:
    broken = flights.with_columns(origin=pl.lit("LAX"), distance=pl.Series([None, 1416.0, 0.0]))
    rules = [line for line in refusal(broken, contract).splitlines() if line.endswith("]")]
    assert rules == [
        "origin: must be one of EWR, JFK, LGA (3 rows) [allowed values]",
        "distance: must not be missing (1 rows) [required]",
        "distance: must be at least 1 miles (1 rows) [minimum]",
    ]


@settings(max_examples=40, deadline=None)
@given(distances=st.lists(st.none() | st.floats(-5e4, 15e3), min_size=3, max_size=3))
def test_the_counts_are_those_of_the_rows(
    flights: pl.DataFrame, contract: Contract, distances: list[float | None]
) -> None:
    frame = flights.with_columns(origin=pl.lit("EWR"), distance=pl.Series(distances, dtype=pl.Float64))
    known = [distance for distance in distances if distance is not None]
    counts = {
        "must not be missing": distances.count(None),
        "must be at least 1 miles": sum(distance < 1 for distance in known),
        "must be at most 12000 miles": sum(distance > 12000 for distance in known),
    }
    if not any(counts.values()):
        assert validate(frame, contract).equals(frame)
        return
    rules = refusal(frame, contract)
    for rule, count in counts.items():
        assert (f"distance: {rule} ({count} rows)" in rules) is (count > 0)
