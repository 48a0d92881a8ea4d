"""Write the team's report: one page of Markdown over the metrics of every pipeline.

This is the top of the DAG: the root `dvc.yaml` calls it, with every pipeline's metrics as dependencies.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any


def table(rows: Mapping[str, Mapping[str, Any]]) -> list[str]:
    """Lay out rows of named numbers as a Markdown table; a number that a row lacks stays empty."""
    columns = list(dict.fromkeys(column for row in rows.values() for column in row))
    head = ["", *columns]
    lines = ["| " + " | ".join(head) + " |", "|---|" + "--:|" * len(columns)]
    lines += [
        f"| {name} | " + " | ".join(_number(row.get(column)) for column in columns) + " |" for name, row in rows.items()
    ]
    return lines


def _number(value: float | None) -> str:
    if value is None:
        return ""
    return f"{value:,.0f}" if float(value).is_integer() else f"{value:.4f}"


def section(pipeline: str, metrics: Mapping[str, Any]) -> list[str]:
    """Write one pipeline: what has numbers first, then each group of parts, such as `by_month`."""
    overall = {name: row for name, row in metrics.items() if not _is_group(row)}
    lines = [f"## {pipeline}", "", *table(overall), ""]
    for name, group in metrics.items():
        if _is_group(group):
            lines += [f"### {name.replace('_', ' ')}", "", *table(group), ""]
    return lines


def _is_group(row: Mapping[str, Any]) -> bool:
    return any(isinstance(value, Mapping) for value in row.values())


def report(metrics: Mapping[str, Mapping[str, Any]]) -> str:
    """Write the page.

    Args:
        metrics: for each pipeline what its `metrics.json` holds.
    """
    lines = [
        "# Report",
        "",
        "Written by `make run` from the metrics of every pipeline. `make ui` shows the curves.",
        "",
    ]
    for pipeline, numbers in metrics.items():
        lines += section(pipeline, numbers)
    return "\n".join(lines).rstrip("\n") + "\n"


def main() -> None:
    """Read every `pipelines/*/metrics.json`, write the page to the file named on the command line."""
    (target,) = map(Path, sys.argv[1:])
    sources = sorted(Path("pipelines").glob("*/metrics.json"))
    pages = {source.parent.name: json.loads(source.read_text(encoding="utf-8")) for source in sources}
    target.write_text(report(pages), encoding="utf-8")


if __name__ == "__main__":
    main()
