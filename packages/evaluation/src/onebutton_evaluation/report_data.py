"""What a page of the report is made of: a pipeline's results, and what git and MLflow know of it."""

from __future__ import annotations

import csv
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from html import escape
from pathlib import Path
from typing import Any

from onebutton_contracts.errors import InputError
from onebutton_evaluation.declarations import load_declarations
from onebutton_evaluation.gatekeeping import gate_folder
from onebutton_evaluation.judgement import COMPARISON, ROBUSTNESS, SLICES, read_json
from onebutton_evaluation.pages import CLASSES
from onebutton_evaluation.verdicts import Verdict

INDEX = "index.html"


@dataclass(frozen=True)
class Around:
    """What a pipeline's folder does not know of itself.

    Attributes:
        base: what `other` was read from, such as `main`.
        other: the content of its `metrics.json` there; None where there is none.
        links: addresses by what they lead to, such as its MLflow run.
    """

    base: str = "main"
    other: Mapping[str, Any] | None = None
    links: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True)
class Results:
    """All that a pipeline's page shows.

    Attributes:
        metric: by which models are compared.
        curves: for each CSV file of `plots/` its columns.
        has_card: whether there is a model card to link to.
    """

    name: str
    verdicts: Sequence[Verdict]
    metric: str
    metrics: Mapping[str, Any]
    slices: Mapping[str, Any]
    comparison: Mapping[str, Any]
    robustness: Mapping[str, Any]
    curves: Mapping[str, Mapping[str, Sequence[float]]]
    has_card: bool
    around: Around


def read_results(folder: Path, around: Around) -> Results:
    """Read what the stages of a pipeline wrote.

    Raises:
        InputError: a file is missing or malformed.
    """
    plots = folder / "plots"
    return Results(
        name=folder.name,
        verdicts=gate_folder(folder),
        metric=load_declarations(folder / "gates.toml").judging.champion,
        metrics=read_json(folder / "metrics.json"),
        slices=read_json(folder / SLICES),
        comparison=read_json(folder / COMPARISON),
        robustness=read_json(folder / ROBUSTNESS),
        curves={file.stem: _columns(file) for file in sorted(plots.glob("*.csv"))},
        has_card=(folder / "card.html").is_file(),
        around=around,
    )


def _columns(file: Path) -> dict[str, list[float]]:
    with file.open(encoding="utf-8", newline="") as stream:
        rows = list(csv.DictReader(stream))
    try:
        return {name: [float(row[name] or "nan") for row in rows] for name in (rows[0] if rows else ())}
    except ValueError as error:
        message = f"{file} cannot be drawn: {error}. `make run` writes it again"
        raise InputError(message) from None


def standing(found: Sequence[Verdict]) -> tuple[str, str]:
    """Sum up verdicts: the worst of them, and a sentence."""
    counts = {result: sum(one.result == result for one in found) for result in ("failed", "NOT RUN", "passed")}
    if counts["failed"]:
        bad = ", ".join(one.id for one in found if one.result == "failed")
        return "failed", f"{counts['failed']} of {len(found)} gates failed: {bad}. It may not be merged or deployed."
    if counts["NOT RUN"]:
        open_ones = ", ".join(one.id for one in found if one.result == "NOT RUN")
        return (
            "NOT RUN",
            f"{counts['NOT RUN']} of {len(found)} gates were not run: {open_ones}. It may not be deployed.",
        )
    return "passed", f"All {len(found)} gates passed."


def banner(found: Sequence[Verdict]) -> str:
    """Write the sum of the verdicts, large."""
    result, words = standing(found)
    return f'<p class="big {CLASSES[result]}"><strong>{escape(words)}</strong></p>'
