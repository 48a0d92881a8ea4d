"""Make the results of a run again, from its commit and nothing else, and compare every output. The work of `make reproduce`.

A worktree at that commit, the locked environment, every stage by force: the person's own tree is not touched, and the worktree is
gone afterwards.
"""

from __future__ import annotations

import hashlib
import os
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from onebutton_tracking.comparison import DIFFERENT, Comparison, compare, page, sides
from onebutton_tracking.lookup import UnknownError
from onebutton_tracking.record import Record, records
from onebutton_tracking.results import Results, ResultsError, collect, read_lock, read_yaml
from onebutton_tracking.store import StoreError
from onebutton_tracking.worktree import NotReproducedError, check_possible, prepare, run_stages, worktree


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


def main() -> int:
    """Make again what RUN or MODEL names, or every champion; print a table and a verdict for each."""
    root = Path.cwd()
    status = 0
    try:
        asked = {way: text for way in ("RUN", "MODEL") if (text := os.environ.get(f"BUTTON_{way}"))}
        for record in records(root, asked):
            found = reproduce(record, root)
            print(page(found))
            why = f": {'; '.join(found.reasons[:5])}" if found.reasons else ""
            print(f"reproduce: {record.name} is {found.verdict}{why}", flush=True)
            status |= found.verdict == DIFFERENT
    except (NotReproducedError, UnknownError, ResultsError, StoreError) as error:
        print(f"reproduce: {error}", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        print("\nreproduce: interrupted", file=sys.stderr)
        return 130
    return int(status)


if __name__ == "__main__":
    sys.exit(main())
