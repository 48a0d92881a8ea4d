import json
from pathlib import Path
from typing import Any

import pytest

from onebutton_contracts.errors import InputError
from onebutton_evaluation import judgement
from onebutton_workbench.lineage.changes import write_summary
from onebutton_workbench.runs.metrics import SLICES, moved, read_numbers, table
from onebutton_workbench.workspace import ROOT, pipelines

PLAN: dict[str, Any] = {"evaluate": {"metrics": [{"metrics.json": {"cache": False}}]}}
OLD = {"metrics.json": '{"model": {"auc": 0.75, "rows": 1000}}'}
NEW = {
    "metrics.json": '{"model": {"auc": 0.7512, "rows": 1000, "loss": 0.5}}',
}


def test_what_moved_stands_with_old_new_and_difference() -> None:
    found = moved(read_numbers(PLAN, {}, OLD.get), read_numbers(PLAN, {}, NEW.get))
    assert [line.split() for line in table(found)] == [
        ["old", "new", "difference"],
        ["model.auc", "0.75", "0.7512", "+0.0012"],
        ["model.loss", "-", "0.5"],
    ]


def test_the_numbers_of_slices_that_moved_are_shown_too() -> None:
    def judged(auc: float) -> dict[str, str]:
        metrics = {"auc": {"estimate": auc, "low": auc - 0.1, "high": auc + 0.1}, "share": {"estimate": 0.2}}
        evenings = {"rows": 10, "metrics": metrics}
        small = {"rows": 1, "enough_data": False, "metrics": {}}
        return {SLICES: json.dumps({"level": 0.95, "slices": {"EWR at 17.30": evenings, "to Honolulu": small}})}

    old, new = (read_numbers(PLAN, {}, judged(auc).get) for auc in (0.6, 0.65))
    assert moved(old, new) == {"EWR at 17.30: auc": {"old": "0.6", "new": "0.65", "difference": "+0.05"}}
    assert len(new) == 2
    assert moved(new, new) == {}


def test_the_file_of_slices_is_the_one_that_evaluation_writes() -> None:
    assert SLICES == judgement.SLICES


def test_a_pipeline_that_is_new_has_no_old_numbers() -> None:
    assert read_numbers(PLAN, {}, lambda _: None) == {}
    assert moved({}, {"model.auc": 0.7}) == {"model.auc": {"old": "-", "new": "0.7", "difference": ""}}


def test_a_torn_metrics_file_is_named() -> None:
    with pytest.raises(InputError, match=r"metrics\.json cannot be read .* `make run` writes it again"):
        read_numbers(PLAN, {}, {"metrics.json": "{"}.get)


def test_a_branch_and_a_pull_request_get_a_summary_and_main_gets_none(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    file = tmp_path / "summary.md"
    monkeypatch.setenv("GITHUB_STEP_SUMMARY", str(file))
    monkeypatch.setenv("GITHUB_EVENT_NAME", "push")
    monkeypatch.setenv("GITHUB_REF_NAME", "main")
    write_summary(["x"])
    assert not file.exists()
    monkeypatch.setenv("GITHUB_REF_NAME", "first-morning")
    write_summary(["x"])
    monkeypatch.setenv("GITHUB_EVENT_NAME", "pull_request")
    monkeypatch.setenv("GITHUB_BASE_REF", "main")
    write_summary(["y"])
    assert file.read_text(encoding="utf-8") == "x\ny\n"


def test_the_button_compares_with_the_last_commit(shell: Any) -> None:
    shown = shell("make", "metrics", folder=ROOT)
    assert "metrics: old is HEAD (" in shown
    assert all(f"{name}:" in shown for name in pipelines())
