"""Put the weather beside each flight that was known at its origin some time before it left."""

import polars as pl

WEATHER = ("temp", "dewp", "humid", "wind_dir", "wind_speed", "wind_gust", "precip", "pressure", "visib")


def join_weather(
    flights: pl.LazyFrame,
    weather: pl.LazyFrame,
    *,
    age_hours: int,
    too_old_hours: int,
    strongest_wind_mph: float = 200,
) -> pl.LazyFrame:
    """Join each flight to the latest weather at its origin that is old enough to be known, and not too old.

    Args:
        flights: one row per flight, with `origin` and `scheduled_hour`.
        weather: one row per airport and hour: `origin`, `time_hour` and the columns of `WEATHER`, wind in mph.
        age_hours: the weather is at least this old at the scheduled hour.
        too_old_hours: weather that is older counts as missing.
        strongest_wind_mph: faster readings are faults of the instrument and count as missing.

    Returns:
        Every flight, in the order of time, with the columns of `WEATHER`; weather that was not observed is null.
    """
    observed = weather.select("origin", *WEATHER, pl.col("time_hour").alias("observed_at")).with_columns(
        pl.when(pl.col(wind) <= strongest_wind_mph).then(wind).alias(wind) for wind in ("wind_speed", "wind_gust")
    )
    known_until = (pl.col("scheduled_hour") - pl.duration(hours=age_hours)).alias("known_until")
    joined = (
        flights.with_columns(known_until)
        .sort("known_until")
        .join_asof(
            observed.sort("observed_at"),
            left_on="known_until",
            right_on="observed_at",
            by="origin",
            strategy="backward",
            tolerance=f"{too_old_hours - age_hours}h",
            check_sortedness=False,  # both sides were sorted in the lines above
        )
    )
    return joined.drop("known_until", "observed_at")
