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
from onebutton_evaluation.charts import Dot, Dots, Plot, columns, ends, importance, plots, residuals_by_slice
from onebutton_evaluation.checks import standing
from onebutton_evaluation.comparison import NONE
from onebutton_evaluation.curves import declared_plots
from onebutton_evaluation.declarations import load_declarations
from onebutton_evaluation.gatekeeping import gate_folder, is_draft
from onebutton_evaluation.influence import Metric
from onebutton_evaluation.judgement import COMPARISON, ROBUSTNESS, SLICES, number_at, read_json, write_text
from onebutton_evaluation.pages import render
from onebutton_evaluation.slices import ALL, ranked
from onebutton_evaluation.wording import alike, capital, compared_heading, percent, tick, with_interval

INDEX = "index.html"
CHANGE = "Change since"
WORST = 6  # slices in the small picture, and confusions


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
        declared = {
            path: said for path, said in declared_plots(folder / "dvc.yaml").items() if (folder / path).is_file()
        }
        self.curves = {path.stem: _rows(folder / path) for path in declared if path.suffix == ".csv"}
        self.axes = {path.stem: said for path, said in declared.items()}


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
            links[capital(own.stem)] = f"{folder.name}.{own.name}"
            write_text(target / f"{folder.name}.{own.name}", own.read_text(encoding="utf-8"))
        links |= around.links
        summaries.append({**summary(results), "links_to": links})
    write_text(target / INDEX, render("index.html", heading="Report", summaries=summaries, refused=refused))
    return [f"{name}: {why}" for name, why in refused.items()]


def page(results: Results) -> str:
    """Write the page."""
    confused = results.curves.get("confusion", ())
    wrong = [cell for cell in confused if cell["answer"] != cell["called"] and cell["rows"]]
    tried = dict.fromkeys((results.decides.name, "log_loss", "bias"))
    return render(
        "report.html",
        **summary(results),
        heading=results.name,
        back=INDEX,
        questions=QUESTIONS,
        story=_story(results),
        by_slice=_by_slice(results),
        metrics=[named(results.known, name) for name in results.slices["slices"][ALL]["metrics"]],
        plots=plots(results.curves, results.axes),
        costly=sorted(wrong, key=lambda cell: -cell["log_loss"])[:WORST],
        errors=residuals_by_slice(results.curves.get("residuals_by_slice", ())),
        importance=importance(results.curves.get("importance", ()), results.decides),
        compared=[_compared(name, one, results.known) for name, one in results.comparison.items()],
        tried=[results.known[name] for name in tried if name in results.known],
    )


def summary(results: Results) -> dict[str, Any]:
    """Collect a pipeline's part of the index, which its own page begins with."""
    return {
        "results": results,
        "headline": headline(results),
        "standing": standing(results.verdicts, draft=results.draft),
        "picture": _picture(results),
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


def _dot(name: str, number: Mapping[str, Any], rows: int, scale: float = 1.0, **more: Any) -> Dot:
    return Dot(name, scale * number["estimate"], scale * number["low"], scale * number["high"], rows, **more)


def _short(name: str, one: Mapping[str, Any]) -> str:
    """Leave out the group in the name of a slice: `July` of `month July`."""
    return name.removeprefix(f"{one['group']} ")


def _story(results: Results) -> dict[str, Any] | None:
    """Show the group of slices in which the share of the answer differs most: observed and predicted."""
    groups: dict[str, list[Dot]] = {}
    for name, one in results.slices["slices"].items():
        share, bias = (one["metrics"].get(metric) for metric in ("share", "bias"))
        if share and share["low"] is not None and one["group"] not in {ALL, "conditions"}:
            predicted = share["estimate"] + bias["estimate"] if bias else None
            groups.setdefault(one["group"], []).append(_dot(_short(name, one), share, one["rows"], predicted=predicted))
    rising = {group: sorted(rows, key=lambda row: row.estimate) for group, rows in groups.items() if len(rows) > 1}
    if not rising:
        return None
    group = max(rising, key=lambda group: rising[group][-1].estimate - rising[group][0].estimate)
    caption = f"Share of {results.slices['answer_label']}, observed and predicted"
    chart = Dots(caption, "observed", groups[group], percent, number_at("training.share", results.metrics))
    return {"group": group, "low": rising[group][0], "high": rising[group][-1], "chart": chart}


def _picture(results: Results) -> Plot | None:
    """Draw the small picture of a summary: observed and predicted shares by group, else the slices with the worst metric."""
    if story := _story(results):
        label = capital(results.slices["answer_label"])
        title = f"{label} by {story['group']}: observed with 95 % interval ●, predicted ◇"
        return columns(title, story["chart"].rows, tick)
    metric, slices = results.decides, results.slices["slices"]
    worst = [(name, slices[name]) for name in ranked(slices, metric)[:WORST]]
    rows = [_dot(_short(name, one), one["metrics"][metric.name], one["rows"]) for name, one in worst]
    return columns(f"{metric.words} with 95 % interval, worst slices first", rows) if rows else None


def _by_slice(results: Results) -> dict[str, Any]:
    """Show the metric that decides on every slice, the worst first."""
    metric, slices = results.decides, results.slices["slices"]
    rows = [_dot(name, slices[name]["metrics"][metric.name], slices[name]["rows"]) for name in ranked(slices, metric)]
    whole, shown = slices[ALL]["metrics"].get(metric.name), {ALL, *(row.name for row in rows)}
    caption, write = f"{metric.words} by slice, worst first", alike(ends(rows), 3 if metric.in_points else 4)
    return {
        "chart": Dots(caption, metric.words, rows, write, whole["estimate"]) if rows and whole else None,
        "whole": whole,
        "few": [f"{name} ({one['rows']:,} rows)" for name, one in slices.items() if name not in shown],
        "methods": list(dict.fromkeys(slices[row.name]["metrics"][metric.name]["method"] for row in rows)),
    }


def _compared(name: str, one: Mapping[str, Any], known: Mapping[str, Metric]) -> dict[str, Any]:
    found = {"heading": compared_heading(name), "words": one["in_words"], "chart": None}
    if "slices" not in one:
        return found
    metric = named(known, one["metric"])
    scale, unit = (100.0, "points") if metric.in_points else (1.0, metric.words)
    rows = [
        _dot("all rows" if key == ALL else key, part["difference"], part["rows"], scale, word=part["verdict"])
        for key, part in one["slices"].items()
        if part.get("difference", {}).get("low") is not None
    ]
    rows = [*rows[:1], *sorted(rows[1:], key=lambda row: row.estimate)]
    write = alike(ends(rows), 1 if metric.in_points else 4, "+")
    caption = f"Difference in {metric.words}{', points' if metric.in_points else ''}"
    chart = Dots(caption, "difference", rows, write, 0.0) if rows else None
    return found | {"tolerance": f"{scale * one['tolerance']:g} {unit}", "whole": one["slices"][ALL], "chart": chart}
