"""Say how good each pipeline's model is and what to commit. The last words of `make run`."""

from __future__ import annotations

import json
import textwrap
from collections.abc import Collection, Mapping, Sequence
from pathlib import Path
from typing import Any

from onebutton_contracts.errors import InputError
from onebutton_evaluation.gatekeeping import is_draft
from onebutton_release.serve import waits_for_deploy
from onebutton_workbench.git import call, holds
from onebutton_workbench.workspace import ROOT

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
        text = " ".join((content if isinstance(content, str) else json.dumps(content)).split())
        return text if len(text) <= WIDEST else f"{text[: WIDEST - 1]}…"
    return f"{content:,d}" if isinstance(content, int) else f"{content:.4f}"


def rows_of(metrics: object, name: str) -> dict[str, dict[str, Any]]:
    """Make a row of each innermost mapping of a metrics file: `model`, `by_month 07`.

    Args:
        metrics: all that the file holds; a team may write into it what it likes.
        name: of the row of the values that stand in no mapping.
    """
    content = metrics if isinstance(metrics, Mapping) else {"metrics": metrics}
    alone = {key: value for key, value in content.items() if not isinstance(value, Mapping)}
    parts = {key: value for key, value in content.items() if isinstance(value, Mapping)}
    rows = {f"{name} (alone)" if name in parts else name: alone} if alone else {}
    for key, part in parts.items():
        named = rows_of(part, key)
        rows |= {row if row == key else f"{key} {row}": cells for row, cells in named.items()}
    return rows


def metrics_table(title: str, file: Path) -> list[str]:
    """Lay out what a metrics file holds, or say that there is none.

    Raises:
        InputError: it is no JSON.
    """
    if not file.is_file():
        return ["", f"{title}: no {file.name} is there, so there are no metrics to show"]
    try:
        metrics = json.loads(file.read_text(encoding="utf-8"))
    except ValueError as error:
        message = f"{file} is no JSON: {error}. The stage that writes it must write JSON"
        raise InputError(message) from None
    rows = rows_of(metrics, file.parent.name)
    lines = table(rows)
    if max(map(len, lines)) > WIDTH:
        lines = [line for part in apart(rows) for line in table(part)]
    return ["", f"{title}:", *lines]


def apart(rows: Mapping[str, Mapping[str, Any]]) -> list[dict[str, Mapping[str, Any]]]:
    """Put rows that have no value in common into tables of their own."""
    tables: list[dict[str, Mapping[str, Any]]] = []
    for name, row in rows.items():
        fits = (one for one in tables if any(set(row) & set(other) for other in one.values()))
        found = next(fits, None)
        if found is None:
            tables.append(found := {})
        found[name] = row
    return tables


def summarise(names: Sequence[str], made: Collection[str]) -> None:
    """Print the metrics of pipelines, of those made again the verdict, then what belongs into the next commit."""
    for name in names:
        print(*metrics_table(name, ROOT / "pipelines" / name / METRICS), sep="\n")
        if name in made:
            from onebutton_evaluation.report import summary_line

            words = summary_line(ROOT / "pipelines" / name)
            print(*textwrap.wrap(words, WIDTH, initial_indent="  ", subsequent_indent="  "), sep="\n")
    changed = [path for path in (f"pipelines/{name}" for name in names) if _is_uncommitted(path)]
    new = [path for path in changed if not holds("cat-file", "-e", f"HEAD:./{path}/dvc.yaml", folder=ROOT)]
    add = f"git add {' '.join([*changed, *(['uv.lock'] if new else [])])}"
    if changed:
        print("", "Commit results with the code that made them:", f"  {add}", sep="\n")
    first = f"`{add}`, then `git commit`; " if new else ""
    if len(names) == 1 and _is_draft_to_serve(folder := ROOT / "pipelines" / names[0]):
        button = "serve" if waits_for_deploy(ROOT, names[0], "") else "deploy"
        first = f"`make {button} PIPELINE={folder.name}`, which puts it into service on this machine; "
    print("", f"run: done. Next: {first}`make ui` shows curves and models, `make metrics` what changed", sep="\n")


def _is_uncommitted(path: str) -> bool:
    return bool(call("status", "--porcelain", "--", path, folder=ROOT).stdout)


def _is_draft_to_serve(folder: Path) -> bool:
    return is_draft(folder) and (folder / "release.toml").is_file()


def summarise_dummies(folders: Mapping[str, Path]) -> None:
    """Print the metrics of copies that ran on dummy data, by the name of their pipeline; there is nothing to commit."""
    for name, folder in folders.items():
        print(*metrics_table(f"{name} on DUMMY data", folder / METRICS), sep="\n")
    print("", "run: done, on DUMMY data: these numbers say that the code works, not how good a model is", sep="\n")
