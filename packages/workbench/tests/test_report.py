from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

from onebutton_workbench.runs.report import around

if TYPE_CHECKING:
    import pytest


def test_a_link_leads_to_mlflow_where_it_is_used(tmp_path: Path, shell: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("MLFLOW_TRACKING_URI", raising=False)
    shell("git", "init", "--quiet", folder=tmp_path)
    assert around("example", tmp_path).links == {"MLflow (make ui)": "http://127.0.0.1:5000"}
    monkeypatch.setenv("MLFLOW_TRACKING_URI", "https://mlflow.team.example")
    assert around("example", tmp_path).links == {"MLflow (make ui)": "https://mlflow.team.example"}
