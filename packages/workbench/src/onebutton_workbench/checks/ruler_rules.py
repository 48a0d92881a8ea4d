"""Refuse a branch that makes a ruler weaker and changes what it measures: nobody could tell which of the two made it pass.

OB411 and OB412: `docs/checks/` has a page for each. `make ruler` prints every change of a ruler. Tests are rulers, too: that
there are fewer, or that they assert less, is told and stops nobody.
"""

import html
import json
import re
from collections import Counter
from collections.abc import Collection, Iterator
from dataclasses import replace
from fnmatch import fnmatch
from pathlib import Path
from typing import Any, get_args

from onebutton_contracts.dvc_files import parse_yaml
from onebutton_contracts.errors import InputError
from onebutton_evaluation.champion import CHAMPION, NAME
from onebutton_workbench.checks.assertion_rules import functions, skips
from onebutton_workbench.checks.rulers import Change, Kind, differences, is_ruler
from onebutton_workbench.findings import Finding
from onebutton_workbench.git import at_commit, call, shortened
from onebutton_workbench.lineage.changes import Changes, NothingToCompareError, changes_since, owner_of, write_summary
from onebutton_workbench.lineage.months import UNTIL, move
from onebutton_workbench.workspace import ROOT

JUDGING, HOLDOUT = "reproduce", "evaluate"  # sections of params.yaml: a ruler; and which rows are the holdout
# What a member's rulers measure, and what those of the repository do: files of a member, each with the keys that differ.
BY_MEMBER = re.compile(
    r"dvc\.lock stages \S+ outs (\S+\.onnx|model/(?!golden)\S+|data/(?!predictions)\S+) .+"  # models and data, not numbers
    rf"|params\.yaml (?!{JUDGING}\b).+|(dvc\.yaml|src/|\S+\.dvc).*"
)
BY_REPOSITORY = re.compile(r"dvc\.lock stages \S+ outs (?!\.code/).+|[^/ ]+\.json .+")
# What of it may change with a holdout that moves on: by hand the rows, by the rule `retrain` the model as well.
ANSWERS = rf"{CHAMPION}/\S+\.dvc .+"
BY_HAND = re.compile(rf"{ANSWERS}|params\.yaml {HOLDOUT}\b.+|dvc\.lock stages \S+ outs (?!\S+\.onnx).+")
BY_THE_RULE = re.compile(rf"{ANSWERS}|params\.yaml .+|dvc\.lock .+")
NOTHING = re.compile("(?!)")
MEASURED = re.compile(r"dvc\.(lock|yaml)|params\.yaml|src/.+|.+\.dvc|(?!dummy)[^/]+\.json")
PINS = {"holdoutRows", "holdoutSha256"}
IGNORES = re.compile(
    r"#\s*(noqa|type: ignore|nosec|fmt: off|pragma: (no cover|allowlist)|shellcheck disable|yamllint disable|zizmor: ignore"
    r"|(better|git)leaks:allow)|<!-- rumdl-disable"
)
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
    touched = sorted({owner_of(file)[0] for file in changes.files} - {""})
    texts = {folder: changes.texts(f"{folder}/pyproject.toml") for folder in touched}
    return {folder: "removed" if old else "new" for folder, (old, new) in texts.items() if bool(old) != bool(new)}


def _texts(changes: Changes, whole: Collection[str], *, rulers: bool) -> Iterator[tuple[str, str, str]]:
    """Read both versions of the rulers that differ, or of what they may measure; of members that stay."""
    for path in changes.files:
        folder, inside = owner_of(path)
        if folder not in whole and (is_ruler(path) if rulers else folder and MEASURED.fullmatch(inside)):
            old, new = changes.texts(path)
            if inside == "params.yaml" or is_ruler(path, old + new) == rulers:
                yield path, old, new


def ruler_changes(changes: Changes) -> list[Change]:
    """Compare every ruler with another commit. A member that is new, or gone as a whole, is one change."""
    whole = whole_members(changes)
    found = [Change(folder, (), kind, f"the member is {kind}") for folder, kind in whole.items()]
    merged = list(upgrades(changes))
    for path, old, new in _texts(changes, whole, rulers=True):
        held = differences(path, old, new)
        for theirs in (at_commit(tip, path, changes.root) or "" for tip in merged):
            if theirs or not new:  # of what upstream never had nothing comes from there
                own = {(one.path, one.kind): one for one in differences(path, theirs, new)}
                held = [own.get((one.path, one.kind), replace(one, kind="upgrade")) for one in held]
        found += [one for one in held if not path.endswith("/params.yaml") or one.path[0] == JUDGING]
    return found


