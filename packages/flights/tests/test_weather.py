from datetime import UTC, datetime, timedelta

import polars as pl
import pytest

from onebutton_flights.weather import WEATHER, join_weather

HOUR = datetime(2013, 7, 8, 14, tzinfo=UTC)
Observation = dict[str, object]


def weather_at(hours_before: float, **values: object) -> Observation:
    """One observation at EWR, so many hours before `HOUR`; it tells its age by the temperature."""
    mild = dict.fromkeys(WEATHER, 1.0) | {"temp": hours_before}
    return {"origin": "EWR", "time_hour": HOUR - timedelta(hours=hours_before)} | mild | values


def joined(weather: list[Observation], *origins: str) -> pl.DataFrame:
    """Put the weather beside a flight from each origin, EWR when none is named, that is scheduled in `HOUR`."""
    clock = pl.Datetime("us", "UTC")
    schema = pl.Schema({"origin": pl.String(), "time_hour": clock, **dict.fromkeys(WEATHER, pl.Float64())})
    flights = pl.LazyFrame({"origin": origins or ("EWR",)}).with_columns(scheduled_hour=pl.lit(HOUR, clock))
    observed = pl.LazyFrame(weather, schema=schema)
    return join_weather(flights, observed, age_hours=1, too_old_hours=3, strongest_wind_mph=200).collect()


@pytest.mark.parametrize(
    ("observed", "used"),
    [
        ([1], 1),  # an hour old: known
        ([0], None),  # at the scheduled hour: not known yet
        ([0.5, 2], 2),  # half an hour old: not known yet, so the older one counts
        ([1, 2, 3], 1),  # the latest that is known
        ([3], 3),  # three hours old: still good
        ([3.01], None),  # older: as good as none
        ([-1, 4], None),  # the future and the past
    ],
)
def test_weather_is_at_least_one_hour_old_and_at_most_three(observed: list[float], used: float | None) -> None:
    assert joined([weather_at(hours) for hours in observed])["temp"].to_list() == [used]


def test_weather_of_another_airport_is_not_used() -> None:
    found = joined([weather_at(1), weather_at(2, origin="JFK")], "LGA", "EWR")
    assert dict(found.select("origin", "temp").iter_rows()) == {"LGA": None, "EWR": 1}


def test_a_flight_without_weather_stays_with_nulls() -> None:
    found = joined([])
    assert found.columns == ["origin", "scheduled_hour", *WEATHER]
    assert found.row(0) == ("EWR", HOUR, *(None for _ in WEATHER))


@pytest.mark.parametrize(("reading", "kept"), [(1048.36, None), (200.01, None), (200.0, 200.0), (None, None)])
@pytest.mark.parametrize("column", ["wind_speed", "wind_gust"])
def test_wind_that_no_wind_reaches_counts_as_missing(column: str, reading: float | None, kept: float | None) -> None:
    found = joined([weather_at(1, **{column: reading})])
    assert found[column].to_list() == [kept]
    assert found["temp"].to_list() == [1]
