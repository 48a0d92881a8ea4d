"""Say how good each pipeline's model is: after `make run`, and with `make metrics` what a change did to every number.

In a pull request on GitHub the latter goes into the job's summary, too.
"""

import json
import textwrap
from collections.abc import Callable, Collection, Mapping, Sequence
from itertools import groupby
from pathlib import Path
from typing import Any

from onebutton_contracts.dvc_files import Output, outputs, read_stages
from onebutton_contracts.errors import InputError
from onebutton_tracking.results import read_metrics
from onebutton_workbench.git import at_commit, call, git, holds
from onebutton_workbench.lineage import changes
from onebutton_workbench.workspace import ROOT, pipelines_named, unnamed_drafts

METRICS = "metrics.json"
SUMMARY = "summary.md"  # what a pipeline itself says of its results
SLICES = "slices.json"  # as onebutton_evaluation.judgement calls it, whose import would take longer than the comparison
WIDTH = 118
WIDEST = 40  # characters of a text or a list in a table of numbers
Numbers = dict[str, float]


def table(rows: Mapping[str, Mapping[str, Any]]) -> list[str]:
    """Lay out rows of named values for a terminal; what a row lacks, or has as null, stays empty."""
    columns = list(dict.fromkeys(column for row in rows.values() for column in row))
    cells = [["", *columns], *([name, *(_cell(row.get(column)) for column in columns)] for name, row in rows.items())]
    widths = [max(map(len, column)) for column in zip(*cells, strict=True)]
    return ["  ".join(["", row[0].ljust(widths[0]), *map(str.rjust, row[1:], widths[1:])]) for row in cells]


def _cell(content: object) -> str:
    if content is None:
        return ""
    if isinstance(content, bool) or not isinstance(content, int | float):
        text = content if isinstance(content, str) else json.dumps(content)
        return text if len(text) <= WIDEST else f"{text[: WIDEST - 1]}…"
    return f"{content:,d}" if isinstance(content, int) else f"{content:.4f}"


def rows_of(metrics: Mapping[str, Any], name: str = "") -> dict[str, dict[str, Any]]:
    """Make a row of the values of each mapping in a metrics file: `model`, `by_month 07`; a team may nest what it likes."""
    values = {key: value for key, value in metrics.items() if not isinstance(value, Mapping)}
    rows = {name: values} if values else {}
    for key, part in metrics.items():
        if isinstance(part, Mapping):
            rows |= rows_of(part, f"{name} {key}".strip())
    return rows


def metrics_table(title: str, file: Path) -> list[str]:
    """Lay out what a metrics file holds, or say that there is none."""
    if not file.is_file():
        return ["", f"{title}: no {file.name} is there, so there are no metrics to show"]
    try:
        metrics = json.loads(file.read_text(encoding="utf-8"))
    except ValueError as error:
        raise InputError(f"{file} is no JSON: {error}. The stage that writes it must write JSON") from None
    rows = rows_of(metrics if isinstance(metrics, Mapping) else {"metrics": metrics})
    lines = table(rows)
    if max(map(len, lines)) > WIDTH:  # rows that have other columns than those above begin a table of their own
        lines = [line for _, part in groupby(rows.items(), lambda row: [*row[1]]) for line in table(dict(part))]
    return ["", f"{title}:", *lines]


def summarise(names: Sequence[str], made: Collection[str]) -> None:
    """Print the metrics of pipelines, of those made again the verdict, then what belongs into the next commit."""
    for name in names:
        print(*metrics_table(name, ROOT / "pipelines" / name / METRICS), sep="\n")
        if name in made:
            from onebutton_evaluation.report import summary_line

            words = summary_line(ROOT / "pipelines" / name)
            print(*textwrap.wrap(words, WIDTH, initial_indent="  ", subsequent_indent="  "), sep="\n")
    paths = [f"pipelines/{name}" for name in names]
    differs = call("status", "--porcelain", "--untracked-files=all", "--", "pipelines", folder=ROOT).stdout
    changed = [path for path in paths if f" {path}/" in differs]
    new = [path for path in changed if not holds("cat-file", "-e", f"HEAD:./{path}/dvc.yaml", folder=ROOT)]
    add = f"git add {' '.join([*changed, *(['uv.lock'] if new else [])])}"
    if changed:
        print("", "Commit results with the code that made them:", f"  {add}", sep="\n")
    first = f"`{add}`, then `git commit`; " if new else ""
    named = names[0] if len(names) == 1 else ""
    if (ROOT / "pipelines" / named / "release.toml").is_file() and named in unnamed_drafts(""):
        from onebutton_release.serve import waits_for_deploy

        button = "serve" if waits_for_deploy(ROOT, named, "") else "deploy"
        first = f"`make {button} PIPELINE={named}`, which puts it into service on this machine; "
    print("", f"run: done. Next: {first}`make ui` shows curves and models, `make metrics` what changed", sep="\n")


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


def moved(old: Numbers, new: Numbers) -> dict[str, dict[str, str]]:
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
    try:
        base = base or (changes.choose_base(ROOT) if changes.target_branch() else "HEAD")
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
