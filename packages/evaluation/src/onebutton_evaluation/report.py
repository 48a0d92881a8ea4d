"""Write the report: an index and a page per pipeline, plain files that open without a server or a network."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import polars as pl

from onebutton_contracts.errors import InputError
from onebutton_evaluation.card_text import QUESTIONS, CardText
from onebutton_evaluation.catalogue import named
from onebutton_evaluation.champion import CHAMPION
from onebutton_evaluation.checks import standing
from onebutton_evaluation.comparison import NONE
from onebutton_evaluation.curves import declared_plots
from onebutton_evaluation.declarations import load_declarations
from onebutton_evaluation.gatekeeping import gate_folder, is_draft
from onebutton_evaluation.judgement import COMPARISON, ROBUSTNESS, SLICES, number_at, read_json, write_text
from onebutton_evaluation.pages import render
from onebutton_evaluation.slices import ALL, ranked
from onebutton_evaluation.wording import with_interval

INDEX = "index.html"
CHANGE = "Change since"
MANY = 30  # points that are drawn as a line alone
# What the template draws by its name; any other plot needs columns of numbers as its x and y.
KNOWN = {"roc", "calibration", "thresholds", "predicted", "residuals", "residuals_by_slice", "coverage"}
KNOWN |= {"confusion", "classes", "importance"}


@dataclass(frozen=True)
class Around:
    """What a pipeline's folder does not know of itself."""

    base: str = "main"
    other: Mapping[str, Any] | None = None  # what `metrics.json` has there
    links: Mapping[str, str] = field(default_factory=dict)  # addresses by what they lead to
    made: str = ""  # the commit and the date of its results, in words


class Results:
    """All that a pipeline's page shows, read from what its stages wrote.

    Attributes:
        curves: the rows of each plot that `dvc.yaml` declares, by the name of its file.
        axes: what `dvc.yaml` says of it.
        decides: the metric by which models are compared.
    """

    def __init__(self, folder: Path, around: Around) -> None:
        """Read the files; raise an `InputError` where one is missing or malformed."""
        self.name, self.around, self.draft = folder.name, around, is_draft(folder)
        judging = load_declarations(folder / "gates.toml").judging
        self.known = judging.known()
        self.decides = self.known[judging.champion]
        self.text = CardText.load(folder / "card.toml")
        self.verdicts = gate_folder(folder)
        self.metrics = read_json(folder / "metrics.json")
        self.slices = read_json(folder / SLICES)
        self.comparison = read_json(folder / COMPARISON)
        self.robustness = read_json(folder / ROBUSTNESS)
        self.curves: dict[str, list[dict[str, Any]]] = {}
        self.axes: dict[str, dict[str, Any]] = {}
        for path, said in declared_plots(folder / "dvc.yaml").items():
            if path.suffix == ".csv" and (folder / path).is_file() and (rows := _rows(folder / path)):
                self.curves[path.stem], self.axes[path.stem] = rows, said


def _rows(file: Path) -> list[dict[str, Any]]:
    try:
        return pl.read_csv(file).to_dicts()
    except pl.exceptions.PolarsError as error:
        raise InputError(f"{file} cannot be drawn: {error}. `make run` writes it again") from None


def write_site(folders: Mapping[Path, Around], target: Path) -> list[str]:
    """Write every page, the index last; return for each pipeline without a page one line that says why."""
    target.mkdir(parents=True, exist_ok=True)
    summaries, refused = [], {}
    for folder, around in folders.items():
        try:
            results = Results(folder, around)
        except InputError as error:
            refused[folder.name] = str(error)
            continue
        write_text(target / f"{folder.name}.html", page(results))
        links = {"Gates, slices and curves": f"{folder.name}.html"}
        for own in sorted(folder.glob("data/*.html")):  # what a stage of its own wrote
            links[own.stem.capitalize()] = f"{folder.name}.{own.name}"
            write_text(target / f"{folder.name}.{own.name}", own.read_text(encoding="utf-8"))
        links |= around.links
        summaries.append({**summary(results), "links_to": links})
    write_text(target / INDEX, render("index.html", heading="Report", summaries=summaries, refused=refused))
    return [f"{name}: {why}" for name, why in refused.items()]