def holdout_moved(contract: str, changes: Changes) -> re.Pattern[str]:
    """Say what may change beside a contract's pin: what parameters take that move the holdout on, else nothing.

    By the rule is: all of them are what `retrain` of before makes of the month that they name, and the model in service of before
    has answered the new rows, so that the comparison says which of two models is better. Gates compute both again.
    """
    folder = contract.partition("/contracts/")[0]
    params, champion, comparison, pinned = (
        changes.texts(path)
        for path in (f"{folder}/params.yaml", f"{folder}/{CHAMPION}/{NAME}", f"{folder}/comparison.json", contract)
    )
    was, now = (parse_yaml(text or "{}", "params.yaml") for text in params)
    by_hand = NOTHING if was.get(HOLDOUT) == now.get(HOLDOUT) else BY_HAND
    try:
        another = was.get(UNTIL) != now[UNTIL]
        move(was, now[UNTIL])
        compared = json.loads(comparison[1])[CHAMPION]
        pins = parse_yaml(pinned[1], contract)["schema"][0]["customProperties"]
        judged = {"property": "holdoutRows", "value": compared["slices"]["all"]["rows"]} in pins
        by_the_rule = another and was == now and champion == (f"{compared['name']}\n",) * 2 and judged
    except (InputError, ValueError, LookupError, TypeError):
        return by_hand
    return BY_THE_RULE if by_the_rule else by_hand


def check(changes: Changes) -> Iterator[Finding | str]:
    """Find what breaks the rules; tell what is weaker and alone."""
    weaker = [one for one in ruler_changes(changes) if one.kind == "weaker"]
    texts = _texts(changes, whole_members(changes), rulers=False) if weaker else ()  # it is much to read
    changed = [one for both in texts for one in differences(*both)]
    for one in weaker:
        folder, _ = owner_of(one.file)
        measures = BY_MEMBER if folder else BY_REPOSITORY
        moves = NOTHING if PINS.isdisjoint(one.path) else holdout_moved(one.file, changes)
        beside: dict[str, str] = {}  # the first of each file
        for other in changed:
            of_member, inside = owner_of(other.file)
            what = f"{inside} {' '.join(other.path)}"
            if folder in {"", of_member} and measures.fullmatch(what) and not moves.fullmatch(what):
                beside.setdefault(other.file, f"{other.place} ({' '.join(other.path[-2:]) or 'code'})")
        words = f"{one.words}: weaker, or nobody can tell"
        if beside:
            others = f"{words}. Beside it changes {shortened([*beside.values()], 3)}, so {COST}"
            yield Finding("OB411", one.place, others, MEND) if folder else Finding("OB412", one.place, others, MEND)
        else:
            why = "The rule `retrain` moved it" if moves is BY_THE_RULE else "Nothing that it measures changes with it"
            yield f"TOLD {one.place}: {words}. {why}"


def read_tests(file: str, text: str) -> dict[str, Any]:
    """Read how often a file tells a tool to look away, and of tests how much each asserts and how many are passed over."""
    source = text if fnmatch(file, "*/tests/*.py") else ""
    tests = {one.name: {"assertions": one.assertions()} for one in functions(source) if one.name.startswith("test")}
    return {"tests": tests, "skips": len([*skips(source)]), "ignores": len(IGNORES.findall(text))}


def test_changes(changes: Changes) -> Iterator[Change]:
    """Find tests that are gone, assert less, or are passed over; and ignores in any file."""
    found = [one for file in changes.files for one in differences(file, *changes.texts(file), read_tests)]
    moved = {one.path for one in found if one.kind == "new"}
    yield from (one for one in found if one.kind in {"weaker", "removed"} and one.path not in moved)


def ruler(base: str = "", root: Path = ROOT) -> None:
    """Print every change of a ruler since this branch left another, and in a workflow write the summary."""
    try:
        changes = changes_since(base, root)
    except NothingToCompareError as error:
        print(f"ruler: NOT RUN: {error}")
        return
    found = [*ruler_changes(changes), *test_changes(changes)]
    found.sort(key=lambda one: (get_args(Kind).index(one.kind), one.file, one.line, one.words))
    width = max((len(one.place) for one in found), default=0)
    print("".join(f"  {one.kind:<9} {one.place:<{width}}  {one.words}\n" for one in found), end="")
    counts = Counter(one.kind for one in found)
    words = ", ".join(f"{number} {kind}" for kind, number in counts.items()) or "no ruler is another"
    print(f"ruler: since {changes.since}: {words}. What nobody can tell counts as weaker")
    rows = [f"| {one.kind} | `{one.place}` | {html.escape(one.words).replace('|', '&#124;')} |" for one in found]
    head = ["## What this change does to what judges it", "", "| | where | what |", "|---|---|---|"]
    write_summary([*head, *rows, "", words])
