import json
from pathlib import Path
from typing import Any

import pytest

from onebutton_contracts.errors import InputError
from onebutton_workbench.runs.metrics import metrics_table, rows_of, table


def test_each_innermost_group_of_numbers_becomes_a_row() -> None:
    metrics = {"model": {"rows": 1000, "auc": 0.75}, "by_month": {"07": {"rows": 10}, "08": {"rows": 20}}}
    assert rows_of(metrics) == {
        "model": {"rows": 1000, "auc": 0.75},
        "by_month 07": {"rows": 10},
        "by_month 08": {"rows": 20},
    }


def test_columns_stand_under_their_names_and_a_missing_number_stays_empty() -> None:
    assert table({"model": {"rows": 1000, "auc": 0.75}, "base": {"rows": 7}}) == [
        "          rows     auc",
        "  model  1,000  0.7500",
        "  base       7        ",
    ]


@pytest.mark.parametrize(
    ("metrics", "lines"),
    [
        ({"rmse": 1.2}, ["      rmse", "    1.2000"]),
        ({"model": {"auc": None}}, ["         auc", "  model     "]),
        ({"model": {"kind": "a tree", "good": True}}, ["           kind  good", "  model  a tree  true"]),
        (
            {"a": 1, "by": {"b": 2, "c": {"d": 3}}},
            ["        a  b  d", "        1      ", "  by       2   ", "  by c        3"],
        ),
        ([0.5, 0.25], ["        metrics", "    [0.5, 0.25]"]),
        ({"curve": list(range(99))}, [f"    {'curve':>40}", "    [0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, …"]),
        ({}, ["  "]),
    ],
)
def test_whatever_a_team_writes_into_its_metrics_is_shown(tmp_path: Path, metrics: Any, lines: list[str]) -> None:
    file = tmp_path / "churn/metrics.json"
    file.parent.mkdir()
    file.write_text(json.dumps(metrics), encoding="utf-8")
    assert metrics_table("churn", file) == ["", "churn:", *lines]


def test_a_pipeline_without_metrics_is_passed_over_with_a_word(tmp_path: Path) -> None:
    said = ["", "churn: no metrics.json is there, so there are no metrics to show"]
    assert metrics_table("churn", tmp_path / "metrics.json") == said


def test_metrics_that_are_no_json_are_named_in_one_line(tmp_path: Path) -> None:
    (tmp_path / "metrics.json").write_text("auc: 0.5", encoding="utf-8")
    with pytest.raises(InputError, match=r"metrics\.json is no JSON: .* must write JSON") as told:
        metrics_table("churn", tmp_path / "metrics.json")
    assert "\n" not in str(told.value)
