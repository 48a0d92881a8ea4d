"""Read a plan, `dvc.yaml`, as DVC ran it: with what `foreach`, `matrix` and `${…}` became."""

from __future__ import annotations

import re
from collections.abc import Mapping
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


def _written(entries: list[str | dict[str, Any]], written: list[str]) -> list[str | dict[str, Any]]:
    """Name the files that entries became; an entry keeps its options."""
    found: list[str | dict[str, Any]] = []
    for entry in entries:
        name = entry if isinstance(entry, str) else next(iter(entry))
        pattern = re.compile(FILLED_IN.sub(".+", re.escape(name)))
        files = (file for file in written if pattern.fullmatch(file))
        found += [file if isinstance(entry, str) else {file: entry[name]} for file in files]
    return found


def prefix_of(stage: str) -> str:
    """Return the prefix of a stage's metrics: `key.` for a stage `name@key`, empty for any other."""
    key = re.sub(r"[^\w./ -]", "_", stage.partition("@")[2])
    return f"{key}." if key else ""
