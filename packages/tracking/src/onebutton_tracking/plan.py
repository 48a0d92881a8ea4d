"""Read a plan, `dvc.yaml`, as DVC ran it: with what `foreach`, `matrix` and `${…}` became, and the files that it declares."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import Any

OUTPUTS = ("outs", "metrics", "plots")
FILLED_IN = re.compile(r"\\\$\\\{.*?\\\}")  # a `${…}` in a pattern that was escaped


def as_run(plan: Mapping[str, Any], lock: Mapping[str, Any]) -> dict[str, Any]:
    """Put in place of each stage that DVC fills in those that it made of it, `name@key`, and the files that these wrote.

    Args:
        plan: the content of a `dvc.yaml`.
        lock: the content of the `dvc.lock` beside it, which tells what they became.

    Returns:
        The plan; a stage that says itself what it writes stays as it is.
    """
    stages: dict[str, Any] = {}
    for name, stage in (plan.get("stages") or {}).items():
        if not is_filled_in(stage):
            stages[name] = stage
            continue
        body = stage.get("do", stage)
        for run, done in (lock.get("stages") or {}).items():
            if run.partition("@")[0] == name:
                written = [out["path"] for out in done.get("outs", [])]
                stages[run] = {**body, **{kind: _written(body.get(kind) or [], written) for kind in OUTPUTS}}
    return {**plan, "stages": stages}


def is_filled_in(stage: Mapping[str, Any]) -> bool:
    """Tell whether only DVC knows what a stage of a plan becomes."""
    return "do" in stage or "matrix" in stage or "${" in str(stage)


def _written(entries: Sequence[str | dict[str, Any]], written: Sequence[str]) -> list[str | dict[str, Any]]:
    """Name the files that entries became; an entry keeps its options."""
    found: list[str | dict[str, Any]] = []
    for entry, name in zip(entries, declared_names(entries), strict=True):
        pattern = re.compile(FILLED_IN.sub(".+", re.escape(name)))
        files = filter(pattern.fullmatch, written)
        found += [file if isinstance(entry, str) else {file: entry[name]} for file in files]
    return found


def prefix_of(stage: str) -> str:
    """Return the prefix of a stage's metrics: `key.` for a stage `name@key`, empty for any other."""
    key = re.sub(r"[^\w./ -]", "_", stage.partition("@")[2])
    return f"{key}." if key else ""


def declared_names(entries: Sequence[str | dict[str, Any]]) -> list[str]:
    """Take the files out of a list of a `dvc.yaml`, where an entry may carry options."""
    return [entry if isinstance(entry, str) else next(iter(entry)) for entry in entries]


def declared_plots(plan: Mapping[str, Any]) -> dict[str, dict[str, Any]]:
    """List the plots that a `dvc.yaml` declares, at its stages or at its end, each with its options."""
    plots: dict[str, dict[str, Any]] = {}
    stages = (plan.get("stages") or {}).values()
    for entry in [*(entry for stage in stages for entry in stage.get("plots", [])), *plan.get("plots", [])]:
        plots |= {entry: {}} if isinstance(entry, str) else entry
    return plots


def kept_in_git(stage: Mapping[str, Any]) -> list[str]:
    """List the outputs of a stage that DVC does not cache: they are committed."""
    entries = [entry for kind in OUTPUTS for entry in stage.get(kind) or [] if isinstance(entry, dict)]
    return declared_names([entry for entry in entries if (next(iter(entry.values())) or {}).get("cache") is False])
