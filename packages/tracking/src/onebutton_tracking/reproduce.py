"""Make the results of a run again, from its commit and nothing else, and compare every output. The work of `make reproduce`.

A worktree at that commit, the locked environment, every stage by force: the person's own tree is not touched, and the worktree is
gone afterwards.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from onebutton_tracking.comparison import DIFFERENT, Comparison, compare, page, sides
from onebutton_tracking.record import Record, records
from onebutton_tracking.results import Results, collect, read_lock, read_yaml
from onebutton_tracking.worktree import check_possible, prepare, run_stages, worktree


def other_inputs(lock: Mapping[str, Any], folder: Path) -> list[str]:
    """Name the inputs whose bytes are not those that a `dvc.lock` recorded: DVC takes what stands in its cache at its word."""
    found = []
    for path, digest in sides(lock)[0].items():
        file = folder / path
        if file.is_file() and hashlib.md5(file.read_bytes()).hexdigest() != digest:  # noqa: S324  DVC's own hash
            found.append(
                f"the input {path} does not hold the bytes that were recorded; somebody changed it in the cache"
            )
    return found


def reproduce(record: Record, root: Path) -> Comparison:
    """Make the results of a record again and compare.

    Raises:
        NotReproducedError: it could not be done.
        ResultsError: the results cannot be read.
    """
    check_possible(record, root)
    patched = " and its patch" if record.patch else ""
    print(f"reproduce: {record.name} from commit {record.sha[:12]}{patched}, in a worktree", flush=True)
    with worktree(root, record.sha) as tree:
        folder = tree / "pipelines" / record.pipeline
        notes = prepare(record, tree, root)
        then = read_lock((folder / "dvc.lock").read_text(encoding="utf-8"))
        notes += other_inputs(then, folder)
        before = collect(folder).metrics if record.metrics is None else record.metrics
        ran = run_stages(record, tree)
        results = collect(folder)
        now = read_lock((folder / "dvc.lock").read_text(encoding="utf-8"))
        found = compare(then, now, before, results.metrics, tolerance(results))
        idle = sorted(set(now["stages"]) - ran)
        reasons = [*notes, *([f"{', '.join(idle)} did not run"] if idle else [])]
        if reasons:
            return Comparison(DIFFERENT, found.rows, (*reasons, *found.reasons))
        print(f"reproduce: {len(ran)} of {len(now['stages'])} stages ran", flush=True)
        return found


def tolerance(results: Results) -> float:
    """Read how much a metric may differ off `params.yaml`: `reproduce.tolerance`; 0 where it does not say."""
    file = results.folder / "params.yaml"
    section = read_yaml(file).get("reproduce") if file.is_file() else None
    return float(section["tolerance"]) if isinstance(section, dict) and "tolerance" in section else 0.0


def reproduce_all(root: Path, *, run: str = "", model: str = "") -> int:
    """Make again a run or a model, or every champion; print a table and a verdict for each, and return the exit status.

    Raises:
        NotReproducedError: one could not be made again.
        UnknownError: the run or the model is not there.
    """
    status = 0
    for record in records(root, {way: text for way, text in (("RUN", run), ("MODEL", model)) if text}):
        found = reproduce(record, root)
        print(page(found))
        why = f": {'; '.join(found.reasons[:5])}" if found.reasons else ""
        print(f"reproduce: {record.name} is {found.verdict}{why}", flush=True)
        status |= found.verdict == DIFFERENT
    return status
