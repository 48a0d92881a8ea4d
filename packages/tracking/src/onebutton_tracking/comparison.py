"""Compare what a pipeline gave when it was made again with what was recorded: bytes first, metrics where bytes differ."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from onebutton_contracts.dvc_files import FINGERPRINTS

IDENTICAL = "identical"
WITHIN = "within tolerance"
DIFFERENT = "different"


def compare(
    then: Mapping[str, Any],
    now: Mapping[str, Any],
    metrics_then: Mapping[str, float],
    metrics_now: Mapping[str, float],
    tolerance: float,
) -> tuple[str, list[str]]:
    """Compare two states of a pipeline, by the stages of their `dvc.lock` and their metrics.

    Returns:
        `identical`; `within tolerance` when outputs have other bytes and no metric differs by more than the absolute
        `tolerance`; or `different`. And in words all that differs, what speaks against the two being one before the rest.
    """
    inputs, inputs_now = read_by(then), read_by(now)
    outputs, outputs_now = _digests(then, "outs"), _digests(now, "outs")
    wrong = [f"the input {path} is another" for path in inputs | inputs_now if inputs.get(path) != inputs_now.get(path)]
    wrong += [f"{path} was not written" for path in outputs if path not in outputs_now]
    wrong += [f"{path} was not there before" for path in outputs_now if path not in outputs]
    other = [f"{path} has other bytes" for path in outputs if outputs[path] != outputs_now.get(path, outputs[path])]
    if other and not metrics_then:
        wrong.append("there is no metric to judge them by")
    for name in {**metrics_then, **metrics_now} if other or wrong else ():
        old, new = metrics_then.get(name), metrics_now.get(name)
        if old != new:
            before, after = ("(none)" if number is None else f"{number:.6g}" for number in (old, new))
            near = old is not None and new is not None and abs(old - new) <= tolerance  # false for NaN
            (other if near else wrong).append(f"{name} is {after} and was {before}")
    return DIFFERENT if wrong else WITHIN if other else IDENTICAL, [*wrong, *other]


def _digests(lock: Mapping[str, Any], side: str) -> dict[str, str]:
    entries = [entry for stage in lock.values() for entry in stage.get(side, [])]
    return {one["path"]: one.get("md5", "") for one in entries if not one["path"].startswith(FINGERPRINTS)}


def read_by(lock: Mapping[str, Any]) -> dict[str, str]:
    """List the MD5 of every file that comes from outside the stages of a `dvc.lock`."""
    written = _digests(lock, "outs")
    return {path: digest for path, digest in _digests(lock, "deps").items() if path not in written}
