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
from typing import Any

from onebutton_workbench.checks.assertion_rules import functions, skips
from onebutton_workbench.checks.ruler_rules import ruler_changes
from onebutton_workbench.checks.rulers import Change, differences
from onebutton_workbench.lineage.changes import Changes, NothingToCompareError, changes_since, choose_base
from onebutton_workbench.runs.metrics import write_summary
from onebutton_workbench.workspace import ROOT

IGNORES = re.compile(
    r"#\s*(noqa|type: ignore|nosec|fmt: off|pragma: (no cover|allowlist)|shellcheck disable|yamllint disable|zizmor: ignore"
    r"|(better|git)leaks:allow)|<!-- rumdl-disable"
)
ORDER = ("weaker", "removed", "new", "stricter", "upgrade")


def read_tests(file: str, text: str) -> dict[str, Any]:
    """Read how often a file tells a tool to look away, and of tests how much each asserts and how many are passed over."""
    source = text if fnmatch(file, "*/tests/*.py") else ""
    tests = {one.name: {"assertions": one.assertions()} for one in functions(source) if one.is_test}
    return {"tests": tests, "skips": len([*skips(source)]), "ignores": len(IGNORES.findall(text))}


def test_changes(changes: Changes) -> Iterator[Change]:
    """Find tests that are gone, assert less, or are passed over; and ignores in any file."""
    found = [one for file in changes.files for one in differences(file, *changes.texts(file), read_tests)]
    moved = {one.path for one in found if one.kind == "new"}
    yield from (one for one in found if one.kind in {"weaker", "removed"} and one.path not in moved)


def ruler(base: str = "", root: Path = ROOT) -> None:
    """Print every change of a ruler since this branch left another, and in a workflow write the summary."""
    try:
        changes = changes_since(choose_base(base, root), root)
    except NothingToCompareError as error:
        print(f"ruler: NOT RUN: {error}")
        return
    found = [*ruler_changes(changes), *test_changes(changes)]
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
