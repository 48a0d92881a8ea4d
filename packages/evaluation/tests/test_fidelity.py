from __future__ import annotations

import numpy as np
import polars as pl
import pytest

from onebutton_evaluation.fidelity import Task, measure, shuffled

pytestmark = pytest.mark.slow  # each trains four models

TASK = Task("late", ("hour", "line"), "month", (1,), (2,))


def trains(seed: int, rows: int = 3000) -> pl.DataFrame:
    """Trains that are later the later it is."""
    chance = np.random.default_rng(seed)
    hour = chance.uniform(0, 24, rows)
    return pl.DataFrame(
        {
            "hour": hour,
            "line": chance.choice(["RE5", "S1"], rows),
            "month": chance.integers(1, 3, rows),
            "late": (hour + chance.normal(0, 6, rows) > 14).astype(np.int64),
        }
    )


@pytest.fixture(scope="module")
def real() -> pl.DataFrame:
    return trains(0)


def test_fresh_rows_of_the_same_kind_pass_both_gates_and_cannot_be_told_apart(real: pl.DataFrame) -> None:
    found = measure(real, trains(1), TASK)
    assert found.real_auc - found.auc < 0.02
    assert 0.45 < found.told_apart < 0.55
    assert found.copies == 0
    assert found.gates["loses at most 0.05 AUC"]


def test_real_rows_given_out_as_dummy_fail_the_gate_of_distance(real: pl.DataFrame) -> None:
    found = measure(real, real.sample(2000, seed=3), TASK)
    assert found.copies == 1
    assert not found.gates["no nearer to a real row than real rows are"]


def test_shuffled_columns_fail_the_gate_of_use(real: pl.DataFrame) -> None:
    found = measure(real, shuffled(real, 1), TASK)
    assert found.auc < 0.6
    assert not found.gates["loses at most 0.05 AUC"]
    assert found.told_apart > 0.6
