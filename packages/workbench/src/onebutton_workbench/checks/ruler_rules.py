"""Refuse a branch that makes a ruler weaker and changes what it measures: nobody could tell which of the two made it pass.

OB411 and OB412: `docs/checks/` has a page for each.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from dataclasses import replace
from typing import Literal

from onebutton_contracts.dvc_files import parse_yaml
from onebutton_contracts.errors import InputError
from onebutton_evaluation.champion import CHAMPION, NAME
from onebutton_workbench.checks.rulers import Change, Kind, differences, is_ruler, owner_of
from onebutton_workbench.findings import Finding
from onebutton_workbench.git import at_commit, call, shortened
from onebutton_workbench.lineage.changes import Changes
from onebutton_workbench.lineage.months import UNTIL, months_of, moved, put

JUDGING, HOLDOUT = "reproduce", "evaluate"  # sections of params.yaml: a ruler; and which rows are the holdout
# What a member's rulers measure, and what those of the repository do: files of a member, each with the keys that differ.
BY_MEMBER = re.compile(
    r"dvc\.lock stages \S+ outs (\S+\.onnx|model/(?!golden)\S+|data/(?!predictions)\S+) .+"  # models and data, not numbers
    rf"|params\.yaml (?!{JUDGING}\b).+|(dvc\.yaml|src/|\S+\.dvc).*"
)
BY_REPOSITORY = re.compile(r"dvc\.lock stages \S+ outs (?!\.code/).+|[^/ ]+\.json .+")
# What of it may change with a holdout that moves on: by hand the rows, by the rule `retrain` the model as well.
ANSWERS = rf"{CHAMPION}/\S+\.dvc .+"
MOVES = {
    "": re.compile("(?!)"),
    "by hand": re.compile(rf"{ANSWERS}|params\.yaml {HOLDOUT}\b.+|dvc\.lock stages \S+ outs (?!\S+\.onnx).+"),
    "by the rule": re.compile(rf"{ANSWERS}|params\.yaml .+|dvc\.lock .+"),
}
MEASURED = re.compile(r"dvc\.(lock|yaml)|params\.yaml|src/.+|.+\.dvc|(?!dummy)[^/]+\.json")
PINS = {"holdoutRows", "holdoutSha256"}
SHOWN = 3
COST = "nobody could say whether the model got better or its ruler softer"
MEND = "make two pull requests: what judges alone, for those who own it, and the rest"


def upgrades(changes: Changes) -> Iterator[str]:
    """List what upgrades merged: second parents that were made of the very upstream commit that is recorded."""
    for merge in call("rev-list", "--merges", f"{changes.commit}..HEAD", folder=changes.root).stdout.split():
        origin = call("rev-parse", "--verify", f"{merge}^2^1", folder=changes.root).stdout.strip()
        if origin and f'upgraded-to = "{origin}"' in (at_commit(merge, "pyproject.toml", changes.root) or ""):
            yield f"{merge}^2"


def whole_members(changes: Changes) -> dict[str, Kind]:
    """Name the folders of members that are new, or gone as a whole."""
    found: dict[str, Kind] = {}
    for folder, inside in map(owner_of, changes.files):
        if folder and inside == "pyproject.toml" and not all(both := changes.texts(f"{folder}/{inside}")):
            found[folder] = "removed" if both[0] else "new"
    return found


def ruler_changes(changes: Changes) -> list[Change]:
    """Compare every ruler with another commit. A member that is new, or gone as a whole, is one change."""
    whole = whole_members(changes)
    found = [Change(folder, (), kind, f"the member is {kind}") for folder, kind in whole.items()]
    merged = list(upgrades(changes))
    for path in changes.files:
        if owner_of(path)[0] in whole or not is_ruler(path):
            continue
        old, new = changes.texts(path)
        held = differences(path, old, new) if is_ruler(path, old + new) else []
        for tip in merged:  # what differs from both in the same way is this branch's own
            theirs = differences(path, at_commit(tip, path, changes.root) or "", new)
            own = {(one.path, one.kind): one for one in theirs}
            held = [own.get((one.path, one.kind), replace(one, kind="upgrade")) for one in held]
        found += [one for one in held if not path.endswith("/params.yaml") or one.path[0] == JUDGING]
    return found


def measured(changes: Changes) -> Iterator[Change]:
    """Find what rulers may measure and changes, in members that stay."""
    whole = whole_members(changes)
    for path in changes.files:
        folder, inside = owner_of(path)
        if folder and folder not in whole and MEASURED.fullmatch(inside):
            old, new = changes.texts(path)
            if inside == "params.yaml" or not is_ruler(path, old + new):
                yield from differences(path, old, new)


def holdout_moved(contract: str, changes: Changes) -> Literal["", "by hand", "by the rule"]:
    """Say how parameters move the holdout on that a contract pins.

    By the rule is: all of them are what `retrain` of before makes of the month that they name, and the model in service of before
    has answered the new rows, so that the comparison says which of two models is better. Gates compute both again.
    """
    folder = contract.partition("/contracts/")[0]
    params, champion, comparison, pinned = (
        changes.texts(path)
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


def check(changes: Changes) -> Iterator[Finding | str]:
    """Find what breaks the rules; tell what is weaker and alone."""
    weaker = [one for one in ruler_changes(changes) if one.kind == "weaker"]
    changed = list(measured(changes)) if weaker else []  # it is much to read
    for one in weaker:
        folder, _ = owner_of(one.file)
        how = "" if PINS.isdisjoint(one.path) else holdout_moved(one.file, changes)
        measures = BY_MEMBER if folder else BY_REPOSITORY
        others: dict[str, Change] = {}  # the first of each file
        for other in changed:
            of_member, inside = owner_of(other.file)
            what = f"{inside} {' '.join(other.path)}"
            if folder in {"", of_member} and measures.fullmatch(what) and not MOVES[how].fullmatch(what):
                others.setdefault(other.file, other)
        beside = [f"{other.place} ({' '.join(other.path[-2:]) or 'code'})" for other in others.values()]
        if not beside:
            why = "The rule `retrain` moved it" if how == "by the rule" else "Nothing that it measures changes with it"
            yield f"TOLD {one.place}: {one.words}: weaker, or nobody can tell. {why}"
            continue
        words = f"{one.words}: weaker, or nobody can tell. Beside it changes {shortened(beside, SHOWN)}, so {COST}"
        yield Finding("OB411", one.place, words, MEND) if folder else Finding("OB412", one.place, words, MEND)
