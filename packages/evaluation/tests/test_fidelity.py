from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path

import numpy as np
import polars as pl
import pytest

from onebutton_contracts.contract import contract_of
from onebutton_contracts.dummy.plan import FidelityPlan, load_plan
from onebutton_contracts.dummy.tables import describe, generate
from onebutton_evaluation.fidelity import measure

pytestmark = pytest.mark.slow  # each trains four models

CONTRACT = """
apiVersion: v3.1.0
kind: DataContract
id: trains
version: 1.0.0
status: active
team: {name: us}
schema:
  - name: trains
    properties:
      - {name: at, logicalType: timestamp, required: true}
      - {name: line, logicalType: string, required: true}
      - {name: load, logicalType: number}
      - {name: delay, logicalType: number}
"""
PLAN = """
replaces: ingest
seed: 1
tables:
  trains:
    file: trains.parquet
    contract: trains.odcs.yaml
    instant: at
    zone: UTC
    categories: [line]
    target: delay >= 10
    modelled: {load: load, delay: delay}
fidelity: {stage: s, files: [f], contract: c, target: late, inputs: [hour], split: month, train: [1], test: [2]}
"""


def judged(*inputs: str) -> FidelityPlan:
    return FidelityPlan(
        stage="features", files=[], contract="", target="late", inputs=list(inputs), split="month", train=[1], test=[2]
    )


TASK = judged("hour", "line")


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
    shuffled = real.select(pl.col(name).shuffle(at) for at, name in enumerate(real.columns))
    found = measure(real, shuffled, TASK)
    assert found.auc < 0.6
    assert not found.gates["loses at most 0.05 AUC"]
    assert found.told_apart > 0.6


def test_drawn_rows_train_nearly_as_good_a_model_and_hold_no_real_row(tmp_path: Path) -> None:
    chance, rows = np.random.default_rng(0), 8_000
    hours = pl.datetime_range(datetime(2024, 1, 1, tzinfo=UTC), datetime(2024, 2, 29, tzinfo=UTC), "1h", eager=True)
    line, load = chance.choice(["RE5", "S1", "S2"], rows), chance.normal(0, 1, rows)
    at = hours[chance.integers(0, len(hours), rows)].dt.cast_time_unit("us")
    delay = 0.6 * at.dt.hour().to_numpy() + 5 * (line == "S1") + 3 * load + chance.normal(0, 5, rows)
    real = pl.DataFrame({"at": at, "line": line, "load": load, "delay": delay})
    (tmp_path / "dummy.yaml").write_text(PLAN, encoding="utf-8")
    plan, contracts = load_plan(tmp_path), {"trains": contract_of(CONTRACT, Path("trains.odcs.yaml"))}
    drawn = generate(plan, describe(plan, {"trains": real}, contracts), contracts, rows)["trains"]

    def prepared(frame: pl.DataFrame) -> pl.DataFrame:
        hour, month = pl.col("at").dt.hour().cast(pl.Float64), pl.col("at").dt.month().cast(pl.Int64)
        late = (pl.col("delay") >= 10).cast(pl.Int64)
        return frame.select("line", "load", hour=hour, month=month, late=late)

    found = measure(prepared(real), prepared(drawn), judged("hour", "line", "load"))
    assert found.real_auc > 0.75
    assert found.real_auc - found.auc < 0.05
    assert found.copies == 0
    assert found.nearest > found.real_nearest / 2  # of rows that nobody can tell apart it is either way by chance
