"""The work of a stage `judge`, in a folder of its own."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import polars as pl
import pytest

from onebutton_contracts.contract import load_contract
from onebutton_contracts.errors import InputError
from onebutton_evaluation.judgement import Asked, judge_model

GATES = """
[judging]
owner = "us"
answer = "answer"
prediction = "challenger"
metrics = ["share", "auc"]
champion = "auc"
tolerance = 0.01
[[slices]]
by = ["part"]
[[gates]]
id = "good"
check = "limit"
why = "because"
metric = "auc"
slices = ["all"]
at_least = 0.6
"""
CONTRACT = """
apiVersion: v3.1.0
kind: DataContract
id: predictions
version: 1.0.0
status: active
team: {name: us}
schema:
  - name: predictions
    properties:
      - {name: flight, logicalType: integer, primaryKey: true}
"""


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A pipeline's folder before its stage `judge` has run."""
    (tmp_path / "gates.toml").write_text(GATES, encoding="utf-8")
    (tmp_path / "contract.yaml").write_text(CONTRACT, encoding="utf-8")
    monkeypatch.chdir(tmp_path)
    return tmp_path


def judge(days: pl.DataFrame) -> pl.DataFrame:
    """Judge a model that sees one input, which is missing in every tenth row; return the rows."""
    frame = days.with_row_index("flight")
    inputs = frame.select(seen=pl.when(pl.col("flight") % 10 != 0).then("challenger"))
    judge_model(frame, Asked(inputs, lambda seen: seen["seen"].to_numpy()), load_contract(Path("contract.yaml")))
    return frame


def test_one_call_writes_all_that_gates_card_and_release_read(folder: Path, days: pl.DataFrame) -> None:
    judge(days)
    written = {path.relative_to(folder).as_posix() for path in folder.rglob("*.json")}
    assert written == {"slices.json", "comparison.json", "robustness.json", "model/golden.json"}


def test_golden_examples_are_the_ends_of_every_slice_with_and_without_missing_values(
    folder: Path, days: pl.DataFrame
) -> None:
    frame = judge(days)
    golden = json.loads((folder / "model/golden.json").read_text(encoding="utf-8"))
    answers = [row["output"]["challenger"] for row in golden["rows"]]
    assert {frame["challenger"].min(), frame["challenger"].max()} <= set(answers)
    named = {name for row in golden["rows"] for name in row["slices"]}
    assert named == {"all", *(f"part {part}" for part in np.unique(frame["part"].to_numpy()))}
    missing = [row for row in golden["rows"] if row["input"]["seen"] is None]
    assert 0 < len(missing) < len(golden["rows"])
    assert {name for row in missing for name in row["slices"]} == named


def test_a_champion_that_does_not_fit_leaves_nothing_half_written(folder: Path, days: pl.DataFrame) -> None:
    (folder / "champion").mkdir()
    days.with_row_index("flight").head(10).write_parquet(folder / "champion" / "predictions.parquet")
    with pytest.raises(InputError, match="no prediction for"):
        judge(days)
    assert not list(folder.rglob("*.json"))
