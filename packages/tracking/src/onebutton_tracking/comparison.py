"""Compare what a pipeline gave when it was made again with what was recorded: bytes first, metrics where bytes differ."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, NamedTuple

from onebutton_contracts.dvc_files import FINGERPRINTS

IDENTICAL = "identical"
WITHIN = "within tolerance"
DIFFERENT = "different"


class Row(NamedTuple):
    """One file or one metric, then and now, and a verdict; that of a file can be `other bytes`, too."""

    name: str
    then: str
    now: str
    verdict: str


class Comparison(NamedTuple):
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
        then: the stages of the recorded `dvc.lock`.
        now: those after every stage ran again.
        metrics_then: every recorded metric, by dotted name.
        metrics_now: every metric now.
        tolerance: the largest absolute difference of a metric that still counts as the same.
    """
    (inputs_then, outputs_then), (inputs_now, outputs_now) = sides(then), sides(now)
    inputs = _rows(inputs_then, inputs_now, DIFFERENT)
    outputs = _rows(outputs_then, outputs_now, "other bytes")
    same = all(row.verdict == IDENTICAL for row in outputs)
    metrics = [] if same else _metric_rows(metrics_then, metrics_now, tolerance)  # the same bytes hold the same metrics
    reasons = [f"the input {row.name} is another" for row in inputs if row.verdict != IDENTICAL]
    reasons += [f"{row.name} was not written" for row in outputs if not row.now]
    reasons += [f"{row.name} was not there before" for row in outputs if not row.then]
    reasons += [f"{row.name} is {row.now} and was {row.then}" for row in metrics if row.verdict == DIFFERENT]
    if not (same or metrics_then or reasons):
        reasons = ["outputs have other bytes, and there is no metric to judge them by"]
    verdict = DIFFERENT if reasons else IDENTICAL if same else WITHIN
    return Comparison(verdict, (*inputs, *outputs, *metrics), tuple(reasons))


def sides(lock: Mapping[str, Any]) -> tuple[dict[str, str], dict[str, str]]:
    """Take a `dvc.lock` apart: the MD5 of every file that comes from outside its stages, and of every one that they write."""
    read, written = (
        {
            entry["path"]: entry.get("md5", "")
            for stage in lock.values()
            for entry in stage.get(side, [])
            if not entry["path"].startswith(FINGERPRINTS)
        }
        for side in ("deps", "outs")
    )
    return {path: digest for path, digest in read.items() if path not in written}, written


def _rows(then: Mapping[str, str], now: Mapping[str, str], otherwise: str) -> list[Row]:
    pairs = [(path, then.get(path, ""), now.get(path, "")) for path in dict.fromkeys([*then, *now])]
    return [Row(path, old, new, IDENTICAL if old == new else otherwise) for path, old, new in pairs]


def _metric_rows(then: Mapping[str, float], now: Mapping[str, float], tolerance: float) -> list[Row]:
    rows = []
    for name in dict.fromkeys([*then, *now]):
        old, new = then.get(name), now.get(name)
        if old != new:
            near = old is not None and new is not None and abs(old - new) <= tolerance  # false for NaN
            then_words, now_words = ("(none)" if number is None else f"{number:.6g}" for number in (old, new))
            rows.append(Row(name, then_words, now_words, WITHIN if near else DIFFERENT))
    return rows


def page(comparison: Comparison) -> str:
    """Lay the rows out for a terminal."""
    cells = [(row.name, row.then[:12], row.now[:12], row.verdict) for row in comparison.rows]
    widths = [max(map(len, column)) for column in zip(*cells, strict=True)]
    return "\n".join(f"  {'  '.join(map(str.ljust, row, widths))}".rstrip() for row in cells)
