"""Turn raw flights and weather into one row of features per scheduled flight.

Only what is known at the scheduled departure is used: actual times and delays are the answer, not features.
"""

from __future__ import annotations

from pathlib import Path

import polars as pl

from flight_delays.params import FeatureParams, load
from onebutton_contracts.contract import load_contract
from onebutton_contracts.errors import run_stage
from onebutton_contracts.tables import scan_parquet, write_split
from onebutton_evaluation.splits import by_values

LOCAL_TIME = "America/New_York"
CATEGORIES = ("carrier", "origin", "dest")
WEATHER = ("temp", "dewp", "humid", "wind_dir", "wind_speed", "wind_gust", "precip", "pressure", "visib")
NUMBERS = ("distance", "weekday", "departure_minute", "arrival_minute", *WEATHER)
# Known only once the flight is in the air or down: with `dep_delay` among the features the AUC is 0.91, and worthless.
KNOWN_TOO_LATE = ("dep_time", "dep_delay", "arr_time", "arr_delay", "air_time", "tailnum")


def build_features(flights: pl.LazyFrame, weather: pl.LazyFrame, params: FeatureParams) -> pl.LazyFrame:
    """Join each flight to the weather that was known at its origin before its scheduled hour.

    Args:
        flights: one row per flight, as `contracts/flights.odcs.yaml` says.
        weather: one row per airport and hour, as `contracts/weather.odcs.yaml` says.
        params: how old weather may be, and when a flight counts as late.

    Returns:
        One row per flight that arrived: the columns of `contracts/features.odcs.yaml`; distance in miles, wind in mph.
        Weather that was not observed is null.
    """
    arrived = flights.filter(pl.col("arr_delay").is_not_null()).select(
        *CATEGORIES,
        "flight",
        "month",
        pl.col("time_hour").alias("scheduled_hour"),
        pl.col("time_hour").dt.convert_time_zone(LOCAL_TIME).dt.date().alias("day"),
        pl.col("distance").cast(pl.Float64),
        pl.col("time_hour").dt.convert_time_zone(LOCAL_TIME).dt.weekday().cast(pl.Float64).alias("weekday"),
        minute_of_day("sched_dep_time").alias("departure_minute"),
        minute_of_day("sched_arr_time").alias("arrival_minute"),
        (pl.col("arr_delay") >= params.late_from_minutes).cast(pl.Int64).alias("late"),
        (pl.col("time_hour") - pl.duration(hours=params.weather_age_hours)).alias("known_until"),
    )
    observed = weather.select("origin", *WEATHER, pl.col("time_hour").alias("observed_at")).with_columns(
        pl.when(pl.col(wind) <= params.strongest_wind_mph).then(wind).alias(wind)
        for wind in ("wind_speed", "wind_gust")
    )
    return arrived.sort("known_until").join_asof(
        observed.sort("observed_at"),
        left_on="known_until",
        right_on="observed_at",
        by="origin",
        strategy="backward",
        tolerance=f"{params.weather_too_old_hours - params.weather_age_hours}h",
        check_sortedness=False,  # both sides were sorted in the lines above
    )


def minute_of_day(column: str) -> pl.Expr:
    """Turn a clock time written as HHMM, such as 517, into minutes after midnight, such as 317."""
    clock = pl.col(column)
    return (clock // 100 * 60 + clock % 100).cast(pl.Float64)


def main() -> None:
    """Write the flights of the training months and those of the test months, in the order of the primary key."""
    contract, params = load_contract(Path("contracts/features.odcs.yaml")), load()
    flights, weather = (
        scan_parquet(Path(f"data/raw/{name}.parquet"), name, major=1) for name in ("flights", "weather")
    )
    features = build_features(flights, weather, params.features).select(contract.column_names)
    rows = features.sort(contract.primary_key).collect()
    fit, tune, test = params.train.fit_months, params.train.tune_months, params.evaluate.test_months
    write_split(by_values(rows, "month", fit=fit, tune=tune, holdout=test), contract)


if __name__ == "__main__":
    run_stage(main)
