"""The page of a pipeline whose team writes into `metrics.json` what it likes."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from onebutton_evaluation.declarations import Judging, SliceRule
from onebutton_evaluation.pages import render
from onebutton_evaluation.report import Around, read_results
from onebutton_evaluation.slices import find_slices, judge

if TYPE_CHECKING:
    import polars as pl

GATES = """
[judging]
owner = "us"
answer = "answer"
prediction = "challenger"
metrics = ["share", "auc", "log_loss", "brier", "bias"]
champion = "auc"
tolerance = 0.01

[[gates]]
id = "holdout"
check = "holdout"
why = "Of use."
"""
CARD = ("title", "predicts", "owner", "data", "intended", "forbidden", "limits", "people")


@pytest.fixture
def folder(tmp_path: Path, days: pl.DataFrame, judging: Judging) -> Path:
    """A pipeline of flats, as its stages leave it."""
    slices = judge(days, find_slices(days, [SliceRule(by=("part",))]), judging)
    files = {
        "slices.json": {"answer_label": "late flats", "unit": "day", "slices": slices},
        "comparison.json": {"champion": {"name": None, "in_words": "first release"}},
        "robustness.json": {"perturbed": {}},
    }
    for name, content in files.items():
        (tmp_path / name).write_text(json.dumps(content), encoding="utf-8")
    (tmp_path / "gates.toml").write_text(GATES, encoding="utf-8")
    (tmp_path / "card.toml").write_text("".join(f'{name} = ""\n' for name in CARD), encoding="utf-8")
    return tmp_path


def shown(folder: Path, metrics: dict[str, Any]) -> str:
    """Write the page of a pipeline that has some metrics."""
    (folder / "metrics.json").write_text(json.dumps(metrics), encoding="utf-8")
    return render("report.html", **read_results(folder, Around()))


@pytest.mark.parametrize("training", [0.3, None, "not yet", {"share": None}, {"share": "a third"}])
def test_a_page_is_written_whatever_training_is_called_in_the_metrics(training: object, folder: Path) -> None:
    text = shown(folder, {"training": training})
    assert "Late flats by part" in text
    assert "in training" not in text


def test_slices_that_are_too_small_for_the_metric_that_decides_are_named_all_the_same(
    folder: Path, days: pl.DataFrame, judging: Judging
) -> None:
    content = json.loads((folder / "slices.json").read_text(encoding="utf-8"))
    parts = find_slices(days, [SliceRule(by=("part",))])
    content["slices"] = judge(days, parts, replace(judging, minimum_rows=5000))
    (folder / "slices.json").write_text(json.dumps(content), encoding="utf-8")
    text = shown(folder, {})
    assert "AUC by slice" in text
    assert "Not enough data: part 0 (" in text
