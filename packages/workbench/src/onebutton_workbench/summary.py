"""Say how good each pipeline's model is and what to commit. The last words of `make run`."""

from __future__ import annotations

import json
import subprocess
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from onebutton_tracking.results import collect
from onebutton_workbench.pressed import clean_environment, press, value
from onebutton_workbench.workspace import ROOT, pipelines


def table(rows: Mapping[str, Mapping[str, float]]) -> list[str]:
    """Lay out rows of named numbers for a terminal."""
    columns = list(dict.fromkeys(column for row in rows.values() for column in row))
    cells = [["", *columns], *([name, *(_number(row.get(column)) for column in columns)] for name, row in rows.items())]
    widths = [max(len(row[place]) for row in cells) for place in range(len(columns) + 1)]
    return [
        "  "
        + "  ".join(
            cell.rjust(width) if place else cell.ljust(width)
            for place, (cell, width) in enumerate(zip(row, widths, strict=True))
        )
        for row in cells
    ]


def _number(number: float | None) -> str:
    if number is None:
        return ""
    return f"{number:,d}" if isinstance(number, int) else f"{number:.4f}"


def rows_of(metrics: Mapping[str, Any]) -> dict[str, dict[str, float]]:
    """Name each innermost mapping of a metrics file: `model`, `by_month 07`."""
    rows: dict[str, dict[str, float]] = {}
    for name, content in metrics.items():
        if all(isinstance(number, int | float) for number in content.values()):
            rows[name] = content
        else:
            rows |= {f"{name} {inner}": row for inner, row in rows_of(content).items()}
    return rows


def changed_results(root: Path, names: list[str]) -> list[str]:
    """List the results that differ from the last commit, or are not in git yet."""
    produced = [f"pipelines/{name}/{path}" for name in names for path in collect(root / "pipelines" / name).produced]
    ask = ["git", "status", "--porcelain", "--untracked-files=all", "--", "dvc.lock", "report.md", *produced]
    answer = subprocess.run(ask, cwd=root, env=clean_environment(), capture_output=True, text=True, check=False)
    return [line[3:] for line in answer.stdout.splitlines()]


def summarise() -> int:
    """Print each pipeline's metrics, then the files that belong into the next commit."""
    if value("DATA"):
        return summarise_stand_ins([value("PIPELINE")] if value("PIPELINE") else [])
    names = [value("PIPELINE")] if value("PIPELINE") else pipelines()
    for name in names:
        metrics = json.loads((ROOT / "pipelines" / name / "metrics.json").read_text(encoding="utf-8"))
        print("", f"{name}:", *table(rows_of(metrics)), sep="\n")
    files = changed_results(ROOT, names)
    if files:
        print(
            "", "Results changed. Commit them with the code that made them:", f"  git add {' '.join(files)}", sep="\n"
        )
    print("", "run: done. Next: `make ui` shows curves and models, `make metrics` what changed", sep="\n")
    return 0


def summarise_stand_ins(names: list[str]) -> int:
    """Print the metrics of stand-ins, all when none is named; there is nothing to commit."""
    from onebutton_workbench.stand_in import folder_of, with_plan

    for name in names or with_plan():
        metrics = json.loads((folder_of(name) / "metrics.json").read_text(encoding="utf-8"))
        print("", f"{name} on DUMMY data:", *table(rows_of(metrics)), sep="\n")
    print("", "run: done, on DUMMY data: these numbers say that the code works, not how good a model is", sep="\n")
    return 0


if __name__ == "__main__":
    press("run", summarise)
