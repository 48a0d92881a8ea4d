"""Say how good each pipeline's model is and what to commit. The last words of `make run`."""

import json
import textwrap
from collections.abc import Collection, Mapping, Sequence
from itertools import groupby
from pathlib import Path
from typing import Any

from onebutton_contracts.errors import InputError
from onebutton_workbench.git import call, holds
from onebutton_workbench.workspace import ROOT, unnamed_drafts

METRICS = "metrics.json"
WIDTH = 118
WIDEST = 40  # characters of a text or a list in a table of numbers


def table(rows: Mapping[str, Mapping[str, Any]]) -> list[str]:
    """Lay out rows of named values for a terminal; what a row lacks, or has as null, stays empty."""
    columns = list(dict.fromkeys(column for row in rows.values() for column in row))
    cells = [["", *columns], *([name, *(_cell(row.get(column)) for column in columns)] for name, row in rows.items())]
    widths = [max(map(len, column)) for column in zip(*cells, strict=True)]
    return ["  ".join(["", row[0].ljust(widths[0]), *map(str.rjust, row[1:], widths[1:])]) for row in cells]


def _cell(content: object) -> str:
    if content is None:
        return ""
    if isinstance(content, bool) or not isinstance(content, int | float):
        text = content if isinstance(content, str) else json.dumps(content)
        return text if len(text) <= WIDEST else f"{text[: WIDEST - 1]}…"
    return f"{content:,d}" if isinstance(content, int) else f"{content:.4f}"


def rows_of(metrics: Mapping[str, Any], name: str = "") -> dict[str, dict[str, Any]]:
    """Make a row of the values of each mapping in a metrics file: `model`, `by_month 07`; a team may nest what it likes."""
    values = {key: value for key, value in metrics.items() if not isinstance(value, Mapping)}
    rows = {name: values} if values else {}
    for key, part in metrics.items():
        if isinstance(part, Mapping):
            rows |= rows_of(part, f"{name} {key}".strip())
    return rows


def metrics_table(title: str, file: Path) -> list[str]:
    """Lay out what a metrics file holds, or say that there is none."""
    if not file.is_file():
        return ["", f"{title}: no {file.name} is there, so there are no metrics to show"]
    try:
        metrics = json.loads(file.read_text(encoding="utf-8"))
    except ValueError as error:
        raise InputError(f"{file} is no JSON: {error}. The stage that writes it must write JSON") from None
    rows = rows_of(metrics if isinstance(metrics, Mapping) else {"metrics": metrics})
    lines = table(rows)
    if max(map(len, lines)) > WIDTH:  # rows that have other columns than those above begin a table of their own
        lines = [line for _, part in groupby(rows.items(), lambda row: [*row[1]]) for line in table(dict(part))]
    return ["", f"{title}:", *lines]


def summarise(names: Sequence[str], made: Collection[str]) -> None:
    """Print the metrics of pipelines, of those made again the verdict, then what belongs into the next commit."""
    for name in names:
        print(*metrics_table(name, ROOT / "pipelines" / name / METRICS), sep="\n")
        if name in made:
            from onebutton_evaluation.report import summary_line

            words = summary_line(ROOT / "pipelines" / name)
            print(*textwrap.wrap(words, WIDTH, initial_indent="  ", subsequent_indent="  "), sep="\n")
    paths = [f"pipelines/{name}" for name in names]
    differs = call("status", "--porcelain", "--untracked-files=all", "--", "pipelines", folder=ROOT).stdout
    changed = [path for path in paths if f" {path}/" in differs]
    new = [path for path in changed if not holds("cat-file", "-e", f"HEAD:./{path}/dvc.yaml", folder=ROOT)]
    add = f"git add {' '.join([*changed, *(['uv.lock'] if new else [])])}"
    if changed:
        print("", "Commit results with the code that made them:", f"  {add}", sep="\n")
    first = f"`{add}`, then `git commit`; " if new else ""
    named = names[0] if len(names) == 1 else ""
    if (ROOT / "pipelines" / named / "release.toml").is_file() and named in unnamed_drafts(""):
        from onebutton_release.serve import waits_for_deploy

        button = "serve" if waits_for_deploy(ROOT, named, "") else "deploy"
        first = f"`make {button} PIPELINE={named}`, which puts it into service on this machine; "
    print("", f"run: done. Next: {first}`make ui` shows curves and models, `make metrics` what changed", sep="\n")
