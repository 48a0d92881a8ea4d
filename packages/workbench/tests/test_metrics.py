from __future__ import annotations

import hashlib
import json
from pathlib import Path
from typing import Any

import pytest

from onebutton_contracts.errors import InputError
from onebutton_evaluation import judgement
from onebutton_workbench.runs.metrics import (
    SLICES,
    differences,
    edited_by_hand,
    markdown,
    read_numbers,
    slice_markdown,
    slice_table,
    table,
    write_summary,
)
from onebutton_workbench.workspace import ROOT, pipelines

PLAN: dict[str, Any] = {
    "stages": {"evaluate": {"metrics": [{"metrics.json": {"cache": False}}]}},
    "plots": [{"by_month.csv": {"x": "month"}}],
}
OLD = {"metrics.json": '{"model": {"auc": 0.75, "rows": 1000}}', "by_month.csv": "month,auc\n7,0.5\n8,0.6\n"}
NEW = {
    "metrics.json": '{"model": {"auc": 0.7512, "rows": 1000, "loss": 0.5}}',
    "by_month.csv": "month,auc\n7,0.5\n8,0.7\n",
}


def test_every_metric_stands_with_old_new_and_difference() -> None:
    found = differences(read_numbers(PLAN, OLD).metrics, read_numbers(PLAN, NEW).metrics)
    rows = [line.split() for line in table(found)]
    assert rows == [
        ["old", "new", "difference"],
        ["model.auc", "0.75", "0.7512", "+0.0012"],
        ["model.rows", "1,000", "1,000", "0"],
        ["model.loss", "-", "0.5"],
    ]


def test_the_summary_leads_with_what_moved_and_draws_the_curves_that_moved() -> None:
    old, new = read_numbers(PLAN, OLD), read_numbers(PLAN, NEW)
    text = "\n".join(markdown("demo", differences(old.metrics, new.metrics), old.curves, new.curves))
    assert "| model.auc | 0.75 | 0.7512 | +0.0012 |" in text
    assert text.index("model.loss") < text.index("1 metrics as before") < text.index("model.rows")
    assert "x-axis [7, 8]" in text
    assert "line [0.5, 0.6]\n  line [0.5, 0.7]" in text


def test_the_numbers_of_slices_that_moved_are_shown_and_the_others_counted() -> None:
    def judged(auc: float) -> dict[str, str]:
        metrics = {"auc": {"estimate": auc, "low": auc - 0.1, "high": auc + 0.1}, "share": {"estimate": 0.2}}
        evenings = {"rows": 10, "metrics": metrics}
        small = {"rows": 1, "enough_data": False, "metrics": {}}
        return {SLICES: json.dumps({"level": 0.95, "slices": {"EWR at 17.30": evenings, "to Honolulu": small}})}

    old, new = read_numbers(PLAN, judged(0.6)), read_numbers(PLAN, judged(0.65))
    found = differences(old.slices, new.slices)
    assert [line.split() for line in slice_table(found)][1:] == [
        ["1", "of", "2", "numbers", "of", "slices", "moved"],
        ["old", "new", "difference"],
        ["EWR", "at", "17.30:", "auc", "0.6", "0.65", "+0.05"],
    ]
    assert "| EWR at 17.30: auc | 0.6 | 0.65 | +0.05 |" in slice_markdown(found)
    assert slice_markdown(differences(new.slices, new.slices)) == []


def test_the_file_of_slices_is_the_one_that_evaluation_writes() -> None:
    assert SLICES == judgement.SLICES


def test_a_pipeline_that_is_new_has_no_old_numbers() -> None:
    assert read_numbers(PLAN, {}).metrics == {}
    text = "\n".join(markdown("demo", differences({}, {"model.auc": 0.7}), {}, {}))
    assert "| model.auc | - | 0.7 |  |" in text


def test_a_torn_metrics_file_is_named() -> None:
    with pytest.raises(InputError, match=r"metrics\.json is no JSON object\. `make run` writes it again"):
        read_numbers(PLAN, {"metrics.json": "{"})


def test_a_number_edited_by_hand_is_named_with_where_it_stands_and_what_to_press(tmp_path: Path, shell: Any) -> None:
    folder = tmp_path / "pipelines" / "demo"
    folder.mkdir(parents=True)
    metrics, honest, nicer = folder / "metrics.json", '{"auc": 0.7}\n', '{"auc": 0.9}\n'
    digest = hashlib.md5(honest.encode()).hexdigest()  # noqa: S324  DVC's own
    outs = [f"{{path: metrics.json, md5: '{digest}'}}", "{path: data/rows.parquet, md5: '0'}"]
    (folder / "dvc.lock").write_text(f"stages: {{evaluate: {{outs: [{', '.join(outs)}]}}}}\n", encoding="utf-8")

    def commit(text: str) -> None:
        metrics.write_text(text, encoding="utf-8")
        shell("git", "add", "--all", folder=tmp_path)
        shell("git", "commit", "--quiet", "--message", "numbers", folder=tmp_path)

    shell("git", "init", "--quiet", folder=tmp_path)
    commit(honest)
    assert edited_by_hand("demo", "HEAD", tmp_path) == []
    metrics.write_text(nicer, encoding="utf-8")
    again = "edited by hand, or merged? `make run PIPELINE=demo` writes it again"
    said = f"metrics.json {{}} is not what the stage evaluate wrote: {again}"
    assert edited_by_hand("demo", "HEAD", tmp_path) == [said.format("in your working tree")]
    commit(nicer)
    assert edited_by_hand("demo", "HEAD", tmp_path) == [said.format("at HEAD and in your working tree")]
    metrics.write_text(honest, encoding="utf-8")
    assert edited_by_hand("demo", "HEAD", tmp_path) == [said.format("at HEAD")]


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
