"""Write one pipeline's page of the report: the verdict, the slices, the gates, curves, comparisons and robustness."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from html import escape
from typing import Any

from onebutton_evaluation.card import compared_heading, gate_table
from onebutton_evaluation.catalogue import named
from onebutton_evaluation.charts import Dot, columns, curve, dots
from onebutton_evaluation.headline import headline
from onebutton_evaluation.influence import Metric
from onebutton_evaluation.pages import CLASSES, MARKS, document, marked, paragraph, section, table
from onebutton_evaluation.report_data import INDEX, Results, named_numbers
from onebutton_evaluation.verdicts import standing
from onebutton_evaluation.wording import number_words, percent

Slices = Mapping[str, Mapping[str, Any]]
WORST = 6  # slices in the small picture


def page(results: Results) -> str:
    """Write the page."""
    links = dict(results.around.links)
    if results.has_card:
        links = {"Model card": f"{results.name}.card.html", **links}
    listed = " · ".join(f'<a href="{escape(address)}">{escape(name)}</a>' for name, address in links.items())
    numbers = " · ".join(
        f"{escape(name)} <strong>{escape(words)}</strong>" for name, words in headline(results).items()
    )
    parts = [
        paragraph(results.title),
        banner(results),
        f'<p class="facts">{numbers}</p>',
        f"<p>{listed}</p>" if listed else "",
        _story(results),
        section("Gates", paragraph(f"Owner: {results.owner}."), gate_table(results.verdicts)),
        _by_slice(results),
        _curves(results),
        *(_compared(name, one, results.known) for name, one in results.comparison.items()),
        _compared_with_base(results),
        _robustness(results),
    ]
    note = "Written by make report from the results in this checkout. A 95 % interval holds the truth 95 times of 100."
    return document(results.name, [part for part in parts if part], back=INDEX, note=note)


def banner(results: Results) -> str:
    """Write what the verdicts come to, large."""
    result, words = standing(results.verdicts, draft=results.draft)
    mark = f'<span aria-hidden="true">{MARKS[result]} </span>'
    return f'<p class="big {CLASSES[result]}"><strong>{mark}{marked(words)}</strong></p>'


def _dot(name: str, number: Mapping[str, Any], rows: int, **extra: Any) -> Dot:
    return Dot(name, number["estimate"], number["low"], number["high"], rows, **extra)


def _judged(slices: Slices, metric: str) -> dict[str, Mapping[str, Any]]:
    """Keep the slices that have a metric with its interval."""
    return {
        name: one
        for name, one in slices.items()
        if metric in one["metrics"] and one["metrics"][metric]["low"] is not None
    }


def widest_group(slices: Slices) -> str | None:
    """Find the group of slices between which the share of the answer differs most."""
    spread: dict[str, list[float]] = {}
    for name, one in _judged(slices, "share").items():
        if name != "all":
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
    for name, one in _judged(slices, "share").items():
        if one["group"] == group:
            share, bias = one["metrics"]["share"], one["metrics"].get("bias")
            predicted = None if bias is None else share["estimate"] + bias["estimate"]
            rows.append(
                _dot(name.removeprefix(f"{group} "), share, one["rows"], second=predicted, second_word="predicted")
            )
    return rows


def picture(results: Results) -> str:
    """Draw the small picture of a summary: observed and predicted shares by group, else the slices with the worst metric."""
    slices = results.slices["slices"]
    group = widest_group(slices)
    if group is not None:
        label = _capital(results.slices["answer_label"])
        return columns(
            f"{label} by {group}: observed with 95 % interval ●, predicted ◇", _observed(slices, group), _round
        )
    metric = results.known[results.metric]
    worst = _ranked(slices, metric)[:WORST]
    if not worst:
        return ""
    rows = [_dot(name, slices[name]["metrics"][metric.name], slices[name]["rows"]) for name in worst]
    return columns(f"{metric.words} with 95 % interval, worst slices first", rows, lambda value: f"{value:.2f}")


def _round(value: float) -> str:
    return f"{100 * value:.0f} %"


def _capital(words: str) -> str:
    return words[:1].upper() + words[1:]


def _ranked(slices: Slices, metric: Metric) -> list[str]:
    """Sort the slices by a metric, the worst first; all rows together are no slice."""
    judged = {name: one for name, one in _judged(slices, metric.name).items() if name != "all"}
    return sorted(
        judged, key=lambda name: judged[name]["metrics"][metric.name]["estimate"], reverse=metric.better == "lower"
    )


def _story(results: Results) -> str:
    """Show the group of slices in which the share of the answer differs most: observed and predicted."""
    slices = results.slices["slices"]
    group = widest_group(slices)
    if group is None:
        return ""
    rows = _observed(slices, group)
    low, high = (choose(rows, key=lambda row: row.estimate) for choose in (min, max))
    training = results.metrics.get("training")
    known = training.get("share") if isinstance(training, Mapping) else None
    known = known if isinstance(known, int | float) else None
    label = results.slices["answer_label"]
    words = f"From {percent(low.estimate)} in {low.name} to {percent(high.estimate)} in {high.name}"
    words += "." if known is None else f"; in training {percent(known)}."
    legend = '<p class="soft" aria-hidden="true"><span class="key"></span>observed, with 95 % interval '
    legend += '&nbsp; <span class="key second"></span>predicted'
    legend += "" if known is None else ' &nbsp; <span class="key ref"></span>in training'
    chart = dots(f"Share of {label}, observed and predicted", "observed", rows, percent, reference=known)
    return section(f"{_capital(label)} by {group}", f"<p><strong>{escape(words)}</strong></p>", f"{legend}</p>", chart)


def _by_slice(results: Results) -> str:
    metric, slices = results.known[results.metric], results.slices["slices"]
    ranked, whole = _ranked(slices, metric), slices["all"]["metrics"].get(metric.name)
    if not ranked or whole is None:
        return ""
    rows = [_dot(name, slices[name]["metrics"][metric.name], slices[name]["rows"]) for name in ranked]
    few = [f"{name} ({one['rows']:,} rows)" for name, one in slices.items() if name not in ranked and name != "all"]
    overall = (
        f"On all rows {metric.words} is {number_words(metric, whole)}, the dotted line; the worst slice stands first."
    )
    chart = dots(
        f"{metric.words} by slice, worst first", metric.words, rows, _four(metric), reference=whole["estimate"]
    )
    unit = f"Rows of one {results.slices['unit']} count as one observation." if results.slices["unit"] != "row" else ""
    return section(
        f"{metric.words} by slice",
        paragraph(f"{overall} {unit}"),
        chart,
        paragraph(f"Not enough data: {', '.join(few)}.", "few") if few else "",
    )


def _four(metric: Metric) -> Callable[[float], str]:
    digits = 3 if metric.in_points else 4
    return lambda value: f"{value:.{digits}f}"


def _curves(results: Results) -> str:
    figures = []
    roc, calibration = results.curves.get("roc"), results.curves.get("calibration")
    if roc:
        words = "How many of the cases are found at the price of how many false alarms; the diagonal is chance."
        axes = [(name.replace("_", " "), roc[name]) for name in ("false_positive_rate", "true_positive_rate")]
        figures.append(curve("ROC", words, *axes, dots=False))
    if calibration:
        pairs = list(zip(calibration["predicted"], calibration["observed"], strict=True))
        furthest = max(pairs, key=lambda pair: abs(pair[0] - pair[1]))
        apart = f"{percent(furthest[0])} predicted, {percent(furthest[1])} observed"
        words = f"Predicted and observed share, which meet on the diagonal; furthest apart at {apart}."
        axes = [(name, calibration[name]) for name in ("predicted", "observed")]
        figures.append(curve("Calibration", words, *axes, dots=True))
    return section("Curves", f'<div class="curves">{"".join(figures)}</div>') if figures else ""


def _compared(name: str, one: Mapping[str, Any], known: Mapping[str, Metric]) -> str:
    heading = compared_heading(name)
    if "slices" not in one:
        return section(heading, paragraph(f"{one['in_words']}."))
    metric = named(known, one["metric"])
    scale, digits = (100.0, 1) if metric.in_points else (1.0, 4)
    rows = []
    for key, part in one["slices"].items():
        difference = part.get("difference")
        if difference and difference["low"] is not None:
            estimate, low, high = (scale * difference[end] for end in ("estimate", "low", "high"))
            place = "all rows" if key == "all" else key
            rows.append(Dot(place, estimate, low, high, part["rows"], word=part["verdict"]))
    rows = [*rows[:1], *sorted(rows[1:], key=lambda row: row.estimate)]
    unit = "points" if scale > 1 else metric.words
    overall = one["slices"]["all"]
    seen = ""
    if overall.get("rows_needed"):
        seen = (
            f"To see a difference of {scale * one['tolerance']:g} {unit} on all rows, {overall['rows_needed']:,} rows like "
            f"these are needed; there are {overall['rows']:,}."
        )
    told = "Right of the line is better. Verdicts allow for the number of slices, so they ask for more than one interval does."
    chart = dots(
        f"Difference in {metric.words}, {unit}", "difference", rows, lambda value: f"{value:+.{digits}f}", reference=0.0
    )
    words = one["in_words"]
    return section(heading, f"<p><strong>{escape(_capital(words))}.</strong></p>", paragraph(f"{told} {seen}"), chart)


def _compared_with_base(results: Results) -> str:
    base, other = results.around.base.removeprefix("origin/"), results.around.other
    heading = f"Compared with {base}"
    if other is None:
        return section(heading, paragraph(f"{base} has no metrics of this pipeline here, so nothing is compared."))
    before, now = named_numbers(other), named_numbers(results.metrics)
    changed = [
        [escape(name), _shown(before.get(name)), _shown(now.get(name)), _change(before.get(name), now.get(name))]
        for name in dict.fromkeys((*now, *before))
        if before.get(name) != now.get(name)
    ]
    if not changed:
        return section(heading, paragraph(f"Every metric is as on {base}."))
    return section(
        heading, table(f"Metrics that differ from {base}", ["metric", f"#{base}", "#here", "#change"], changed)
    )


def _shown(value: float | None) -> str:
    if value is None:
        return "none"
    return f"{value:,}" if isinstance(value, int) else f"{value:.4f}"


def _change(before: float | None, now: float | None) -> str:
    return "" if before is None or now is None else f"{now - before:+,.4g}"


def _robustness(results: Results) -> str:
    shown = [
        results.known[name] for name in dict.fromkeys((results.metric, "log_loss", "bias")) if name in results.known
    ]
    whole = results.slices["slices"]["all"]["metrics"]
    judged = {"inputs as they are": whole, **results.robustness["perturbed"]}
    rows = [
        [escape(how), *(number_words(metric, numbers.get(metric.name)) for metric in shown)]
        for how, numbers in judged.items()
    ]
    noise = results.robustness["label_noise"]
    return section(
        "When inputs fail",
        table("The model on perturbed inputs", ["inputs", *(f"#{metric.words}" for metric in shown)], rows),
        paragraph(
            f"{percent(noise)} of the answers look wrong by confident learning; a jump here means mixed-up answers."
        )
        if noise is not None
        else "",
    )
