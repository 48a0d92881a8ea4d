"""Simulated models, of which the truth is known, and flights whose days share their luck."""

from collections.abc import Callable
from typing import Any

import numpy as np
import polars as pl
import pytest

from onebutton_evaluation.declarations import Judging, SliceRule

Draw = Callable[..., dict[str, Any]]


def simulated(random: np.random.Generator, units: int, per_unit: int = 1, luck: float = 0.0) -> dict[str, Any]:
    """Draw answers and the probabilities of two models; rows of one unit share their luck.

    Args:
        random: where the draws come from.
        units: independent ones, such as days.
        per_unit: rows of each on average.
        luck: standard deviation, in log odds, of what the rows of a unit share.
    """
    sizes = random.poisson(per_unit, units).clip(1) if per_unit > 1 else np.ones(units, dtype=np.int64)
    unit = np.repeat(np.arange(units), sizes)
    first, second = random.normal(0, 0.8, len(unit)), random.normal(0, 0.6, len(unit))
    odds = -1 + first + second + random.normal(0, luck, units)[unit]
    return {
        "unit": unit,
        "answer": (random.random(len(unit)) < 1 / (1 + np.exp(-odds))).astype(np.int64),
        "challenger": 1 / (1 + np.exp(1 - first - 0.3 * second - random.normal(0, 0.3, len(unit)))),
        "champion": 1 / (1 + np.exp(1 - first)),
        "part": random.integers(0, 8, len(unit)),
    }


@pytest.fixture(scope="session")
def draw() -> Draw:
    """The simulation, for tests that draw again and again."""
    return simulated


@pytest.fixture
def judging() -> Judging:
    """Judge the columns of `simulated` by AUC, clustered by unit."""
    return Judging(
        owner="us",
        answer="answer",
        prediction="challenger",
        metrics=("share", "auc", "log_loss", "brier", "bias"),
        champion="auc",
        tolerance=0.01,
        unit="unit",
        minimum_rows=50,
        minimum_units=20,
    )


@pytest.fixture
def parts() -> list[SliceRule]:
    """One slice per part."""
    return [SliceRule(by=("part",))]


@pytest.fixture(scope="session")
def days() -> pl.DataFrame:
    """300 days of some 30 rows, two models, eight parts."""
    return pl.DataFrame(simulated(np.random.default_rng(7), 300, 30, 0.5))
