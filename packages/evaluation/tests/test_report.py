from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

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
