"""Read what a page of the report is made of: a pipeline's results, and what git and MLflow know of it."""

from __future__ import annotations

import csv
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from onebutton_contracts.errors import InputError
from onebutton_evaluation.card_text import read_card_text
from onebutton_evaluation.declarations import load_declarations
from onebutton_evaluation.gatekeeping import gate_folder, is_draft
from onebutton_evaluation.influence import Metric
from onebutton_evaluation.judgement import COMPARISON, ROBUSTNESS, SLICES, read_json
from onebutton_evaluation.verdicts import Verdict

INDEX = "index.html"
DRAWN = ("roc", "calibration")  # the plots that a page shows


@dataclass(frozen=True)
class Around:
    """What a pipeline's folder does not know of itself.

    Attributes:
        base: what `other` was read from, such as `main`.
        other: the content of its `metrics.json` there; None where there is none.
        links: addresses by what they lead to, such as its MLflow run.
        made: the commit and the date of its results, in words.
    """

    base: str = "main"
    other: Mapping[str, Any] | None = None
    links: Mapping[str, str] = field(default_factory=dict)
    made: str = ""


@dataclass(frozen=True)
class Results:
    """All that a pipeline's page shows.

    Attributes:
        title: of its model, as `card.toml` says.
        predicts: what it predicts, as `card.toml` says.
        owner: who is asked about its gates.
        draft: whether it is still being tried out.
        metric: by which models are compared.
        known: the metrics of its task, by name.
        curves: the columns of each plot that the page shows.
        has_card: whether there is a model card to link to.
    """

    name: str
    title: str
    predicts: str
    owner: str
    draft: bool
    verdicts: Sequence[Verdict]
    metric: str
    known: Mapping[str, Metric]
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
    said, text = load_declarations(folder / "gates.toml"), read_card_text(folder / "card.toml")
    return Results(
        name=folder.name,
        title=text.title,
        predicts=" ".join(text.predicts.split()),
        owner=said.judging.owner,
        draft=is_draft(folder),
        verdicts=gate_folder(folder),
        metric=said.judging.champion,
        known=said.judging.known(),
        metrics=read_json(folder / "metrics.json"),
        slices=read_json(folder / SLICES),
        comparison=read_json(folder / COMPARISON),
        robustness=read_json(folder / ROBUSTNESS),
        curves={name: _columns(plots / f"{name}.csv") for name in DRAWN if (plots / f"{name}.csv").is_file()},
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


def named_numbers(tree: Mapping[str, Any], prefix: str = "") -> dict[str, float]:
    """Flatten the numbers of a `metrics.json`, as in `model.auc`."""
    flat: dict[str, float] = {}
    for name, value in tree.items():
        if isinstance(value, Mapping):
            flat |= named_numbers(value, f"{prefix}{name}.")
        elif isinstance(value, int | float):
            flat[f"{prefix}{name}"] = value
    return flat
