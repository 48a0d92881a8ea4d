"""Hold the repository to rules of its own: each family is a function that finds what breaks it. A part of `make lint`.

A rule yields findings, and lines that stop nobody: `TOLD …`.
"""

import logging
import os
import sys
from collections.abc import Callable, Iterable
from functools import partial
from pathlib import Path

from onebutton_contracts.errors import InputError, run_stage
from onebutton_workbench.checks import (
    assertion_rules,
    audit,
    member_rules,
    ruler_rules,
    stage_rules,
    text_rules,
    workflow_rules,
)
from onebutton_workbench.findings import Finding, tell
from onebutton_workbench.lineage import changes as lineage
from onebutton_workbench.workspace import ROOT, drafts

Found = Iterable[Finding | str]
RULES: tuple[Callable[[Path], Found], ...] = (
    member_rules.check_all,
    stage_rules.check_all,
    workflow_rules.check_all,
    audit.check_licenses,
    assertion_rules.check,
    text_rules.check_standard,
    text_rules.check_cards,
    text_rules.check_links,
    text_rules.check_pickles,
)
# These look at what changed since this branch left the one that it will go into.
COMPARING: tuple[Callable[[lineage.Changes], Found], ...] = (text_rules.check_readers, ruler_rules.check)


def hold(
    root: Path,
    base: str = "",
    rules: Iterable[Callable[[Path], Found]] = RULES,
    comparing: Iterable[Callable[[lineage.Changes], Found]] = COMPARING,
) -> int:
    """Print what breaks the rules; return the status as `tell` does.

    What could not be compared is red in a workflow that lacks the history: on a commit for another branch, and in a clone that is
    cut off.
    """
    looks = [partial(rule, root) for rule in rules]
    refused = False
    try:
        changes = lineage.changes_since(base, root)
        looks += [partial(rule, changes) for rule in comparing]
    except lineage.NothingToCompareError as error:
        print(f"NOT RUN OB301, OB411, OB412: {error}")
        in_ci = os.environ.get("CI") == "true"
        refused = bool(lineage.target_branch(os.environ) or (in_ci and lineage.cut_off(root)))
    found: list[Finding | str] = []
    for look in looks:
        try:
            found += look()
        except InputError as error:
            print(error)
            refused = True
    print("".join(f"{one}\n" for one in found if isinstance(one, str)), end="")
    status = tell([one for one in found if isinstance(one, Finding)], "no rule is broken", drafts(root))
    return 1 if refused else status


if __name__ == "__main__":
    logging.disable()  # deptry's own report, which says nothing of which member it is about
    run_stage(lambda: sys.exit(hold(ROOT, "".join(sys.argv[1:2]))))
