"""Say what a change did to every metric, overall and by slice: old, new and the difference. The work of `make metrics`.

In a pull request on GitHub the same goes into the job's summary, with the curves that moved.
"""

from __future__ import annotations

import json
import os
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from onebutton_contracts.errors import InputError
from onebutton_evaluation.integrity import changed
from onebutton_tracking.plan import as_run, declared_names, declared_plots, prefix_of
from onebutton_tracking.results import flatten, read_curves
from onebutton_workbench.files import parse_yaml, read_yaml
from onebutton_workbench.git import at_commit, git, listed
from onebutton_workbench.lineage.changes import NothingToCompareError, check_base, choose_base, parted, target_branch
from onebutton_workbench.workspace import ROOT, drafts, pipelines, the_pipeline

Curves = dict[str, list[tuple[int, float]]]
MOST_POINTS = 40  # of a curve in a summary
MOST_CURVES = 8
SUMMARY = "summary.md"  # what a pipeline itself says of its results
SLICES = "slices.json"  # as onebutton_evaluation.judgement calls it, whose import would take longer than the comparison


@dataclass(frozen=True)
class Difference:
    """One metric on both sides; None where a side lacks it."""

    name: str
    old: float | None
    new: float | None

    @property
    def moved(self) -> bool:
        """Whether the two differ."""
        return self.old != self.new


@dataclass(frozen=True)
class Numbers:
    """The numbers of one pipeline at one time."""

    metrics: dict[str, float] = field(default_factory=dict)
    curves: Curves = field(default_factory=dict)
    slices: dict[str, float] = field(default_factory=dict)


def read_numbers(plan: Mapping[str, Any], texts: Mapping[str, str]) -> Numbers:
    """Read metrics, curves and the metrics of slices of a pipeline.

    Args:
        plan: the content of its `dvc.yaml`, which names their files.
        texts: the content of each file; one that is not there is left out.

    Raises:
        InputError: a metrics file is no JSON.
    """
    metrics: dict[str, float] = {}
    for stage, body in plan["stages"].items():
        for name in declared_names(body.get("metrics", [])):
            metrics |= _numbers(name, texts, prefix_of(stage))
    curves: Curves = {}
    for name, options in declared_plots(dict(plan)).items():
        if name in texts and name.endswith(".csv") and isinstance(options.get("x"), str):
            curves |= read_curves(texts[name], Path(name).stem, options["x"])
    slices = {}
    for key, number in _numbers(SLICES, texts).items():
        if key.endswith(".estimate"):
            part, _, metric, _ = key.removeprefix("slices.").rsplit(".", 3)
            slices[f"{part}: {metric}"] = number
    return Numbers(metrics, curves, slices)


def _numbers(name: str, texts: Mapping[str, str], prefix: str = "") -> dict[str, float]:
    try:
        flat = flatten(json.loads(texts.get(name, "{}")), prefix)
    except (ValueError, AttributeError):
        message = f"{name} is no JSON object. `make run` writes it again"
        raise InputError(message) from None
    return {key: number for key, number in flat.items() if isinstance(number, int | float)}


def differences(old: Mapping[str, float], new: Mapping[str, float]) -> list[Difference]:
    """Lay the metrics of two states side by side, in the order of the new one."""
    return [Difference(name, old.get(name), new.get(name)) for name in dict.fromkeys([*new, *old])]


def _cells(one: Difference) -> tuple[str, str, str, str]:
    """Write one metric: its name, old, new and the difference."""
    step = one.new - one.old if one.old is not None and one.new is not None else None
    return one.name, _number(one.old), _number(one.new), "" if step is None else f"{step:+.6g}" if step else "0"


def _number(metric: float | None) -> str:
    if metric is None:
        return "-"
    return f"{metric:,d}" if isinstance(metric, int) else f"{metric:.6g}"


def table(found: list[Difference]) -> list[str]:
    """Lay out metrics for a terminal."""
    rows = [("", "old", "new", "difference"), *map(_cells, found)]
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    return ["  ".join(["", row[0].ljust(widths[0]), *map(str.rjust, row[1:], widths[1:])]) for row in rows]


def slice_table(found: list[Difference]) -> list[str]:
    """Lay out the metrics of slices that moved; there are many, so the others are only counted."""
    moved = [one for one in found if one.moved]
    counted = ["", f"  {len(moved)} of {len(found)} numbers of slices moved"] if found else []
    return [*counted, *(table(moved) if moved else [])]


def slice_markdown(found: list[Difference]) -> list[str]:
    """Write the metrics of slices that moved for GitHub, folded away."""
    moved = [one for one in found if one.moved]
    return _folded(f"{len(moved)} of {len(found)} numbers of slices moved", moved)


def markdown(pipeline: str, found: list[Difference], old: Curves, new: Curves) -> list[str]:
    """Write what moved for GitHub, what did not folded away below, and the curves that moved as charts."""
    moved, still = [one for one in found if one.moved], [one for one in found if not one.moved]
    lines = [f"### {pipeline}", "", *(_rows(moved) if moved else ["No metric moved."]), ""]
    lines += _folded(f"{len(still)} metrics as before", still)
    changed = [name for name in new if old.get(name) != new[name]]
    for name in changed[:MOST_CURVES]:
        lines += [*_chart(name, old.get(name, []), new[name]), ""]
    if len(changed) > MOST_CURVES:
        lines += [f"and {len(changed) - MOST_CURVES} more curves that moved: `make ui` shows all", ""]
    return lines


