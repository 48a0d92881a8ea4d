"""Write one pipeline's page of the report: the verdict, the slices, the gates, curves, comparisons and robustness."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from onebutton_evaluation.catalogue import named
from onebutton_evaluation.charts import Dot, Dots, Plot, columns
from onebutton_evaluation.headline import headline
from onebutton_evaluation.influence import Metric
from onebutton_evaluation.pages import render
from onebutton_evaluation.report_data import INDEX, Results, named_numbers
from onebutton_evaluation.report_plots import importance, plots, residuals_by_slice
from onebutton_evaluation.slices import ranked
from onebutton_evaluation.verdicts import standing
from onebutton_evaluation.wording import alike, capital, compared_heading, percent, tick

Slices = Mapping[str, Mapping[str, Any]]
WORST = 6  # slices in the small picture, and confusions


def page(results: Results) -> str:
    """Write the page."""
    card = {"Model card": f"{results.name}.card.html"} if results.has_card else {}
    metric = results.decides.name
    confused = results.curves.get("confusion", ())
    wrong = [cell for cell in confused if cell["answer"] != cell["called"] and cell["rows"]]
    return render(
        "report.html",
        **summary(results),
        heading=results.name,
        back=INDEX,
        links_to={**card, **results.around.links},
        story=_story(results),
        by_slice=_by_slice(results),
        metrics=[named(results.known, name) for name in results.slices["slices"]["all"]["metrics"]],
        plots=plots(results.curves, results.axes),
        costly=sorted(wrong, key=lambda cell: -cell["log_loss"])[:WORST],
        errors=residuals_by_slice(results.curves),
        importance=importance(results.curves, results.decides),
        compared=[_compared(name, one, results.known) for name, one in results.comparison.items()],
        changed=_changed(results),
        tried=[results.known[name] for name in dict.fromkeys((metric, "log_loss", "bias")) if name in results.known],
    )


def summary(results: Results) -> dict[str, Any]:
    """Collect a pipeline's part of the index."""
    return {
        "results": results,
        "headline": headline(results),
        "standing": standing(results.verdicts, draft=results.draft),
        "picture": picture(results),
    }


def _dot(name: str, number: Mapping[str, Any], rows: int, **extra: Any) -> Dot:
    return Dot(name, number["estimate"], number["low"], number["high"], rows, **extra)


def _with_interval(slices: Slices, metric: str) -> dict[str, Mapping[str, Any]]:
    """Keep the slices that have a metric with its interval; all rows together are no slice."""
    kept = {name: one for name, one in slices.items() if name != "all" and metric in one["metrics"]}
    return {name: one for name, one in kept.items() if one["metrics"][metric]["low"] is not None}


def widest_group(slices: Slices) -> str | None:
    """Find the group of slices between which the share of the answer differs most."""
    spread: dict[str, list[float]] = {}
    for one in _with_interval(slices, "share").values():
        spread.setdefault(one["group"], []).append(one["metrics"]["share"]["estimate"])
    several = {
        group: max(values) - min(values)
        for group, values in spread.items()
        if len(values) > 1 and group != "conditions"
    }
    return max(several, key=lambda group: several[group]) if several else None


def _observed(slices: Slices, group: str) -> list[Dot]:
    """Set the observed share of each slice of a group beside the predicted one, in the order of the slices."""
    rows = []
    for name, one in _with_interval(slices, "share").items():
        if one["group"] == group:
            share, bias = one["metrics"]["share"], one["metrics"].get("bias")
            predicted = None if bias is None else share["estimate"] + bias["estimate"]
            rows.append(_dot(_short(name, slices), share, one["rows"], second=predicted, second_word="predicted"))
    return rows


def _short(name: str, slices: Slices) -> str:
    """Leave out the group in the name of a slice: `July` of `month July`."""
    return name.removeprefix(f"{slices[name]['group']} ")


def _slice_dots(results: Results) -> list[Dot]:
    """List the slices with the metric that decides, the worst first."""
    slices = results.slices["slices"]
    names = ranked(slices, results.decides)
    return [_dot(name, slices[name]["metrics"][results.decides.name], slices[name]["rows"]) for name in names]


def picture(results: Results) -> Plot | None:
    """Draw the small picture of a summary: observed and predicted shares by group, else the slices with the worst metric."""
    slices = results.slices["slices"]
    if group := widest_group(slices):
        label = capital(results.slices["answer_label"])
        title = f"{label} by {group}: observed with 95 % interval ●, predicted ◇"
        return columns(title, _observed(slices, group), tick)
    worst = [replace(dot, name=_short(dot.name, slices)) for dot in _slice_dots(results)[:WORST]]
    return columns(f"{results.decides.words} with 95 % interval, worst slices first", worst) if worst else None


def _story(results: Results) -> dict[str, Any] | None:
    """Show the group of slices in which the share of the answer differs most: observed and predicted."""
    group = widest_group(results.slices["slices"])
    if group is None:
        return None
    rows = _observed(results.slices["slices"], group)
    training = results.metrics.get("training")
    known = training.get("share") if isinstance(training, Mapping) else None
    reference = known if isinstance(known, int | float) else None
    chart = Dots(
        f"Share of {results.slices['answer_label']}, observed and predicted", "observed", rows, percent, reference
    )
    low, high = (choose(rows, key=lambda row: row.estimate) for choose in (min, max))
    return {"group": group, "low": low, "high": high, "chart": chart}


def _by_slice(results: Results) -> dict[str, Any] | None:
    """Show the metric that decides on every slice, the worst first."""
    metric, slices, rows = results.decides, results.slices["slices"], _slice_dots(results)
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
