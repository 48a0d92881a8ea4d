from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from onebutton_workbench.runs.report import around


@pytest.fixture
def repo(tmp_path: Path, shell: Any, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A repository whose main holds the metrics of one pipeline."""
    monkeypatch.delenv("MLFLOW_TRACKING_URI", raising=False)
    folder = tmp_path / "pipelines" / "example"
    folder.mkdir(parents=True)
    (folder / "metrics.json").write_text(json.dumps({"model": {"auc": 0.7}}), encoding="utf-8")
    shell("git", "init", "--quiet", "--initial-branch", "main", folder=tmp_path)
    shell("git", "add", "--all", folder=tmp_path)
    shell("git", "commit", "--quiet", "--message", "first", folder=tmp_path)
    (folder / "metrics.json").write_text(json.dumps({"model": {"auc": 0.8}}), encoding="utf-8")
    return tmp_path


def test_the_report_compares_with_what_main_holds_and_not_with_what_stands_here(repo: Path) -> None:
    found = around("example", "main", repo)
    assert (found.base, found.other) == ("main", {"model": {"auc": 0.7}})


def test_a_pipeline_that_main_does_not_have_is_compared_with_nothing(repo: Path) -> None:
    assert around("newcomer", "main", repo).other is None
    assert around("example", "nowhere", repo).other is None


def test_a_link_leads_to_mlflow_where_it_is_used(repo: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert around("example", "main", repo).links == {"MLflow (make ui)": "http://127.0.0.1:5000"}
    monkeypatch.setenv("MLFLOW_TRACKING_URI", "https://mlflow.team.example")
    assert around("example", "main", repo).links == {"MLflow (make ui)": "https://mlflow.team.example"}
