"""Sum up a pipeline in three numbers: its metric with the interval, the baseline's beside it, the change since another commit."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from onebutton_contracts.errors import InputError
from onebutton_evaluation.report_data import Around, Results, named_numbers, read_results
from onebutton_evaluation.verdicts import standing
from onebutton_evaluation.wording import with_interval

CHANGE = "Change since"
BASE_RATE = "base_rate"  # of metrics.json: what always predicting the mean answer reaches


def headline(results: Results) -> dict[str, str]:
    """Write the numbers that stand first, by what they are; what is not known is left out."""
    metric = results.decides
    whole = results.slices["slices"]["all"]["metrics"].get(metric.name)
    lines = {metric.words: "not enough data" if whole is None else with_interval(whole)}
    if baseline := _baseline(results, metric.name):
        name, number = baseline
        lines[f"Baseline ({name})"] = with_interval(number)
    base = results.around.base.removeprefix("origin/")
    lines[f"{CHANGE} {base}"] = _change(results, metric.name, base)
    if results.around.made:
        lines["Result"] = results.around.made
    return lines


def summary(folder: Path) -> str:
    """Sum up a pipeline in a line for a terminal; empty where its results cannot be read."""
    try:
        results = read_results(folder, Around())
    except InputError:
        return ""
    numbers = [f"{name} {words}." for name, words in headline(results).items() if not name.startswith(CHANGE)]
    return f"{' '.join(numbers)} {standing(results.verdicts, draft=results.draft)[1]}"


def _baseline(results: Results, metric: str) -> tuple[str, Mapping[str, Any]] | None:
    """Find the simpler model that a gate compares with, else the base rate."""
    for name, one in results.comparison.items():
        if name != "champion" and one.get("metric") == metric and one.get("theirs"):
            return name.replace("_", " "), one["theirs"]
    alone = named_numbers(results.metrics).get(f"{BASE_RATE}.{metric}")
    return None if alone is None else (BASE_RATE.replace("_", " "), {"estimate": alone})


def _change(results: Results, metric: str, base: str) -> str:
    if results.around.other is None:
        return f"new: {base} has no result"
    now, before = (named_numbers(tree).get(f"model.{metric}") for tree in (results.metrics, results.around.other))
    if now is None or before is None:
        return f"not known: metrics.json has no number model.{metric}"
    return "none" if now == before else f"{now - before:+.2g}, was {before:.3f}"
