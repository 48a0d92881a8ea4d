"""Write the report: an index and a page per pipeline, plain files that open without a server or a network."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import polars as pl

from onebutton_contracts.errors import InputError
from onebutton_evaluation.card_text import QUESTIONS, CardText
from onebutton_evaluation.champion import CHAMPION
from onebutton_evaluation.checks import standing
from onebutton_evaluation.comparison import NONE
from onebutton_evaluation.curves import declared_plots
from onebutton_evaluation.declarations import load_declarations
from onebutton_evaluation.gatekeeping import gate_folder, is_draft
from onebutton_evaluation.influence import Metric
from onebutton_evaluation.judgement import COMPARISON, ROBUSTNESS, SLICES, number_at, read_json, write_text
from onebutton_evaluation.pages import render
from onebutton_evaluation.slices import ALL, ranked
from onebutton_evaluation.wording import with_interval

INDEX = "index.html"
MANY = 30  # points that are drawn as a line alone
# What the template draws by its name; any other plot needs columns of numbers as its `x` and `y`.
KNOWN = {"roc", "calibration", "thresholds", "predicted", "residuals", "residuals_by_slice", "coverage"}
KNOWN |= {"confusion", "classes", "importance"}


@dataclass(frozen=True)
class Around:
    """What a pipeline's folder does not know of itself."""

    links: Mapping[str, str] = field(default_factory=dict)  # addresses by what they lead to
    made: str = ""  # the commit and the date of its results, in words


def read_results(folder: Path, around: Around) -> dict[str, Any]:
    """Read all that pages show of a pipeline from what its stages wrote, by the names that the templates have for it.

    Raises:
        InputError: a file is missing or malformed.
    """
    judging = load_declarations(folder / "gates.toml").judging
    known = judging.known()
    decides, gates, draft = known[judging.champion], gate_folder(folder), is_draft(folder)
    judged, comparison = read_json(folder / SLICES), read_json(folder / COMPARISON)
    slices = judged["slices"]
    whole = slices[ALL]["metrics"].get(decides.name)
    worst = {name: slices[name] | slices[name]["metrics"][decides.name] for name in ranked(slices, decides)}
    differences = {
        name: _with_ends({place: part | part.get("difference", {}) for place, part in one.get("slices", {}).items()})
        for name, one in comparison.items()
    }
    return {
        "heading": folder.name,
        "back": INDEX,
        "text": CardText.load(folder / "card.toml"),
        "questions": QUESTIONS,
        "links": around.links,
        "known": known,
        "decides": decides,
        "verdicts": gates,
        "standing": standing(gates, draft=draft),
        "headline": _headline(decides, whole, comparison) | ({"Result": around.made} if around.made else {}),
        "label": judged["answer_label"],
        "unit": judged["unit"],
        "slices": slices,
        "whole": whole,
        "story": _story(slices),
        "in_training": number_at("training.share", read_json(folder / "metrics.json")),
        "by_slice": _with_ends(worst),
        "comparison": comparison,
        "differences": differences,
        "perturbed": read_json(folder / ROBUSTNESS)["perturbed"],
        **_curves(folder),
    }


def _curves(folder: Path) -> dict[str, Any]:
    """Read the rows of each plot that `dvc.yaml` declares, those of a pipeline's own apart, with what it says of them."""
    curves, own = {}, []
    for path, said in declared_plots(folder / "dvc.yaml").items():
        if path.suffix != ".csv" or not (folder / path).is_file():
            continue
        try:
            rows = pl.read_csv(folder / path).to_dicts()
        except pl.exceptions.PolarsError as error:
            raise InputError(f"{folder / path} cannot be drawn: {error}. `make run` writes it again") from None
        x, y = str(said.get("x")), str(said.get("y"))
        numbers = all(isinstance(row.get(one), int | float) for row in rows for one in (x, y))
        if path.stem in KNOWN and rows:
            curves[path.stem] = rows
        elif path.stem not in KNOWN and numbers and len(rows) > 1:
            kind = "line" if len(rows) > MANY else "line dotted"
            own.append({"rows": rows, "title": said.get("title", path.stem), "words": "", "x": x, "y": {y: kind}})
    return {"curves": curves, "own_plots": own}


def write_site(folders: Mapping[Path, Around], target: Path) -> list[str]:
    """Write every page, the index last; return for each pipeline without a page one line that says why."""
    target.mkdir(parents=True, exist_ok=True)
    summaries, refused = [], {}
    for folder, around in folders.items():
        try:
            results = read_results(folder, around)
        except InputError as error:
            refused[folder.name] = str(error)
            continue
        write_text(target / f"{folder.name}.html", render("report.html", **results))
        links = {"Gates, slices and curves": f"{folder.name}.html"}
        for own in sorted(folder.glob("data/*.html")):  # what a stage of its own wrote
            links[own.stem.capitalize()] = f"{folder.name}.{own.name}"
            write_text(target / f"{folder.name}.{own.name}", own.read_text(encoding="utf-8"))
        summaries.append(results | {"links": links | dict(around.links)})
    write_text(target / INDEX, render("index.html", heading="Report", summaries=summaries, refused=refused))
    return [f"{name}: {why}" for name, why in refused.items()]


def summary_line(folder: Path) -> str:
    """Sum up a pipeline in a line for a terminal; empty where its results cannot be read."""
    try:
        results = read_results(folder, Around())
    except InputError:
        return ""
    return " ".join([*(f"{name} {words}." for name, words in results["headline"].items()), results["standing"][1]])


def _headline(decides: Metric, whole: Mapping[str, Any] | None, comparison: Mapping[str, Any]) -> dict[str, str]:
    """Write the numbers that stand first, the model's and the first baseline's, by what they are."""
    lines = {decides.words: with_interval(whole) if whole else NONE}
    for name, one in comparison.items():
        if name != CHAMPION and one.get("metric") == decides.name and one.get("theirs"):
            return lines | {f"Baseline ({name.replace('_', ' ')})": with_interval(one["theirs"])}
    return lines


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
