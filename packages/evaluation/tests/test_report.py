from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from onebutton_evaluation.report import report, section, table

FLIGHTS = {
    "model": {"rows": 166668, "share": 0.23317, "auc": 0.714495},
    "base_rate": {"rows": 166668, "share": 0.23317},
    "by_month": {"07": {"rows": 28293, "auc": 0.748167}, "10": {"rows": 28618, "auc": 0.688}},
}


def test_a_table_has_a_line_for_each_row_and_a_number_that_is_missing_stays_empty() -> None:
    assert table({"model": {"rows": 166668, "auc": 0.714495}, "base_rate": {"rows": 2}}) == [
        "|  | rows | auc |",
        "|---|--:|--:|",
        "| model | 166,668 | 0.7145 |",
        "| base_rate | 2 |  |",
    ]


def test_a_column_that_only_a_later_row_has_is_there_too() -> None:
    assert table({"model": {"auc": 0.5}, "tree": {"leaves": 31}}) == [
        "|  | auc | leaves |",
        "|---|--:|--:|",
        "| model | 0.5000 |  |",
        "| tree |  | 31 |",
    ]


def test_groups_of_parts_come_after_what_has_numbers() -> None:
    turned = {name: FLIGHTS[name] for name in ("by_month", "base_rate", "model")}
    lines = section("flight_delays", turned)
    headings = [line for line in lines if line.startswith(("#", "| model", "| 07"))]
    assert headings == [
        "## flight_delays",
        "| model | 166,668 | 0.2332 | 0.7145 |",
        "### by month",
        "| 07 | 28,293 | 0.7482 |",
    ]


def test_a_page_has_a_section_for_each_pipeline_and_one_line_end() -> None:
    page = report({"flight_delays": FLIGHTS, "prompt_quality": {"model": {"auc": 0.8}}})
    assert page.startswith("# Report\n")
    assert page.index("## flight_delays") < page.index("### by month") < page.index("## prompt_quality")
    assert page.endswith("| model | 0.8000 |\n")


def test_a_flat_file_is_one_row_called_as_its_pipeline() -> None:
    assert section("prices", {"rmse": 1.2, "rows": 500}) == [
        "## prices",
        "",
        "|  | rmse | rows |",
        "|---|--:|--:|",
        "| prices | 1.2000 | 500 |",
        "",
    ]


def test_values_beside_parts_have_a_row_beside_theirs() -> None:
    lines = section("prices", {"rmse": 1.2, "model": {"mae": 0.5}, "by_town": {"rows": 9, "Ulm": {"mae": 0.25}}})
    assert "| prices | 1.2000 |  |" in lines
    assert "| model |  | 0.5000 |" in lines
    assert lines[lines.index("### by town") :] == [
        "### by town",
        "",
        "|  | rows | mae |",
        "|---|--:|--:|",
        "| by_town | 9 |  |",
        "| Ulm |  | 0.2500 |",
        "",
    ]


def test_a_part_called_as_its_pipeline_hides_no_value() -> None:
    lines = section("prices", {"prices": {"mae": 0.5}, "rmse": 1.2})
    assert lines[4:6] == ["| prices (alone) | 1.2000 |  |", "| prices |  | 0.5000 |"]


@pytest.mark.parametrize(
    ("value", "shown"),
    [
        (None, ""),
        ("not yet", "not yet"),
        ("a|b\nc", "a\\|b c"),
        (True, "true"),
        ([1, 2], "[1, 2]"),
        (float("nan"), "nan"),
        (float("inf"), "inf"),
        (-3, "-3"),
    ],
)
def test_what_is_no_number_is_shown_as_it_is_and_null_as_what_is_not_there(value: object, shown: str) -> None:
    assert table({"model": {"auc": value, "rows": 5}})[-1] == f"| model | {shown} | 5 |"


@pytest.mark.parametrize("metrics", [{}, [], [0.5], 0.5, "soon", None, {"model": {}}, {"a": {"b": {"c": {"d": 1}}}}])
def test_whatever_json_a_metrics_file_holds_the_page_is_written(metrics: object) -> None:
    assert "## prices" in report({"prices": metrics})


def test_without_pipelines_the_page_says_who_writes_it() -> None:
    assert "Written by `make run`" in report({})


def test_the_program_writes_the_page_of_every_pipeline_that_has_metrics(tmp_path: Path) -> None:
    pages: dict[str, dict[str, Any]] = {"flight_delays": FLIGHTS, "prompt_quality": {"model": {"auc": 0.8}}}
    for pipeline, metrics in pages.items():
        file = tmp_path / "pipelines" / pipeline / "metrics.json"
        file.parent.mkdir(parents=True)
        file.write_text(json.dumps(metrics), encoding="utf-8")
    command = [sys.executable, "-m", "onebutton_evaluation.report", "report.md"]
    subprocess.run(command, cwd=tmp_path, check=True)
    assert (tmp_path / "report.md").read_text(encoding="utf-8") == report(pages)
