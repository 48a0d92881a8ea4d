from datetime import UTC, date, datetime

import polars as pl
import pytest
from hypothesis import given
from hypothesis import strategies as st

from onebutton_flights.calendar import minute_of_day, timetable

MORNING = datetime(2013, 7, 8, 14, tzinfo=UTC)  # 10 in the morning in New York


def scheduled(hour: datetime) -> dict[str, object]:
    """Return what the timetable says of a flight from 5:17 to 23:59, in an hour in UTC."""
    flight = {"carrier": "UA", "flight": 1545, "origin": "EWR", "dest": "IAH", "month": 7, "distance": 1400}
    times = {"time_hour": hour, "sched_dep_time": 517, "sched_arr_time": 2359}
    frame = pl.DataFrame([flight | times], schema_overrides={"time_hour": pl.Datetime("us", "UTC")})
    return frame.select(timetable()).row(0, named=True)


@pytest.mark.parametrize(
    ("hour", "day", "weekday"),
    [
        (datetime(2013, 1, 2, 3, tzinfo=UTC), date(2013, 1, 1), 2),  # Tuesday 22:00 in New York, Wednesday in UTC
        (datetime(2013, 7, 8, 3, tzinfo=UTC), date(2013, 7, 7), 7),  # Sunday 23:00 in summer, Monday in UTC
        (datetime(2013, 7, 8, 4, tzinfo=UTC), date(2013, 7, 8), 1),  # Monday 0:00 in summer
        (MORNING, date(2013, 7, 8), 1),
    ],
)
def test_day_and_weekday_are_those_of_new_york(hour: datetime, day: date, weekday: int) -> None:
    flight = scheduled(hour)
    assert (flight["day"], flight["weekday"]) == (day, weekday)
    assert flight["scheduled_hour"] == hour


@given(hour=st.integers(0, 23), minute=st.integers(0, 59))
def test_a_clock_time_becomes_minutes_after_midnight(hour: int, minute: int) -> None:
    clock = pl.DataFrame({"clock": [hour * 100 + minute]})
    assert clock.select(minute_of_day("clock")).item() == hour * 60 + minute


def test_scheduled_times_become_minutes_after_midnight() -> None:
    flight = scheduled(MORNING)
    assert (flight["departure_minute"], flight["arrival_minute"]) == (317.0, 1439.0)
