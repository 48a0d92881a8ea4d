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
ORDER = {"weaker": 0, "removed": 1, "new": 2, "stricter": 3, "upgrade": 4}


def test_changes(changes: Changes, root: Path) -> Iterator[Change]:
    """Compare tests with those of another commit: what is gone, asserts less, or is passed over; and ignores in any file."""
    both = {path: read_both(path, changes, root) for path in changes.files}
    trees = {path: [parsed(text) for text in both[path]] for path in changes.files if fnmatch(path, "*/tests/*.py")}
    moved = {name for _, new in trees.values() for name in tests(new)}
    for path, (old, new) in trees.items():
        before, after = tests(old), tests(new)
        if before and not both[path][1]:
            yield Change(path, (), "removed", f"the file is gone, with {len(before)} test{'s' * (len(before) != 1)}")
        for name in before.keys() - after.keys() - moved:
            yield Change(path, (name,), "removed", f"{name} is gone", before[name].lineno)
        for name in before.keys() & after.keys():
            counts = [assertions(one[name]) for one in (before, after)]
            if counts[1] < counts[0]:
                yield Change(
                    path, (name,), "weaker", f"{name}: {counts[0]} assertions -> {counts[1]}", after[name].lineno
                )
        over = [list(skips(tree)) for tree in (old, new)]
        if len(over[1]) > len(over[0]):
            yield Change(path, (), "weaker", f"skips: {len(over[0])} -> {len(over[1])}", over[1][-1][0])
    for path, texts in both.items():
        ignores = [len(IGNORES.findall(text)) for text in texts]
        if ignores[1] > ignores[0]:
            line = next(
                n for n, line in enumerate(texts[1].splitlines(), 1) if line not in texts[0] and IGNORES.search(line)
            )
            yield Change(path, (), "weaker", f"ignores: {ignores[0]} -> {ignores[1]}", line)


def ruler(base: str = "", root: Path = ROOT) -> None:
    """Print every change of a ruler since this branch left another, and in a workflow write the summary."""
    try:
        changes = changes_since(choose_base(base, root), root)
    except NothingToCompareError as error:
        print(f"ruler: NOT RUN: {error}")
        return
    found = sorted(
        [*ruler_changes(changes, root), *test_changes(changes, root)],
        key=lambda one: (ORDER[one.kind], one.file, one.line, one.words),
    )
    width = max((len(one.place) for one in found), default=0)
    print(*(f"  {one.kind:<9} {one.place:<{width}}  {one.words}" for one in found), sep="\n" if found else "")
    counts = Counter[str](one.kind for one in found)
    words = ", ".join(f"{counts[kind]} {kind}" for kind in ORDER if counts[kind]) or "no ruler is another"
    print(f"ruler: since {changes.since}: {words}. What nobody can tell counts as weaker")
    cells = ((one.kind, f"`{one.place}`", one.words.replace("|", "\\|").replace("<", "&lt;")) for one in found)
    rows = [f"| {' | '.join(row)} |" for row in cells]
    head = ["| | where | what |", "|---|---|---|"] if rows else ["No ruler is another."]
    write_summary(["## What this change does to what judges it", "", *head, *rows, ""])
