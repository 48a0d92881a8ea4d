"""Write the report: an index, a page per pipeline and its card, plain files that open without a server or a network."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from onebutton_contracts.errors import InputError
from onebutton_evaluation.card import read_card
from onebutton_evaluation.catalogue import named
from onebutton_evaluation.charts import Dot, Dots, Plot, columns, importance, plots, residuals_by_slice
from onebutton_evaluation.influence import Metric
from onebutton_evaluation.judgement import write_text
from onebutton_evaluation.pages import render
from onebutton_evaluation.report_data import INDEX, Around, Results, headline, named_numbers, read_results
from onebutton_evaluation.slices import ALL, ranked
from onebutton_evaluation.verdicts import standing
from onebutton_evaluation.wording import alike, capital, compared_heading, percent, tick

WORST = 6  # slices in the small picture, and confusions


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
        links = {}
        if (folder / "card.html").is_file():
            links = {"Model card": f"{folder.name}.card.html"}
            write_text(target / links["Model card"], _card(folder, results))
        links |= around.links
        write_text(target / f"{folder.name}.html", page(results, links))
        summaries.append({**summary(results), "links_to": {"Gates, slices and curves": f"{folder.name}.html", **links}})
    write_text(target / INDEX, render("index.html", heading="Report", summaries=summaries, refused=refused))
    return [f"{name}: {why}" for name, why in refused.items()]


def _card(folder: Path, results: Results) -> str:
    """Write the card with the verdicts of the page beside it, as the server may have been measured since its stage ran."""
    try:
        card = read_card(folder, results.said)
    except InputError:  # the model is not here, and nothing was measured with it
        return (folder / "card.html").read_text(encoding="utf-8")
    now = {"verdicts": results.verdicts, "standing": standing(results.verdicts, draft=results.draft)}
    return render("card.html", **card | now)


def page(results: Results, links: Mapping[str, str] | None = None) -> str:
    """Write the page."""
    confused = results.curves.get("confusion", ())
    wrong = [cell for cell in confused if cell["answer"] != cell["called"] and cell["rows"]]
    metrics = dict.fromkeys((results.decides.name, "log_loss", "bias"))
    return render(
        "report.html",
        **summary(results),
        heading=results.name,
        back=INDEX,
        links_to=links or {},
        story=_story(results),
        by_slice=_by_slice(results),
        metrics=[named(results.known, name) for name in results.slices["slices"]["all"]["metrics"]],
        plots=plots(results.curves, results.axes),
        costly=sorted(wrong, key=lambda cell: -cell["log_loss"])[:WORST],
        errors=residuals_by_slice(results.curves.get("residuals_by_slice", ())),
        importance=importance(results.curves.get("importance", ()), results.decides),
        compared=[_compared(name, one, results.known) for name, one in results.comparison.items()],
        changed=_changed(results),
        tried=[results.known[name] for name in metrics if name in results.known],
    )


def summary(results: Results) -> dict[str, Any]:
    """Collect a pipeline's part of the index."""
    return {
        "results": results,
        "headline": headline(results),
        "standing": standing(results.verdicts, draft=results.draft),
        "picture": picture(results),
    }


def _dot(name: str, one: Mapping[str, Any], metric: str, **more: Any) -> Dot:
    number = one["metrics"][metric]
    return Dot(name, number["estimate"], number["low"], number["high"], one["rows"], **more)


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
            groups.setdefault(one["group"], []).append(_dot(_short(name, one), one, "share", predicted=predicted))
    ends = {group: sorted(rows, key=lambda row: row.estimate) for group, rows in groups.items() if len(rows) > 1}
    if not ends:
        return None
    group = max(ends, key=lambda group: ends[group][-1].estimate - ends[group][0].estimate)
    caption = f"Share of {results.slices['answer_label']}, observed and predicted"
    known = named_numbers(results.metrics).get("training.share")
    chart = Dots(caption, "observed", groups[group], percent, known)
    return {"group": group, "low": ends[group][0], "high": ends[group][-1], "chart": chart}


def picture(results: Results) -> Plot | None:
    """Draw the small picture of a summary: observed and predicted shares by group, else the slices with the worst metric."""
    if story := _story(results):
        label = capital(results.slices["answer_label"])
        title = f"{label} by {story['group']}: observed with 95 % interval ●, predicted ◇"
        return columns(title, story["chart"].rows, tick)
    metric, slices = results.decides, results.slices["slices"]
    worst = [_dot(_short(name, slices[name]), slices[name], metric.name) for name in ranked(slices, metric)[:WORST]]
    return columns(f"{metric.words} with 95 % interval, worst slices first", worst) if worst else None


def _by_slice(results: Results) -> dict[str, Any] | None:
    """Show the metric that decides on every slice, the worst first."""
    metric, slices = results.decides, results.slices["slices"]
    rows = [_dot(name, slices[name], metric.name) for name in ranked(slices, metric)]
    whole = slices["all"]["metrics"].get(metric.name)
    if not rows or whole is None:
        return None
    shown = {row.name for row in rows}
    write = alike([end for row in rows for end in (row.low, row.high)], 3 if metric.in_points else 4)
    return {
        "chart": Dots(f"{metric.words} by slice, worst first", metric.words, rows, write, whole["estimate"]),
        "whole": whole,
        "few": [f"{name} ({one['rows']:,} rows)" for name, one in slices.items() if name not in shown | {"all"}],
        "methods": list(dict.fromkeys(slices[row.name]["metrics"][metric.name]["method"] for row in rows)),
    }


def _compared(name: str, one: Mapping[str, Any], known: Mapping[str, Metric]) -> dict[str, Any]:
    found = {"heading": compared_heading(name), "words": one["in_words"], "chart": None}
    if "slices" not in one:
        return found
    metric = named(known, one["metric"])
    scale, unit = (100.0, "points") if metric.in_points else (1.0, metric.words)
    rows = []
    for key, part in one["slices"].items():
        difference = part.get("difference")
        if difference and difference["low"] is not None:
            low, here, high = (scale * difference[end] for end in ("low", "estimate", "high"))
            rows.append(Dot("all rows" if key == "all" else key, here, low, high, part["rows"], word=part["verdict"]))
    rows = [*rows[:1], *sorted(rows[1:], key=lambda row: row.estimate)]
    write = alike([end for row in rows for end in (row.low, row.high)], 1 if metric.in_points else 4, "+")
    caption = f"Difference in {metric.words}{', points' if metric.in_points else ''}"
    chart = Dots(caption, "difference", rows, write, 0.0) if rows else None
    return found | {"tolerance": f"{scale * one['tolerance']:g} {unit}", "whole": one["slices"]["all"], "chart": chart}


def _changed(results: Results) -> list[tuple[str, float | None, float | None]]:
    """List the metrics that differ from those of another commit: there and here."""
    before, now = named_numbers(results.around.other or {}), named_numbers(results.metrics)
    both = ((name, before.get(name), now.get(name)) for name in dict.fromkeys((*now, *before)))
    return [(name, there, here) for name, there, here in both if there != here]
