"""Refuse a branch that makes a ruler weaker and changes what it measures: nobody could tell which of the two made it pass.

OB411 and OB412: `docs/checks/` has a page for each.

Compared is with where this branch left the one that it will go into. Where there is no such branch both are NOT RUN.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from dataclasses import replace
from functools import cache
from pathlib import Path
from typing import Literal

from onebutton_contracts.dvc_files import parse_yaml
from onebutton_contracts.errors import InputError
from onebutton_evaluation.champion import CHAMPION, NAME, PREDICTIONS
from onebutton_workbench.checks.rulers import MEMBER, Change, differences, is_ruler
from onebutton_workbench.findings import Finding
from onebutton_workbench.git import at_commit, call, shortened
from onebutton_workbench.lineage.changes import Changes, NothingToCompareError, changes_since, choose_base
from onebutton_workbench.lineage.months import UNTIL, months_of, moved, put

RESULTS = re.compile(r"dvc\.lock|(?!dummy)[^/]+\.json")  # in a pipeline's own folder
MEASURED = re.compile(r"dvc\.(lock|yaml)|params\.yaml|src/.+|.+\.dvc")
# Outputs of stages: those that are a model or data, and not numbers about them; all; models.
MADE = re.compile(r".+\.onnx|model/(?!golden).+|data/(?!predictions).+")
ANY, ONNX, NOTHING = re.compile(r"(?!\.code/).+"), re.compile(r".+\.onnx"), re.compile("(?!)")
ANSWERS = f"{CHAMPION}/{PREDICTIONS}.dvc"
JUDGING, HOLDOUT = "reproduce", "evaluate"  # sections of params.yaml: a ruler; and which rows are the holdout
PINS = {"holdoutRows", "holdoutSha256"}
SHOWN = 3
COST = "nobody could say whether the model got better or its ruler softer"
MEND = "make two pull requests: what judges alone, for those who own it, and the rest"


def read_both(path: str, changes: Changes, root: Path) -> tuple[str, str]:
    """Read a file as the other commit has it, and as it stands; empty where it is not there."""
    file = root / path
    here = file.read_text(encoding="utf-8", errors="backslashreplace") if file.is_file() else ""
    return at_commit(changes.commit, path, root) or "", here


@cache
def as_a_whole(folder: str, commit: str, root: Path) -> Literal["new", "removed"] | None:
    """Say of a member whether it is new since a commit, or removed; None when it is neither."""
    files = [f"{folder}/pyproject.toml", f"{folder}/dvc.yaml"]
    if not any(at_commit(commit, file, root) for file in files):
        return "new"
    return None if any((root / file).is_file() for file in files) else "removed"


def upgrades(commit: str, root: Path) -> Iterator[str]:
    """List what upgrades merged since a commit: second parents that were made of the very upstream commit that is recorded."""
    for merge in call("rev-list", "--merges", f"{commit}..HEAD", folder=root).stdout.split():
        origin = call("rev-parse", "--verify", f"{merge}^2^1", folder=root).stdout.strip()
        if origin and f'upgraded-to = "{origin}"' in (at_commit(merge, "pyproject.toml", root) or ""):
            yield f"{merge}^2"


def ruler_changes(changes: Changes, root: Path) -> list[Change]:
    """Compare every ruler with another commit. A member that is new, or gone as a whole, is one change."""
    folders = sorted({member[1] for member in map(MEMBER.fullmatch, changes.files) if member})
    whole = {folder: kind for folder in folders if (kind := as_a_whole(folder, changes.commit, root))}
    found = [Change(folder, (), kind, f"the member is {kind}") for folder, kind in whole.items()]
    merged = list(upgrades(changes.commit, root))
    for path in changes.files:
        member = MEMBER.fullmatch(path)
        if (member and member[1] in whole) or not is_ruler(path):
            continue
        old, new = read_both(path, changes, root)
        if not is_ruler(path, old + new):
            continue
        held = differences(path, old, new)
        for tip in merged:  # what differs from both in the same way is this branch's own
            theirs = differences(path, at_commit(tip, path, root) or "", new)
            own = {(one.path, one.kind): one for one in theirs}
            held = [own.get((one.path, one.kind), replace(one, kind="upgrade")) for one in held]
        found += [one for one in held if not path.endswith("/params.yaml") or one.path[0] == JUDGING]
    return found


def measured(folder: str, changes: Changes, root: Path, *, how: str = "") -> Iterator[Change]:
    """Find what a member's rulers measure and this branch changes, one change a file.

    The folder `.` is the repository, which measures the results of all pipelines. `how`, as of `holdout_moved`, leaves out what
    moves a holdout on: its parameters, data and the champion's answers; and the model, where the rule has moved it.
    """
    whole, by_rule = folder == ".", how == "by the rule"
    measures, outputs = (RESULTS, ANY) if whole else (MEASURED, NOTHING if by_rule else ONNX if how else MADE)
    for path in changes.files:
        member = MEMBER.fullmatch(path)
        if not member or not measures.fullmatch(member[2]) or not (whole or folder == member[1]):
            continue
        old, new = read_both(path, changes, root)
        if as_a_whole(member[1], changes.commit, root) or (is_ruler(path, old + new) and member[2] != "params.yaml"):
            continue
        if how and (member[2] == ANSWERS or (by_rule and member[2] == "params.yaml")):
            continue
        found = differences(path, old, new)
        if member[2] == "dvc.lock":
            found = [one for one in found if one.path[2:3] == ("outs",) and outputs.fullmatch(one.path[3])]
        elif member[2] == "params.yaml":
            found = [one for one in found if one.path[0] not in ({JUDGING, HOLDOUT} if how else {JUDGING})]
        yield from found[:1]


def holdout_moved(contract: str, changes: Changes, root: Path) -> Literal["", "by hand", "by the rule"]:
    """Say how parameters move the holdout on that a contract pins.

    By the rule is: all of them are what `retrain` of before makes of the month that they name, and the model in service of before
    has answered the new rows, so that the comparison says which of two models is better. Gates compute both again.
    """
    folder = contract.partition("/contracts/")[0]
    params, champion, comparison, pinned = (
        read_both(path, changes, root)
        for path in (f"{folder}/params.yaml", f"{folder}/{CHAMPION}/{NAME}", f"{folder}/comparison.json", contract)
    )
    was, now = (parse_yaml(text or "{}", "params.yaml") for text in params)
    by_hand: Literal["", "by hand"] = "by hand" if was.get(HOLDOUT) != now.get(HOLDOUT) else ""
    try:
        another = was.get(UNTIL) != now[UNTIL]
        put(was, moved(was, months_of(now[UNTIL])[0]))
        compared = json.loads(comparison[1])[CHAMPION]
        entries = parse_yaml(pinned[1], contract)["schema"][0]["customProperties"]
        rows = next(entry["value"] for entry in entries if entry["property"] == "holdoutRows")
        answered = (compared["name"], compared["slices"]["all"]["rows"]) == (champion[1].strip(), rows)
    except (InputError, ValueError, LookupError, TypeError, StopIteration):
        return by_hand
    return "by the rule" if another and was == now and champion[0] == champion[1] and answered else by_hand


def check(root: Path, base: str) -> Iterator[Finding | str]:
    """Find what breaks the rules since a base; tell what is weaker and alone."""
    try:
        changes = changes_since(choose_base(base, root), root)
    except NothingToCompareError as error:
        yield f"NOT RUN OB411, OB412: {error}"
        return
    for one in (one for one in ruler_changes(changes, root) if one.kind == "weaker"):
        member = MEMBER.fullmatch(one.file)
        folder = member[1] if member else "."
        how = "" if PINS.isdisjoint(one.path) else holdout_moved(one.file, changes, root)
        others = measured(folder, changes, root, how=how)
        beside = [f"{other.place} ({' '.join(other.path[-2:]) or 'code'})" for other in others]
        if not beside:
            why = "The rule `retrain` moved it" if how == "by the rule" else "Nothing that it measures changes with it"
            yield f"TOLD {one.place}: {one.words}: weaker, or nobody can tell. {why}"
            continue
        words = f"{one.words}: weaker, or nobody can tell. Beside it changes {shortened(beside, SHOWN)}, so {COST}"
        found = (one.place, words, MEND)
        yield Finding("OB411", *found) if member else Finding("OB412", *found)
