"""Hold the repository to rules of its own: each is a function that finds what breaks it. A part of `make lint`.

A rule yields findings, and lines that stop nobody: `TOLD …`.
"""

import logging
import os
import sys
from collections.abc import Callable, Iterable, Mapping, Sequence
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
from onebutton_workbench.files import read_texts
from onebutton_workbench.findings import Finding, tell
from onebutton_workbench.git import listed
from onebutton_workbench.lineage import changes as lineage
from onebutton_workbench.workspace import ROOT, drafts

Found = Iterable[Finding | str]
# A rule takes the path and the text of each file in git that matches its patterns; without patterns the root of the repository.
RULES: Mapping[Callable[..., Found], Sequence[str]] = {
    member_rules.check_all: (),
    stage_rules.check_all: (),
    assertion_rules.check: (),
    audit.check_licenses: (),
    text_rules.check_cards: (),
    text_rules.check_standard: (text_rules.CONTRACTS,),
    text_rules.check_links: ("*.md",),
    text_rules.check_pickles: ("*.py", "*.ipynb"),
    workflow_rules.check_workflow: (".github/workflows/*.y*ml", ".github/actions/*/action.y*ml"),
    workflow_rules.check_makefile: ("Makefile",),
}
# These look at what changed since this branch left the one that it will go into.
COMPARING: Sequence[Callable[[lineage.Changes], Found]] = (text_rules.check_readers, ruler_rules.check)


def hold(root: Path, base: str = "", rules: Mapping[Callable[..., Found], Sequence[str]] = RULES) -> int:
    """Print what breaks the rules; return the status as `tell` does.

    What could not be compared is red in a workflow that lacks the history: on a commit for another branch, and in a clone that is
    cut off.
    """
    looks: list[Callable[[], Found]] = []
    for rule, patterns in rules.items():
        files = read_texts(root, listed(root, *patterns)).items() if patterns else [(root,)]
        looks += [partial(rule, *one) for one in files]
    refused = False
    try:
        changes = lineage.changes_since(base, root)
        looks += [partial(rule, changes) for rule in COMPARING]
    except lineage.NothingToCompareError as error:
        print(f"NOT RUN OB301, OB411, OB412: {error}")
        in_ci = os.environ.get("CI") == "true"
        refused = bool(lineage.target_branch() or (in_ci and lineage.cut_off(root)))
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
