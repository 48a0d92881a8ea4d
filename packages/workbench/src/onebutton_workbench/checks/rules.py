"""Print what our own rules find. The end of each family of rules that `make lint` calls."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterable
from pathlib import Path

from onebutton_contracts.errors import run_stage
from onebutton_workbench.findings import Finding, tell
from onebutton_workbench.workspace import ROOT, drafts


def hold(check: Callable[[Path], Iterable[Finding]], nothing: str) -> None:
    """Hold the repository to some rules, and end with the status of what was found; `nothing` is said where nothing was."""
    run_stage(lambda: sys.exit(tell(list(check(ROOT)), nothing, drafts(ROOT))))
