"""Measure what holding a table to its contract costs: `python benchmarks/contracts.py` prints a table in Markdown.

Ten million predictions are held to the contract of flight_delays, and to the same rules written by hand in plain polars. Both
run in turn, five times each; the least counts.
"""

import dataclasses
import os
import platform
import subprocess
import sys
import time
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path

import numpy as np
import polars as pl

from onebutton_contracts.contract import load_contract
from onebutton_contracts.validation import validate

ROOT = Path(__file__).resolve().parents[1]
CONTRACT = ROOT / "pipelines/flight_delays/contracts/predictions.odcs.yaml"
ROWS = 10_000_000
REPEATS = 5
AIRPORTS = ["EWR", "JFK", "LGA"]


def predictions() -> pl.DataFrame:
    """Make ten million rows that keep the contract."""
    chance = np.random.default_rng(0)
    number = np.arange(ROWS)
    hours = pl.Series(datetime(2013, 7, 1, tzinfo=UTC).timestamp() * 1e6 + number // 9999 * 3.6e9).cast(pl.Int64)
    return pl.DataFrame(
        {
            "carrier": chance.choice(["UA", "AA", "B6", "DL"], ROWS),
            "flight": number % 9999 + 1,
            "origin": chance.choice(AIRPORTS, ROWS),
            "scheduled_hour": hours.cast(pl.Datetime("us")).dt.replace_time_zone("UTC"),
            "month": chance.integers(7, 13, ROWS),
            "late": chance.integers(0, 2, ROWS),
            "probability": chance.random(ROWS),
            "logistic_regression": chance.random(ROWS),
        }
    )


def by_hand(frame: pl.DataFrame, key: tuple[str, ...]) -> None:
    """Check the same in plain polars, as one would write it."""
    wrong: list[pl.Expr] = [pl.col(name).is_null() for name in frame.columns]
    for name, low, high in (("flight", 1, 9999), ("month", 1, 12), ("late", 0, 1)):
        wrong += [pl.col(name) < low, pl.col(name) > high]
    for name in ("probability", "logistic_regression"):
        wrong += [pl.col(name).is_nan(), pl.col(name) < 0, pl.col(name) > 1]
    wrong += [~pl.col("origin").is_in(AIRPORTS), ~pl.col("carrier").str.contains("^[A-Z0-9]{2}$")]
    counts = frame.lazy().select(expression.sum().alias(str(at)) for at, expression in enumerate(wrong)).collect()
    if any(counts.row(0)) or frame.select(key).n_unique() < frame.height:
        message = "the rows of the benchmark must be good"
        raise AssertionError(message)


def seconds(work: Callable[[], object]) -> float:
    """Time one call."""
    begun = time.perf_counter()
    work()
    return time.perf_counter() - begun


def start(module: str) -> float:
    """Time a new Python that imports one module, the least of several."""
    command = [sys.executable, "-c", f"import {module}"]
    return min(seconds(lambda: subprocess.run(command, check=True)) for _ in range(REPEATS))


def main() -> None:
    """Print the table."""
    contract = dataclasses.replace(load_contract(CONTRACT), minimum_rows=1)
    frame = predictions()
    hand, held = [], []
    for _ in range(REPEATS):
        hand.append(seconds(lambda: by_hand(frame, contract.primary_key)))
        held.append(seconds(lambda: validate(frame, contract)))
    bare = start("polars")
    print(f"{platform.system()} {platform.machine()}, {os.cpu_count()} cores, Python {platform.python_version()}\n")
    print("| what | seconds | times |\n|---|--:|--:|")
    print(f"| the same rules in plain polars, {ROWS:,} rows | {min(hand):.2f} | 1.00 |")
    print(f"| `validate` | {min(held):.2f} | {min(held) / min(hand):.2f} |")
    print(f"| start Python and import polars | {bare:.2f} | 1.00 |")
    taken = start("onebutton_contracts.tables")
    print(f"| start Python and import `onebutton_contracts.tables` | {taken:.2f} | {taken / bare:.2f} |")


if __name__ == "__main__":
    main()
