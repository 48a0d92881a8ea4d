"""Say what a change did to every metric, overall and by slice: old, new and the difference. The work of `make metrics`.

In a pull request on GitHub the same goes into the job's summary.
"""

import os
from collections.abc import Callable, Mapping
from typing import Any

from onebutton_contracts.dvc_files import Output, outputs, read_stages
from onebutton_contracts.errors import InputError
from onebutton_tracking.results import read_metrics
from onebutton_workbench.git import at_commit, git
from onebutton_workbench.lineage import changes
from onebutton_workbench.runs.summary import table
from onebutton_workbench.workspace import ROOT, pipelines_named, unnamed_drafts

Numbers = dict[str, float]
Rows = dict[str, dict[str, str]]  # of each metric, by name: old, new and the difference, as text
SUMMARY = "summary.md"  # what a pipeline itself says of its results
SLICES = "slices.json"  # as onebutton_evaluation.judgement calls it, whose import would take longer than the comparison


def read_numbers(plan: Mapping[str, Any], lock: Mapping[str, Any], read: Callable[[str], str | None]) -> Numbers:
    """Read the metrics of a pipeline, then those of its slices.

    The stages of its `dvc.yaml` and its `dvc.lock` name their files; `read` returns the text of one, None where it is not there.
    """
    numbers: Numbers = {}
    for one in outputs(plan, lock, "metrics"):
        numbers |= read_metrics(read(one.path) or "{}", one)
    for key, number in read_metrics(read(SLICES) or "{}", Output("", SLICES, {})).items():
        if key.endswith(".estimate"):
            part, _, metric, _ = key.removeprefix("slices.").rsplit(".", 3)
            numbers[f"{part}: {metric}"] = number
    return numbers


def moved(old: Numbers, new: Numbers) -> Rows:
    """Lay the metrics of two states side by side of which they differ, in the order of the new one."""
    rows = {}
    for name in dict.fromkeys([*new, *old]):
        before, after = old.get(name), new.get(name)
        if before != after:
            step = "" if before is None or after is None else f"{after - before:+.6g}"
            rows[name] = {"old": _number(before), "new": _number(after), "difference": step}
    return rows


def _number(metric: float | None) -> str:
    if metric is None:
        return "-"
    return f"{metric:,d}" if isinstance(metric, int) else f"{metric:.6g}"


def metrics(pipeline: str = "", base: str = "") -> None:
    """Print every metric that moved, beside that of another commit, and in a workflow write the summary.

    What was typed is compared with, in a workflow the branch that the commit goes into, or the last commit.
    """
    changes.check_base(base, ROOT)
    try:
        base = base or (changes.choose_base("", ROOT) if changes.target_branch(os.environ) else "HEAD")
        commit = changes.parted(base, ROOT)
    except changes.NothingToCompareError as error:
        print(f"metrics: NOT RUN: {error}")
        return
    print(f"metrics: old is {base} ({git('rev-parse', '--short=8', commit, folder=ROOT)}), new is your working tree")
    summary = ["## What this change does to the metrics", ""]
    for name in pipelines_named(pipeline):
        try:
            summary += _of_pipeline(name, commit)
        except InputError as error:
            if name not in unnamed_drafts(pipeline):
                raise
            print("", f"{name}, a draft, has nothing to compare: {error}", sep="\n")
    changes.write_summary(summary)


def _of_pipeline(name: str, commit: str) -> list[str]:
    """Print what moved in one pipeline; return the lines for the summary."""
    folder = ROOT / "pipelines" / name
    plan, file = read_stages(folder / "dvc.yaml"), folder / "dvc.lock"
    lock = read_stages(file) if file.is_file() else {}

    def here(file: str) -> str | None:
        return (folder / file).read_text(encoding="utf-8") if (folder / file).is_file() else None

    old, new = read_numbers(plan, lock, lambda file: at_commit(commit, file, folder)), read_numbers(plan, lock, here)
    rows = moved(old, new)
    words = f"{len(rows)} of {len(old | new)} metrics moved, slices included"
    lines = table(rows) if rows else []
    print("", f"{name}: {words}", *lines, sep="\n")
    return [f"### {name}: {words}", "", "```text", *lines, "```", "", *(here(SUMMARY) or "").splitlines(), ""]
