from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Any

import polars as pl
import pytest

from flight_delays.features import build_features
from flight_delays.params import FeatureParams
from flight_delays.train import model_inputs
from onebutton_contracts.contract import Contract
from onebutton_contracts.validation import validate
from onebutton_flights.source import KNOWN_TOO_LATE
from onebutton_flights.weather import WEATHER

PARAMS = FeatureParams(late_from_minutes=15, weather_age_hours=1, weather_too_old_hours=3, strongest_wind_mph=200)
HOUR = datetime(2013, 7, 8, 14, tzinfo=UTC)  # 10 in the morning in New York


def a_flight(**values: Any) -> dict[str, Any]:
    """One flight that is scheduled at `HOUR` and arrives on time, but for what is said otherwise."""
    flight = {"carrier": "UA", "flight": 1545, "origin": "EWR", "dest": "IAH", "month": 7, "time_hour": HOUR}
    times = {"distance": 1400, "sched_dep_time": 1015, "sched_arr_time": 1219, "arr_delay": 0}
    return flight | times | values


def weather_at(hours_before: float, **values: Any) -> dict[str, Any]:
    """One observation at EWR, so many hours before `HOUR`; it tells its age by the temperature."""
    mild = dict.fromkeys(WEATHER, 1.0) | {"temp": hours_before}
    return {"origin": "EWR", "time_hour": HOUR - timedelta(hours=hours_before)} | mild | values


def build(flights: list[dict[str, Any]], weather: list[dict[str, Any]]) -> pl.DataFrame:
    clock = {"time_hour": pl.Datetime("us", "UTC")}
    observed = pl.LazyFrame(weather, schema={"origin": pl.String, **clock, **dict.fromkeys(WEATHER, pl.Float64)})
    return build_features(pl.LazyFrame(flights, schema_overrides=clock), observed, PARAMS).collect()


def test_a_flight_has_the_weather_of_an_hour_that_is_neither_too_young_nor_too_old() -> None:
    built = build([a_flight()], [weather_at(0), weather_at(2), weather_at(2.5)])
    assert built["temp"].to_list() == [2]
    assert build([a_flight()], [weather_at(4)])["temp"].to_list() == [None]


def test_a_flight_that_never_arrived_is_left_out() -> None:
    cancelled = a_flight(flight=1, arr_delay=None)
    assert build([cancelled, a_flight(flight=2)], [])["flight"].to_list() == [2]


@pytest.mark.parametrize(("delay", "late"), [(-10, 0), (0, 0), (14, 0), (15, 1), (16, 1), (1272, 1)])
def test_a_flight_is_late_from_exactly_fifteen_minutes(delay: int, late: int) -> None:
    assert build([a_flight(arr_delay=delay)], [])["late"].to_list() == [late]


# --- on a week of real flights


@pytest.fixture(scope="module")
def week(flights: pl.DataFrame) -> pl.DataFrame:
    return flights.filter(pl.col("month") == 7, pl.col("day").is_between(8, 14))


def test_a_week_of_flights_keeps_the_contract_and_loses_only_those_that_never_arrived(
    week: pl.DataFrame, weather: pl.DataFrame, contracts: dict[str, Contract]
) -> None:
    contract = contracts["features"]
    built = build_features(week.lazy(), weather.lazy(), PARAMS).select(contract.column_names).collect()
    assert validate(built, contract).height == week["arr_delay"].count() < week.height


def test_each_flight_of_a_week_has_the_weather_that_a_plain_search_finds(
    week: pl.DataFrame, weather: pl.DataFrame
) -> None:
    flights = week.gather_every(50)
    built = build_features(flights.lazy(), weather.lazy(), PARAMS).collect()
    assert built.height > 100
    for row in built.iter_rows(named=True):
        age = row["scheduled_hour"] - pl.col("time_hour")
        known = weather.filter(
            pl.col("origin") == row["origin"], age >= pl.duration(hours=1), age <= pl.duration(hours=3)
        ).sort("time_hour")
        assert row["temp"] == known["temp"].last()
        assert row["pressure"] == known["pressure"].last()


def test_the_fault_of_the_instrument_in_february_reaches_no_flight(year: pl.DataFrame, weather: pl.DataFrame) -> None:
    assert (weather["wind_speed"] > 1000).sum() == 1
    assert (year["wind_speed"] > 100).sum() == 0


# --- nothing that is known only after the scheduled departure


def known_too_late(names: list[str]) -> set[str]:
    return set(names) & set(KNOWN_TOO_LATE)


def test_no_input_of_the_model_is_named_like_what_is_known_too_late(
    rows: pl.DataFrame, contracts: dict[str, Contract]
) -> None:
    assert not known_too_late(contracts["features"].column_names)
    assert not known_too_late(model_inputs(rows).columns)
    assert "late" not in model_inputs(rows).columns


def test_a_departure_delay_among_the_features_would_be_found_by_its_name(contracts: dict[str, Contract]) -> None:
    assert known_too_late([*contracts["features"].column_names, "dep_delay"]) == {"dep_delay"}


def test_what_is_known_too_late_is_named_as_in_the_data(contracts: dict[str, Contract]) -> None:
    assert known_too_late(contracts["flights"].column_names) == set(KNOWN_TOO_LATE)


Build = Callable[[pl.LazyFrame, pl.LazyFrame, FeatureParams], pl.LazyFrame]


def moved_by_what_happened(build: Build, week: pl.DataFrame, weather: pl.DataFrame) -> set[str]:
    """Name the features that change when all flights of a week depart and arrive at other times, in other aeroplanes."""
    happened = [name for name in KNOWN_TOO_LATE if name != "arr_delay"]
    otherwise = week.with_columns(pl.col(happened).reverse(), arr_delay=150 - pl.col("arr_delay"))
    assert otherwise["dep_delay"].sum() == week["dep_delay"].sum()
    first, second = (build(flights.lazy(), weather.lazy(), PARAMS).collect() for flights in (week, otherwise))
    return {name for name in first.columns if not first[name].equals(second[name])}


def test_whatever_happens_after_the_scheduled_departure_moves_the_answer_alone(
    week: pl.DataFrame, weather: pl.DataFrame
) -> None:
    assert moved_by_what_happened(build_features, week, weather) == {"late"}


def test_a_departure_delay_among_the_features_would_be_found_under_any_name(
    week: pl.DataFrame, weather: pl.DataFrame
) -> None:
    def leaking(flights: pl.LazyFrame, weather: pl.LazyFrame, params: FeatureParams) -> pl.LazyFrame:
        delays = flights.select("carrier", "flight", "origin", "time_hour", pl.col("dep_delay").alias("congestion"))
        key = ["carrier", "flight", "origin"]
        built = build_features(flights, weather, params)
        return built.join(delays, left_on=[*key, "scheduled_hour"], right_on=[*key, "time_hour"], maintain_order="left")

    assert moved_by_what_happened(leaking, week, weather) == {"late", "congestion"}


def test_weather_that_is_not_known_yet_moves_no_feature(week: pl.DataFrame, weather: pl.DataFrame) -> None:
    noon = datetime(2013, 7, 10, 16, tzinfo=UTC)
    later = pl.col("time_hour") > noon - timedelta(hours=1)
    storm = weather.with_columns(pl.when(later).then(pl.col(WEATHER) / 2).otherwise(pl.col(WEATHER)))
    first, second = (build_features(week.lazy(), table.lazy(), PARAMS).collect() for table in (weather, storm))
    before = pl.col("scheduled_hour") <= noon
    assert first.filter(before).equals(second.filter(before))
    assert not first.filter(~before).equals(second.filter(~before))
