"""Read what a page of the report is made of: a pipeline's results, what git and MLflow know of it, and what sums it up."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any

import polars as pl

from onebutton_contracts.errors import InputError
from onebutton_evaluation.card_text import CardText
from onebutton_evaluation.curves import declared_plots
from onebutton_evaluation.declarations import Declarations, load_declarations
from onebutton_evaluation.gatekeeping import gate_folder, is_draft
from onebutton_evaluation.influence import Metric
from onebutton_evaluation.judgement import COMPARISON, ROBUSTNESS, SLICES, read_json
from onebutton_evaluation.verdicts import Verdict, standing
from onebutton_evaluation.wording import with_interval

INDEX = "index.html"
CHANGE = "Change since"
BASE_RATE = "base_rate"  # of metrics.json: what always predicting the mean answer reaches


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
        said: what `gates.toml` declares.
        text: of its model card.
        draft: whether it is still being tried out.
        curves: the rows of each plot that `dvc.yaml` declares, by the name of its file.
        axes: what `dvc.yaml` says of each plot: its `title`, `x` and `y`.
    """

    name: str
    said: Declarations
    text: CardText
    draft: bool
    verdicts: Sequence[Verdict]
    metrics: Mapping[str, Any]
    slices: Mapping[str, Any]
    comparison: Mapping[str, Any]
    robustness: Mapping[str, Any]
    curves: Mapping[str, Sequence[Mapping[str, Any]]]
    around: Around
    axes: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)

    @cached_property
    def known(self) -> dict[str, Metric]:
        """The metrics of its task, by name."""
        return self.said.judging.known()

    @property
    def decides(self) -> Metric:
        """The metric by which models are compared."""
        return self.known[self.said.judging.champion]


def read_results(folder: Path, around: Around) -> Results:
    """Read what the stages of a pipeline wrote.

    Raises:
        InputError: a file is missing or malformed.
    """
    declared = {path: axes for path, axes in declared_plots(folder / "dvc.yaml").items() if (folder / path).is_file()}
    return Results(
        folder.name,
        load_declarations(folder / "gates.toml"),
        CardText.load(folder / "card.toml"),
        is_draft(folder),
        gate_folder(folder),
        read_json(folder / "metrics.json"),
        read_json(folder / SLICES),
        read_json(folder / COMPARISON),
        read_json(folder / ROBUSTNESS),
        curves={path.stem: _rows(folder / path) for path in declared if path.suffix == ".csv"},
        around=around,
        axes={path.stem: axes for path, axes in declared.items()},
    )


def _rows(file: Path) -> list[dict[str, Any]]:
    try:
        return pl.read_csv(file).to_dicts()
    except pl.exceptions.PolarsError as error:
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


def headline(results: Results) -> dict[str, str]:
    """Write the numbers that stand first, by what they are; what is not known is left out."""
    metric, around = results.decides, results.around
    whole = results.slices["slices"]["all"]["metrics"].get(metric.name)
    lines = {metric.words: "not enough data" if whole is None else with_interval(whole)}
    for name, number in _baselines(results, metric.name):
        lines[f"Baseline ({name.replace('_', ' ')})"] = with_interval(number)
        break
    base = around.base.removeprefix("origin/")
    now, before = (named_numbers(tree or {}).get(f"model.{metric.name}") for tree in (results.metrics, around.other))
    if around.other is None:
        change = f"new: {base} has no result"
    elif now is None or before is None:
        change = f"not known: metrics.json has no number model.{metric.name}"
    else:
        change = "none" if now == before else f"{now - before:+.2g}, was {before:.3f}"
    lines[f"{CHANGE} {base}"] = change
    return lines | ({"Result": around.made} if around.made else {})


def _baselines(results: Results, metric: str) -> Iterator[tuple[str, Mapping[str, Any]]]:
    """Find the simpler models that the model is compared with by this metric, and the base rate last."""
    for name, one in results.comparison.items():
        if name != "champion" and one.get("metric") == metric and one.get("theirs"):
            yield name, one["theirs"]
    alone = named_numbers(results.metrics).get(f"{BASE_RATE}.{metric}")
    if alone is not None:
        yield BASE_RATE, {"estimate": alone}


def summary(folder: Path) -> str:
    """Sum up a pipeline in a line for a terminal; empty where its results cannot be read."""
    try:
        results = read_results(folder, Around())
    except InputError:
        return ""
    numbers = [f"{name} {words}." for name, words in headline(results).items() if not name.startswith(CHANGE)]
    return f"{' '.join(numbers)} {standing(results.verdicts, draft=results.draft)[1]}"
