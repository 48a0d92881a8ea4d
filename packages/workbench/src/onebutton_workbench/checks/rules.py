"""Hold the repository to rules of its own: each family is a function that finds what breaks it. A part of `make lint`.

A rule yields findings, and lines that stop nobody: `TOLD …`, or `NOT RUN …` where there is nothing to compare with.
"""

from __future__ import annotations

import logging
import os
import sys
from collections.abc import Callable, Iterable, Sequence
from functools import partial
from pathlib import Path

from onebutton_contracts.errors import InputError, run_stage
from onebutton_workbench.checks import (
    assertion_rules,
    contract_rules,
    lock_rules,
    member_rules,
    ruler_rules,
    stage_rules,
    text_rules,
    workflow_rules,
)
from onebutton_workbench.findings import Finding, tell
from onebutton_workbench.lineage.changes import cut_off, target_branch
from onebutton_workbench.workspace import ROOT, drafts

Rule = Callable[[Path], Iterable[Finding | str]]
RULES: tuple[Rule, ...] = (
    member_rules.check_all,
    stage_rules.check_all,
    workflow_rules.check_all,
    lock_rules.check_hosts,
    lock_rules.check_licenses,
    assertion_rules.check,
    text_rules.check_cards,
    text_rules.check_links,
    text_rules.check_pickles,
)
# These compare with where the branch began, or with a base.
COMPARING: tuple[Callable[..., Iterable[Finding | str]], ...] = (contract_rules.check, ruler_rules.check)


def hold(root: Path, rules: Sequence[Rule]) -> int:
    """Print what breaks some rules; return the status as `tell` does.

    What could not be compared is red in a workflow that lacks the history: on a commit for another branch, and in a clone that is
    cut off.
    """
    findings: list[Finding] = []
    refused = False
    for rule in rules:
        try:
            for one in rule(root):
                if isinstance(one, Finding):
                    findings.append(one)
                    continue
                print(one)
                in_workflow = target_branch(os.environ) or (os.environ.get("CI") == "true" and cut_off(root))
                refused |= one.startswith("NOT RUN") and bool(in_workflow)
        except InputError as error:
            print(error)
            refused = True
    status = tell(findings, "no rule is broken", drafts(root))
    return 1 if refused else status


if __name__ == "__main__":
    logging.disable()  # deptry's own report, which says nothing of which member it is about
    compared = (partial(rule, base="".join(sys.argv[1:2])) for rule in COMPARING)
    run_stage(lambda: sys.exit(hold(ROOT, [*RULES, *compared])))
