"""Lay out a pipeline's results as files: slices, comparisons and robustness with their intervals.

Each file is nested mappings of names to numbers and texts; gates, card and report read these files alone.
"""

from __future__ import annotations

import json
import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from onebutton_contracts.contract import Contract
from onebutton_contracts.errors import InputError
from onebutton_evaluation.champion import Champion, beside
from onebutton_evaluation.comparison import Comparison, compare, detectable, in_words
from onebutton_evaluation.curves import DIGITS
from onebutton_evaluation.declarations import Declarations
from onebutton_evaluation.frames import read_rows
from onebutton_evaluation.holdout import read_holdout
from onebutton_evaluation.intervals import LEVEL, Interval
from onebutton_evaluation.robustness import judge_perturbed, label_noise
from onebutton_evaluation.slices import Judged, find_slices, judge

if TYPE_CHECKING:
    import numpy as np
    import polars as pl
    from numpy.typing import NDArray

SLICES, COMPARISON, ROBUSTNESS = "slices.json", "comparison.json", "robustness.json"
AGAIN = "`make run` writes it again"  # said of every result that cannot be read
FIRST = "first release: there is no champion yet"


@dataclass(frozen=True)
class Asked:
    """A model that can be asked again, for perturbed inputs.

    Attributes:
        inputs: what it sees of each judged row.
        predict: returns its predictions, shape (rows,).
    """

    inputs: pl.DataFrame
    predict: Callable[[pl.DataFrame], NDArray[np.floating[Any]]]


def judgement(
    frame: pl.DataFrame,
    said: Declarations,
    contract: Contract,
    model: Asked,
    champion: Champion | None,
) -> dict[str, dict[str, Any]]:
    """Judge a model by all that its `gates.toml` declares.

    Args:
        frame: one row per prediction, with all columns that slices and `judging` name.
        said: the declarations.
        contract: of the predictions; its primary key names a row.
        model: to ask again.
        champion: the model in service; None at the first release. Beside it the model is compared with every declared baseline.

    Returns:
        The content of each file, by its name.
    """
    parts = find_slices(frame, said.slices)
    holdout = read_holdout(frame, contract.primary_key, said.judging.answer)
    against: dict[str, Any] = {"champion": {"name": None, "in_words": FIRST}}
    if champion is not None:
        names = dict(zip(said.judging.predicted(), said.judging.predicted("champion"), strict=True))
        both = beside(frame, champion, contract.primary_key, names)
        compared = compare(both, parts, said.judging, "champion")
        against["champion"] = {"name": champion.name, **comparison_mapping(compared)}
    for name in said.compared():
        against[name] = {"name": name, **comparison_mapping(compare(frame, parts, said.judging, name, name))}
    rows = read_rows(frame, said.judging)
    noise = _short(label_noise(rows.answers, rows.predictions)) if said.judging.task == "binary" else None
    perturbed = judge_perturbed(frame, model.inputs, model.predict, said.perturbations, said.judging)
    return {
        SLICES: {
            "level": LEVEL,
            "answer_label": said.judging.answer_label or said.judging.answer,
            "unit": said.judging.unit or "row",
            "holdout": {"rows": holdout.rows, "digest": holdout.digest},
            "slices": {one.name: slice_mapping(one) for one in judge(frame, parts, said.judging)},
        },
        COMPARISON: against,
        ROBUSTNESS: {
            "label_noise": noise,
            "perturbed": {
                name: {metric: interval_mapping(one) for metric, one in numbers.items()}
                for name, numbers in perturbed.items()
            },
        },
    }


def slice_mapping(judged: Judged) -> dict[str, Any]:
    """Lay out one slice."""
    return {
        "group": judged.group,
        "rows": judged.rows,
        "units": judged.units,
        "enough_data": bool(judged.numbers),
        "metrics": {name: interval_mapping(one) for name, one in judged.numbers.items()},
    }


def interval_mapping(one: Interval) -> dict[str, Any]:
    """Lay out one number with its ends; null where there is none."""
    return {"estimate": _short(one.estimate), "low": _short(one.low), "high": _short(one.high), "method": one.method}


def comparison_mapping(comparison: Comparison) -> dict[str, Any]:
    """Lay out a comparison."""
    slices = {
        one.name: {
            "group": one.group,
            "rows": one.rows,
            "units": one.units,
            "verdict": one.verdict,
            **(
                {
                    "difference": {**interval_mapping(one.interval), "p": _short(one.interval.p)},
                    "detectable": _short(detectable(one.interval)),
                }
                if one.interval
                else {}
            ),
            "rows_needed": one.needed,
        }
        for one in comparison.differences
    }
    return {
        "metric": comparison.metric.name,
        "theirs": None if comparison.theirs is None else interval_mapping(comparison.theirs),
        "tolerance": comparison.tolerance,
        "verdict": comparison.verdict,
        "in_words": in_words(comparison),
        "slices": slices,
    }


def _short(value: float) -> float | None:
    return None if math.isnan(value) else round(value, DIGITS)


def write_judgement(files: Mapping[str, Mapping[str, Any]], folder: Path = Path()) -> None:
    """Write each file whole."""
    for name, content in files.items():
        write_text(folder / name, json.dumps(content, indent=2, ensure_ascii=False) + "\n")


def write_text(file: Path, text: str) -> None:
    """Write a file whole, or leave the one that was there."""
    draft = file.with_name(f"{file.name}.draft")
    draft.write_text(text, encoding="utf-8")
    draft.replace(file)


def read_json(file: Path) -> dict[str, Any]:
    """Read one of the files.

    Raises:
        InputError: it is not there, or no JSON.
    """
    try:
        content: dict[str, Any] = json.loads(file.read_text(encoding="utf-8"))
    except FileNotFoundError:
        message = f"{file} is not here. {AGAIN}"
        raise InputError(message) from None
    except (OSError, ValueError) as error:
        message = f"{file} cannot be read ({error}). {AGAIN}"
        raise InputError(message) from None
    return content