def page(results: Results) -> str:
    """Write the page."""
    compared = {
        name: _with_ends({key: one | one.get("difference", {}) for key, one in found["slices"].items()})
        for name, found in results.comparison.items()
        if "slices" in found
    }
    tried = dict.fromkeys((results.decides.name, "log_loss", "bias"))
    return render(
        "report.html",
        **summary(results),
        heading=results.name,
        back=INDEX,
        questions=QUESTIONS,
        metrics=[named(results.known, name) for name in results.slices["slices"][ALL]["metrics"]],
        own_plots=_own_plots(results),
        compared={name: rows for name, rows in compared.items() if rows},
        tried=[results.known[name] for name in tried if name in results.known],
    )


def summary(results: Results) -> dict[str, Any]:
    """Collect a pipeline's part of the index, which its own page begins with."""
    slices, metric = results.slices["slices"], results.decides
    judged = {name: slices[name] | slices[name]["metrics"][metric.name] for name in ranked(slices, metric)}
    return {
        "results": results,
        "headline": headline(results),
        "standing": standing(results.verdicts, draft=results.draft),
        "story": _story(slices),
        "in_training": number_at("training.share", results.metrics),
        "by_slice": _with_ends(judged),
        "whole": slices[ALL]["metrics"].get(metric.name),
    }


def summary_line(folder: Path) -> str:
    """Sum up a pipeline in a line for a terminal; empty where its results cannot be read."""
    try:
        results = Results(folder, Around())
    except InputError:
        return ""
    numbers = [f"{name} {words}." for name, words in headline(results).items() if not name.startswith(CHANGE)]
    return f"{' '.join(numbers)} {standing(results.verdicts, draft=results.draft)[1]}"


def headline(results: Results) -> dict[str, str]:
    """Write the numbers that stand first, by what they are: the model's, the first baseline's, the change."""
    metric, around = results.decides, results.around
    whole = results.slices["slices"][ALL]["metrics"].get(metric.name)
    lines = {metric.words: with_interval(whole) if whole else NONE}
    for name, one in results.comparison.items():
        if name != CHAMPION and one.get("metric") == metric.name and one.get("theirs"):
            lines[f"Baseline ({name.replace('_', ' ')})"] = with_interval(one["theirs"])
            break
    base, number = around.base.removeprefix("origin/"), f"model.{metric.name}"
    now, before = number_at(number, results.metrics), number_at(number, around.other)
    if around.other is None:
        change = f"new: {base} has no result"
    elif now is None or before is None:
        change = f"not known: metrics.json has no number {number}"
    else:
        change = "none" if now == before else f"{now - before:+.2g}, was {before:.3f}"
    lines[f"{CHANGE} {base}"] = change
    return lines | ({"Result": around.made} if around.made else {})


def _with_ends(numbers: Mapping[str, Mapping[str, Any]]) -> list[dict[str, Any]]:
    """Make rows for the macro `dots` of the numbers that have an interval."""
    return [{**one, "slice": name} for name, one in numbers.items() if one.get("low") is not None]


def _story(slices: Mapping[str, Any]) -> list[dict[str, Any]]:
    """Choose the group of slices in which the share of the answer differs most: observed and predicted."""
    groups: dict[str, list[dict[str, Any]]] = {}
    for name, one in slices.items():
        share, bias = (one["metrics"].get(metric) for metric in ("share", "bias"))
        if share and share["low"] is not None and one["group"] not in {ALL, "conditions"}:
            row = {**one, **share, "slice": name.removeprefix(f"{one['group']} ")}
            row |= {"predicted": share["estimate"] + bias["estimate"]} if bias else {}
            groups.setdefault(one["group"], []).append(row)

    def spread(rows: list[dict[str, Any]]) -> float:
        shares = [float(row["estimate"]) for row in rows]
        return max(shares) - min(shares)

    return max((rows for rows in groups.values() if len(rows) > 1), key=spread, default=[])


def _own_plots(results: Results) -> list[dict[str, Any]]:
    """Find the plots of a pipeline's own that have columns of numbers as `x` and `y`."""
    found = []
    for name, rows in results.curves.items():
        said = results.axes[name]
        x, y = str(said.get("x")), str(said.get("y"))
        numbers = all(isinstance(row.get(one), int | float) for row in rows for one in (x, y))
        if name not in KNOWN and len(rows) > 1 and numbers:
            kind = "line" if len(rows) > MANY else "line dotted"
            found.append({"rows": rows, "title": said.get("title", name), "words": "", "x": x, "y": {y: kind}})
    return found