def _folded(title: str, found: list[Difference]) -> list[str]:
    return [f"<details><summary>{title}</summary>", "", *_rows(found), "", "</details>", ""] if found else []


def _rows(found: list[Difference]) -> list[str]:
    head = ["| metric | old | new | difference |", "|---|--:|--:|--:|"]
    return head + [f"| {' | '.join(_cells(one))} |" for one in found]


def _chart(name: str, old: list[tuple[int, float]], new: list[tuple[int, float]]) -> Iterator[str]:
    """Draw both curves over the steps that they share, as GitHub draws Mermaid."""
    before = dict(old)
    points = [(step, before.get(step, after), after) for step, after in new if not old or step in before]
    points = points[:: -(-len(points) // MOST_POINTS) or 1]
    if not points:
        return
    values = [value for _, *both in points for value in both]
    low, high = min(values), max(values)
    yield from ("```mermaid", "xychart-beta", f'  title "{name} (first line: old, second: new)"')
    yield f"  x-axis [{', '.join(str(step) for step, *_ in points)}]"
    yield f"  y-axis {low:.6g} --> {high if high > low else low + 1:.6g}"
    if old:
        yield f"  line [{', '.join(f'{value:.6g}' for _, value, _ in points)}]"
    yield f"  line [{', '.join(f'{value:.6g}' for _, _, value in points)}]"
    yield "```"


def metrics(pipeline: str, base: str) -> None:
    """Print every metric of every pipeline beside that of another commit, and in a workflow write the summary.

    What was typed is compared with, in a workflow the branch that the commit goes into, or the last commit.

    Raises:
        InputError: the commit to compare with is unknown, or a file cannot be read.
    """
    names = [the_pipeline(pipeline)] if pipeline else pipelines()
    check_base(base, ROOT)
    try:
        base = base or (choose_base("", ROOT) if target_branch(os.environ) else "HEAD")
        commit = parted(base, ROOT)
    except NothingToCompareError as error:
        print(f"metrics: NOT RUN: {error}")
        return
    print(f"metrics: old is {base} ({git('rev-parse', '--short=8', commit, folder=ROOT)}), new is your working tree")
    summary = ["## What this change does to the metrics", ""]
    told = [] if pipeline else drafts(ROOT)
    for name in names:
        try:
            summary += _compare(name, commit)
        except InputError as error:
            if f"pipelines/{name}" not in told:
                raise
            print("", f"{name}, a draft, has nothing to compare: {error}", sep="\n")
    write_summary(summary)


def edited_by_hand(name: str, commit: str, root: Path = ROOT) -> list[str]:
    """Name the results in git that are not what their stage wrote, as the `dvc.lock` beside them has it.

    Args:
        name: of the pipeline.
        commit: to look at beside the working tree.
        root: of the repository.

    Returns:
        One line a file, with the button that writes it again.
    """
    folder = root / "pipelines" / name
    here = set(listed(folder))
    sides: dict[str, Callable[[str], bytes | None]] = {
        f"at {commit[:8]}": lambda file: (at_commit(commit, file, folder) or "").encode() or None,
        "in your working tree": lambda file: (folder / file).read_bytes() if file in here else None,
    }
    found: dict[str, list[str]] = {}
    for place, read in sides.items():
        stages = parse_yaml((read("dvc.lock") or b"{}").decode(), "dvc.lock") or {}
        for path, (stage, _) in changed(stages.get("stages") or {}, read, ["outs"]).items():
            found.setdefault(f"{path} {{}} is not what the stage {stage} wrote", []).append(place)
    again = f"edited by hand, or merged? `make run PIPELINE={name}` writes it again"
    return [f"{words.format(' and '.join(places))}: {again}" for words, places in found.items()]


def _compare(name: str, commit: str) -> list[str]:
    """Print every metric of one pipeline beside that of a commit; return the lines for the summary."""
    folder = ROOT / "pipelines" / name
    plan, lock = read_yaml(folder / "dvc.yaml"), folder / "dvc.lock"
    plan = as_run(plan, read_yaml(lock)) if lock.is_file() else plan
    declared = [file for stage in plan["stages"].values() for file in declared_names(stage.get("metrics", []))]
    files = [*declared, *declared_plots(plan), SLICES]
    shown = ((file, at_commit(commit, file, folder)) for file in files)
    old = read_numbers(plan, {file: text for file, text in shown if text is not None})
    there = [file for file in files if (folder / file).is_file()]
    new = read_numbers(plan, {file: (folder / file).read_text(encoding="utf-8") for file in there})
    found, slices = differences(old.metrics, new.metrics), differences(old.slices, new.slices)
    edited = edited_by_hand(name, commit)
    print("", f"{name}:", *table(found), *slice_table(slices), *(f"  {line}" for line in edited), sep="\n")
    told = [line for words in edited for line in (f"**{words}**", "")]
    words = (folder / SUMMARY).read_text(encoding="utf-8").splitlines() if (folder / SUMMARY).is_file() else []
    return [*markdown(name, found, old.curves, new.curves), *slice_markdown(slices), *told, *words, ""]


def write_summary(lines: list[str]) -> None:
    """Add to the summary of the job, where GitHub runs this for a commit that goes into another branch."""
    file = os.environ.get("GITHUB_STEP_SUMMARY")
    if file and target_branch(os.environ):
        with Path(file).open("a", encoding="utf-8") as stream:
            stream.write("\n".join([*lines, ""]))
