"""Print the verdict of every gate of every pipeline, and refuse where one is not passed. The work of `make gates`."""

from __future__ import annotations

import textwrap
import tomllib
from collections.abc import Sequence
from pathlib import Path

from onebutton_contracts.errors import InputError
from onebutton_evaluation.declarations import load_declarations
from onebutton_evaluation.seals import broken_seals
from onebutton_evaluation.verdicts import Verdict, verdicts

WIDTH = 118


def gate_folder(folder: Path) -> list[Verdict]:
    """Hold one pipeline to its gates; the first verdict says whether its results are as its stages left them.

    A pipeline without a readable `gates.toml` has one verdict, failed: nothing says what it must be.
    """
    owner, why = "whoever git log names", "A number that was edited by hand says nothing about the model."
    try:
        said = load_declarations(folder / "gates.toml")
    except InputError as error:
        return [Verdict("gates-toml", "failed", str(error), owner, "Nothing says what this model must be.")]
    try:
        broken = broken_seals(folder)
    except InputError as error:
        seal = Verdict("digests", "NOT RUN", str(error), owner, why)
    else:
        words = "; ".join(broken) + ". `make run` mends it" if broken else "every file here is as its stage left it"
        seal = Verdict("digests", "failed" if broken else "passed", words, owner, why)
    return [seal, *verdicts(folder, said.gates)]


def is_draft(folder: Path) -> bool:
    """Say whether a pipeline is still being tried out: `draft = true` under `[tool.onebutton]` in its pyproject.toml."""
    file = folder / "pyproject.toml"
    tool = tomllib.loads(file.read_text(encoding="utf-8")).get("tool", {}) if file.is_file() else {}
    return tool.get("onebutton", {}).get("draft") is True


def table(found: Sequence[Verdict]) -> list[str]:
    """Lay out verdicts for a terminal: those that are not passed say whom to ask, and why the gate is there."""
    width = max(len(one.id) for one in found)
    lines = []
    for one in found:
        start = f"  {one.result:<8} {one.id:<{width}}  "
        lines += textwrap.wrap(one.words, WIDTH, initial_indent=start, subsequent_indent=" " * len(start))
        if one.result != "passed":
            indent = " " * len(start)
            lines += textwrap.wrap(
                f"{one.why} Ask: {one.owner}", WIDTH, initial_indent=indent, subsequent_indent=indent
            )
    return lines


def gates(root: Path, pipeline: str = "", *, strict: bool = False) -> None:
    """Print every verdict; the work of `make gates`.

    The verdicts of a draft are told and stop nobody: it can be neither released nor deployed.

    Args:
        root: of the repo.
        pipeline: its name; all of them when empty.
        strict: whether a gate that is NOT RUN is refused, too.

    Raises:
        InputError: there is no such pipeline, or a gate is not passed.
    """
    folders = [path.parent for path in sorted(root.glob("pipelines/*/dvc.yaml"))]
    chosen = [folder for folder in folders if pipeline in ("", folder.name)]
    if not folders and not pipeline:
        print("gates: there is no pipeline yet, so there is nothing to judge")
        return
    if not chosen:
        names = ", ".join(folder.name for folder in folders) or "(none yet)"
        message = f"there is no pipeline {pipeline!r}. PIPELINE can be: {names}"
        raise InputError(message)
    counts = {"passed": 0, "failed": 0, "NOT RUN": 0}
    for folder in chosen:
        found, draft = gate_folder(folder), is_draft(folder)
        print(f"{folder.name}{', a draft, so this stops nobody' if draft else ''}:", *table(found), "", sep="\n")
        for one in found:
            counts[one.result] += not draft
    summary = f"{counts['passed']} passed, {counts['failed']} failed, {counts['NOT RUN']} NOT RUN"
    if counts["failed"] or (strict and counts["NOT RUN"]):
        message = f"{summary}. The results are recorded; they may not be merged or deployed like this"
        raise InputError(message)
    print(f"gates: {summary}. Next: make report")
