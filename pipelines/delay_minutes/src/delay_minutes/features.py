"""Turn raw flights and weather into one row of features per scheduled flight, and hold the later months out."""

from pathlib import Path

import polars as pl

from delay_minutes.params import FeatureParams, Params
from onebutton_contracts.contract import load_contract
from onebutton_contracts.errors import run_stage
from onebutton_contracts.tables import scan_parquet, write_split
from onebutton_evaluation.splits import by_values
from onebutton_flights.calendar import timetable
from onebutton_flights.weather import join_weather

KEY = ("carrier", "flight", "origin", "scheduled_hour")


def build_features(flights: pl.LazyFrame, weather: pl.LazyFrame, params: FeatureParams) -> pl.DataFrame:
    """Join some flights to the weather that was known at their origin, and say of each whether it trains or judges.

    Returns:
        The columns of `contracts/features.odcs.yaml` and `split`, for one flight in `params.every` that arrived.
    """
    arrived = flights.filter(pl.col("arr_delay").is_not_null()).select(*timetable(), pl.col("arr_delay").alias("delay"))
    some = arrived.sort(KEY).gather_every(params.every)
    ages = {"age_hours": params.weather_age_hours, "too_old_hours": params.weather_too_old_hours}
    rows = join_weather(some, weather, **ages).sort(KEY).collect()
    months, first = range(1, 13), params.holdout_from_month
    return by_values(rows, "month", fit=months[: first - 1], holdout=months[first - 1 :])


def main() -> None:
    """Write `data/train.parquet` and `data/holdout.parquet`, held to their contract together."""
    flights, weather = (
        scan_parquet(Path(f"data/raw/{name}.parquet"), name, major=1) for name in ("flights", "weather")
    )
    write_split(
        build_features(flights, weather, Params.load().features), load_contract(Path("contracts/features.odcs.yaml"))
    )


if __name__ == "__main__":
    run_stage(main)
