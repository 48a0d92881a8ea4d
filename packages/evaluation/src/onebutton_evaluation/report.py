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
    """Lay out rows of named values as a Markdown table; what a row lacks, or has as null, stays empty."""
    columns = list(dict.fromkeys(column for row in rows.values() for column in row))
    head = ["", *map(_text, columns)]
    lines = ["| " + " | ".join(head) + " |", "|---|" + "--:|" * len(columns)]
    lines += [
        f"| {_text(name)} | " + " | ".join(_cell(row.get(column)) for column in columns) + " |"
        for name, row in rows.items()
    ]
    return lines


def _cell(value: object) -> str:
    if value is None:
        return ""
    if isinstance(value, bool) or not isinstance(value, int | float):
        return _text(value if isinstance(value, str) else json.dumps(value, ensure_ascii=False))
    return f"{value:,.0f}" if float(value).is_integer() else f"{value:.4f}"


def _text(value: str) -> str:
    """Keep a text within its cell."""
    return " ".join(value.split()).replace("|", "\\|")


def section(pipeline: str, metrics: object) -> list[str]:
    """Write one pipeline: what has numbers first, then each group of parts, such as `by_month`.

    Values that belong to no part share one row, which has the pipeline's name.

    Args:
        pipeline: its name.
        metrics: all that its `metrics.json` holds; a team may write into it what it likes.
    """
    named: Mapping[str, Any] = metrics if isinstance(metrics, Mapping) else {"metrics": metrics}
    groups = {name: content for name, content in named.items() if _is_group(content)}
    rows = _rows(pipeline, {name: content for name, content in named.items() if name not in groups})
    lines = [f"## {pipeline}", "", *([*table(rows), ""] if rows or not groups else [])]
    for name, group in groups.items():
        lines += [f"### {name.replace('_', ' ')}", "", *table(_rows(name, group)), ""]
    return lines


def _rows(name: str, content: Mapping[str, Any]) -> dict[str, Mapping[str, Any]]:
    """Make a row of each part; values that belong to none make the first one, called as what they stand in."""
    alone = {key: value for key, value in content.items() if not isinstance(value, Mapping)}
    parts = {key: value for key, value in content.items() if isinstance(value, Mapping)}
    return {f"{name} (alone)" if name in parts else name: alone, **parts} if alone else parts


def _is_group(content: object) -> bool:
    return isinstance(content, Mapping) and any(isinstance(value, Mapping) for value in content.values())


def report(metrics: Mapping[str, object]) -> str:
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
