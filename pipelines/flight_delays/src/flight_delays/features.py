"""Turn raw flights and weather into one row of features per scheduled flight.

Only what is known at the scheduled departure is used: actual times and delays are the answer, not features.
"""

from pathlib import Path

import polars as pl

from flight_delays.params import FeatureParams, Params
from onebutton_contracts.contract import load_contract
from onebutton_contracts.errors import run_stage
from onebutton_contracts.tables import scan_parquet, write_split
from onebutton_evaluation.splits import by_values
from onebutton_flights.calendar import timetable
from onebutton_flights.weather import WEATHER, join_weather

CATEGORIES = ("carrier", "origin", "dest")
NUMBERS = ("distance", "weekday", "departure_minute", "arrival_minute", *WEATHER)


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
        *timetable(),
        (pl.col("arr_delay") >= params.late_from_minutes).cast(pl.Int64).alias("late"),
    )
    return join_weather(
        arrived,
        weather,
        age_hours=params.weather_age_hours,
        too_old_hours=params.weather_too_old_hours,
        strongest_wind_mph=params.strongest_wind_mph,
    )


def main() -> None:
    """Write the flights of the training months and those of the test months, in the order of the primary key."""
    contract, params = load_contract(Path("contracts/features.odcs.yaml")), Params.load()
    flights, weather = (
        scan_parquet(Path(f"data/raw/{name}.parquet"), name, major=1) for name in ("flights", "weather")
    )
    features = build_features(flights, weather, params.features).select(contract.column_names)
    rows = features.sort(contract.primary_key).collect()
    fit, tune, test = params.train.fit_months, params.train.tune_months, params.evaluate.test_months
    write_split(by_values(rows, "month", fit=fit, tune=tune, holdout=test), contract)


if __name__ == "__main__":
    run_stage(main)
