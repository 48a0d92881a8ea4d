"""Lay out a pipeline's results as files: slices, comparisons and robustness with their intervals.

Each file is nested mappings of names to numbers and texts; gates, card and report read these files alone.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from onebutton_contracts.contract import Contract
from onebutton_contracts.errors import InputError
from onebutton_evaluation.champion import Champion, beside
from onebutton_evaluation.comparison import compare
from onebutton_evaluation.declarations import Declarations
from onebutton_evaluation.holdout import read_holdout
from onebutton_evaluation.robustness import Asked, judge_perturbed
from onebutton_evaluation.slices import find_slices, judge

if TYPE_CHECKING:
    import polars as pl

SLICES, COMPARISON, ROBUSTNESS = "slices.json", "comparison.json", "robustness.json"
AGAIN = "`make run` writes it again"  # said of every result that cannot be read
FIRST = "first release: there is no champion yet"


def judgement(
    frame: pl.DataFrame, said: Declarations, contract: Contract, model: Asked, champion: Champion | None
) -> dict[str, dict[str, Any]]:
    """Judge a model by all that its `gates.toml` declares, beside the champion, if there is one, and every baseline.

    The frame has one row per prediction, and all columns that slices and `[judging]` name; the contract has its primary key. The
    model is asked again with perturbed inputs.

    Returns:
        The content of each file, by its name.
    """
    judging, parts = said.judging, find_slices(frame, said.slices)
    holdout = read_holdout(frame, contract.primary_key, judging.answer)
    against: dict[str, Any] = {"champion": {"name": None, "in_words": FIRST}}
    if champion is not None:
        names = dict(zip(judging.predicted(), judging.predicted("champion"), strict=True))
        both = beside(frame, champion, contract.primary_key, names)
        against["champion"] = compare(both, parts, judging, "champion", champion.name)
    against |= {name: compare(frame, parts, judging, name) for name in said.compared()}
    return {
        SLICES: {
            "answer_label": judging.answer_label or judging.answer,
            "unit": judging.unit or "row",
            "holdout": holdout._asdict(),
            "slices": judge(frame, parts, judging),
        },
        COMPARISON: against,
        ROBUSTNESS: {"perturbed": judge_perturbed(frame, model, said.perturbations, judging)},
    }


def write_judgement(files: Mapping[str, Mapping[str, Any]], folder: Path = Path()) -> None:
    """Write each file whole."""
    for name, content in files.items():
        write_text(folder / name, json.dumps(content, indent=2, ensure_ascii=False) + "\n")


def write_text(file: Path, text: str) -> None:
    """Write a file whole, or leave the one that was there."""
    draft = file.with_name(f"{file.name}.draft")
    draft.write_text(text, encoding="utf-8")
    draft.replace(file)


def number_at(name: str, numbers: Any) -> float | None:
    """Look up a number by its dotted name, such as `model.auc`; None where there is none."""
    while isinstance(numbers, Mapping) and name not in numbers and "." in name:
        first, _, name = name.partition(".")
        numbers = numbers.get(first)
    found = numbers.get(name) if isinstance(numbers, Mapping) else None
    return found if isinstance(found, int | float) and not isinstance(found, bool) else None


def read_json(file: Path) -> dict[str, Any]:
    """Read one of the files.

    Raises:
        InputError: it is not there, or no JSON.
    """
    try:
        content: dict[str, Any] = json.loads(file.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        why = getattr(error, "strerror", None) or error
        raise InputError(f"{file} cannot be read: {why}. {AGAIN}") from None
    return content
