"""Compare what a pipeline gave when it was made again with what was recorded: bytes first, metrics where bytes differ."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from onebutton_tracking.results import FINGERPRINTS

IDENTICAL = "identical"
WITHIN = "within tolerance"
DIFFERENT = "different"


@dataclass(frozen=True)
class Row:
    """One file or one metric, then and now.

    Attributes:
        verdict: `identical`, `within tolerance` or `different`; of a file `other bytes`.
    """

    name: str
    then: str
    now: str
    verdict: str


@dataclass(frozen=True)
class Comparison:
    """The outcome.

    Attributes:
        verdict: `identical` when every byte is; `within tolerance` when outputs have other bytes and every metric is near enough;
            `different` otherwise.
        rows: every file, and each metric that differs.
        reasons: what speaks against it, in words; empty unless the verdict is `different`.
    """

    verdict: str
    rows: tuple[Row, ...]
    reasons: tuple[str, ...] = ()


def compare(
    then: Mapping[str, Any],
    now: Mapping[str, Any],
    metrics_then: Mapping[str, float],
    metrics_now: Mapping[str, float],
    tolerance: float,
) -> Comparison:
    """Compare two states of a pipeline.

    Args:
        then: the recorded `dvc.lock`.
        now: the `dvc.lock` after every stage ran again.
        metrics_then: every recorded metric, by dotted name.
        metrics_now: every metric now.
        tolerance: the largest absolute difference of a metric that still counts as the same.

    Returns:
        A row for every file of either, and for every metric that differs.
    """
    inputs_then, outputs_then = sides(then)
    inputs_now, outputs_now = sides(now)
    inputs = _rows(inputs_then, inputs_now, DIFFERENT)
    outputs = _rows(outputs_then, outputs_now, "other bytes")
    same = all(row.verdict == IDENTICAL for row in outputs)
    metrics = [] if same else _metric_rows(metrics_then, metrics_now, tolerance)  # the same bytes hold the same metrics
    reasons = [f"the input {row.name} is another" for row in inputs if row.verdict != IDENTICAL]
    reasons += [f"{row.name} was not written" for row in outputs if not row.now]
    reasons += [f"{row.name} was not there before" for row in outputs if not row.then]
    reasons += [f"{row.name} is {row.now} and was {row.then}" for row in metrics if row.verdict == DIFFERENT]
    rows = (*inputs, *outputs, *metrics)
    if reasons:
        return Comparison(DIFFERENT, rows, tuple(reasons))
    if same:
        return Comparison(IDENTICAL, rows)
    if not metrics_then:
        return Comparison(DIFFERENT, rows, ("outputs have other bytes, and there is no metric to judge them by",))
    return Comparison(WITHIN, rows)


def sides(lock: Mapping[str, Any]) -> tuple[dict[str, str], dict[str, str]]:
    """Take a `dvc.lock` apart: the MD5 of every file that comes from outside its stages, and of every one that they write."""
    outputs = _digests(lock, "outs")
    inputs = {path: digest for path, digest in _digests(lock, "deps").items() if path not in outputs}
    return inputs, outputs


def _digests(lock: Mapping[str, Any], side: str) -> dict[str, str]:
    entries = [entry for stage in lock["stages"].values() for entry in stage.get(side, [])]
    return {entry["path"]: entry.get("md5", "") for entry in entries if not entry["path"].startswith(FINGERPRINTS)}


def _rows(then: Mapping[str, str], now: Mapping[str, str], otherwise: str) -> list[Row]:
    paths = dict.fromkeys([*then, *now])
    pairs = [(path, then.get(path, ""), now.get(path, "")) for path in paths]
    return [Row(path, old, new, IDENTICAL if old == new else otherwise) for path, old, new in pairs]


def _metric_rows(then: Mapping[str, float], now: Mapping[str, float], tolerance: float) -> list[Row]:
    rows = []
    for name in dict.fromkeys([*then, *now]):
        old, new = then.get(name), now.get(name)
        if old is None or new is None:
            rows.append(Row(name, _number(old), _number(new), DIFFERENT))
        elif old != new:
            near = abs(old - new) <= tolerance  # false for NaN
            rows.append(Row(name, _number(old), _number(new), WITHIN if near else DIFFERENT))
    return rows


def _number(number: float | None) -> str:
    return "(none)" if number is None else f"{number:.6g}"


def page(comparison: Comparison) -> str:
    """Lay the rows out for a terminal."""
    cells = [(row.name, row.then[:12], row.now[:12], row.verdict) for row in comparison.rows]
    widths = [max((len(cell[place]) for cell in cells), default=0) for place in range(4)]
    return "\n".join(
        "  " + "  ".join(text.ljust(width) for text, width in zip(cell, widths, strict=True)).rstrip() for cell in cells
    )
