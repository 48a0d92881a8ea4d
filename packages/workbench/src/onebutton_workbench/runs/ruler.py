"""Say how the rulers of a branch differ from those of another: which got weaker, which stricter. The work of `make ruler`.

Tests are rulers, too. That there are fewer, or that they assert less, is told and stops nobody. In a pull request on GitHub all
of it goes into the job's summary.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterator
from fnmatch import fnmatch
from pathlib import Path

from onebutton_workbench.checks.assertion_rules import assertions, parsed, skips, tests
from onebutton_workbench.checks.ruler_rules import read_both, ruler_changes
from onebutton_workbench.checks.rulers import Change
from onebutton_workbench.lineage.changes import Changes, NothingToCompareError, changes_since, choose_base
from onebutton_workbench.runs.metrics import write_summary
from onebutton_workbench.workspace import ROOT

IGNORES = re.compile(
    r"#\s*(noqa|type: ignore|nosec|fmt: off|pragma: (no cover|allowlist)|shellcheck disable|yamllint disable|zizmor: ignore"
    r"|(better|git)leaks:allow)|<!-- rumdl-disable"
)
ORDER = ("weaker", "removed", "new", "stricter", "upgrade")


def test_changes(changes: Changes, root: Path) -> Iterator[Change]:
    """Compare tests with those of another commit: what is gone, asserts less, or is passed over; and ignores in any file."""
    both = {path: read_both(path, changes, root) for path in changes.files}
    trees = {path: [parsed(text) for text in both[path]] for path in changes.files if fnmatch(path, "*/tests/*.py")}
    named = {path: [{test.name: test for test in tests(tree)} for tree in pair] for path, pair in trees.items()}
    now = {name for _, after in named.values() for name in after}
    for path, (before, after) in named.items():
        for name in before.keys() - now:
            yield Change(path, (name,), "removed", f"{name} is gone", before[name].lineno)
        for name in before.keys() & after.keys():
            old, new = assertions(before[name]), assertions(after[name])
            if new < old:
                yield Change(path, (name,), "weaker", f"{name}: {old} assertions -> {new}", after[name].lineno)
        over = [list(skips(tree)) for tree in trees[path]]
        if len(over[1]) > len(over[0]):
            yield Change(path, (), "weaker", f"skips: {len(over[0])} -> {len(over[1])}", over[1][-1][0])
        if before and not both[path][1]:
            yield Change(path, (), "removed", f"the file is gone, with {len(before)} test{'s' * (len(before) != 1)}")
    for path, (old_text, new_text) in both.items():
        old, new = len(IGNORES.findall(old_text)), len(IGNORES.findall(new_text))
        if new > old:
            line = new_text.count("\n", 0, [one.start() for one in IGNORES.finditer(new_text)][-1]) + 1
            yield Change(path, (), "weaker", f"ignores: {old} -> {new}", line)


def ruler(base: str = "", root: Path = ROOT) -> None:
    """Print every change of a ruler since this branch left another, and in a workflow write the summary."""
    try:
        changes = changes_since(choose_base(base, root), root)
    except NothingToCompareError as error:
        print(f"ruler: NOT RUN: {error}")
        return
    found = [*ruler_changes(changes, root), *test_changes(changes, root)]
    found.sort(key=lambda one: (ORDER.index(one.kind), one.file, one.line, one.words))
    width = max((len(one.place) for one in found), default=0)
    print(*(f"  {one.kind:<9} {one.place:<{width}}  {one.words}" for one in found), sep="\n" if found else "")
    counts = Counter[str](one.kind for one in found)
    words = ", ".join(f"{counts[kind]} {kind}" for kind in ORDER if counts[kind]) or "no ruler is another"
    print(f"ruler: since {changes.since}: {words}. What nobody can tell counts as weaker")
    cells = ((one.kind, f"`{one.place}`", one.words.replace("|", "\\|").replace("<", "&lt;")) for one in found)
    rows = [f"| {' | '.join(row)} |" for row in cells]
    head = ["| | where | what |", "|---|---|---|"] if rows else ["No ruler is another."]
    write_summary(["## What this change does to what judges it", "", *head, *rows, ""])
