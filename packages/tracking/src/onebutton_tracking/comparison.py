"""Compare what a pipeline gave when it was made again with what was recorded: bytes first, metrics where bytes differ."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any, NamedTuple

from onebutton_contracts.dvc_files import FINGERPRINTS

IDENTICAL = "identical"
WITHIN = "within tolerance"
DIFFERENT = "different"
OTHER = "other bytes"


class Row(NamedTuple):
    """One file or one metric, then and now, and a verdict."""

    name: str
    then: str
    now: str
    verdict: str


def compare(
    then: Mapping[str, Any],
    now: Mapping[str, Any],
    metrics_then: Mapping[str, float],
    metrics_now: Mapping[str, float],
    tolerance: float,
) -> tuple[list[Row], list[str]]:
    """Compare two states of a pipeline, by the stages of their `dvc.lock` and their metrics.

    Returns:
        Every file and each metric that differs; and in words what speaks against the two being one. Other bytes do not, where
        no metric differs by more than the absolute `tolerance`.
    """
    inputs = list(_files(read_by(then), read_by(now)))
    outputs = list(_files(_digests(then, "outs"), _digests(now, "outs")))
    same = all(row.verdict == IDENTICAL for row in outputs)
    metrics = [] if same else list(_metrics(metrics_then, metrics_now, tolerance))
    reasons = [f"the input {row.name} is another" for row in inputs if row.verdict != IDENTICAL]
    reasons += [f"{row.name} was not written" for row in outputs if not row.now]
    reasons += [f"{row.name} was not there before" for row in outputs if not row.then]
    reasons += [f"{row.name} is {row.now} and was {row.then}" for row in metrics if row.verdict == DIFFERENT]
    if not (same or metrics_then or reasons):
        reasons = ["outputs have other bytes, and there is no metric to judge them by"]
    return [*inputs, *outputs, *metrics], reasons


def verdict(rows: Sequence[Row], reasons: Sequence[str]) -> str:
    """Say in a word what a comparison came to."""
    if reasons:
        return DIFFERENT
    return IDENTICAL if all(row.verdict == IDENTICAL for row in rows) else WITHIN


def _digests(lock: Mapping[str, Any], side: str) -> dict[str, str]:
    entries = [entry for stage in lock.values() for entry in stage.get(side, [])]
    return {one["path"]: one.get("md5", "") for one in entries if not one["path"].startswith(FINGERPRINTS)}


def read_by(lock: Mapping[str, Any]) -> dict[str, str]:
    """List the MD5 of every file that comes from outside the stages of a `dvc.lock`."""
    written = _digests(lock, "outs")
    return {path: digest for path, digest in _digests(lock, "deps").items() if path not in written}


def _files(then: Mapping[str, str], now: Mapping[str, str]) -> Iterator[Row]:
    for path in dict.fromkeys([*then, *now]):
        old, new = then.get(path, ""), now.get(path, "")
        yield Row(path, old, new, IDENTICAL if old == new else OTHER)


def _metrics(then: Mapping[str, float], now: Mapping[str, float], tolerance: float) -> Iterator[Row]:
    for name in dict.fromkeys([*then, *now]):
        old, new = then.get(name), now.get(name)
        if old != new:
            near = old is not None and new is not None and abs(old - new) <= tolerance  # false for NaN
            before, after = ("(none)" if number is None else f"{number:.6g}" for number in (old, new))
            yield Row(name, before, after, WITHIN if near else DIFFERENT)


def page(rows: Sequence[Row]) -> str:
    """Lay the rows out for a terminal."""
    cells = [(row.name, row.then[:12], row.now[:12], row.verdict) for row in rows]
    widths = [max(map(len, column)) for column in zip(*cells, strict=True)]
    return "\n".join(f"  {'  '.join(map(str.ljust, row, widths))}".rstrip() for row in cells)
