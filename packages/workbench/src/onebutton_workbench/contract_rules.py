"""Hold every data contract to the standard, and every change of one to its readers.

| id | rule |
|---|---|
| OB301 | what breaks readers of a contract comes with a new major version |
| OB303 | a contract keeps the standard, and says nothing that would not be checked |
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

from onebutton_contracts.compatibility import needs_major
from onebutton_contracts.contract import Contract, contract_of, load_contract
from onebutton_contracts.errors import InputError
from onebutton_workbench.changes import NothingToCompareError, default_base, is_commit
from onebutton_workbench.checkout import call, git, names
from onebutton_workbench.findings import Finding, tell
from onebutton_workbench.pressed import press
from onebutton_workbench.workspace import ROOT

PATTERN = "*.odcs.yaml"


def earlier(root: Path) -> str:
    """Name the commit whose contracts readers rely on: where this branch left main; on main itself the commit before.

    Raises:
        WorkbenchError: this is no checkout, or has no commit.
    """
    try:
        base = default_base(root, os.environ)
        if is_commit(base, root) and not call("merge-base", base, "HEAD", folder=root).returncode:
            return git("merge-base", base, "HEAD", folder=root)
    except NothingToCompareError:
        pass
    return git("rev-parse", "HEAD~1" if is_commit("HEAD~1", root) else "HEAD", folder=root)


def check(root: Path) -> Iterator[Finding]:
    """Hold every contract in git, or about to be, to the rules.

    Raises:
        WorkbenchError: git refuses.
    """
    listed = ("ls-files", "-z", "--cached", "--others", "--exclude-standard", "--deduplicate", "--", PATTERN)
    base = earlier(root)
    for name in names(*listed, folder=root):
        if not (root / name).is_file():
            continue
        try:
            contract = load_contract(root / name)
        except InputError as error:
            words = str(error).removeprefix(f"{root / name}: ")
            yield Finding("OB303", name, f"{words}, so no stage can be held to it", "the line that it names")
            continue
        before = _before(name, base, root)
        for words in needs_major(before, contract) if before else ():
            cost = f"{words} since {base[:8]}, and the version is still {contract.version}: a reader would not notice"
            yield Finding("OB301", name, cost, f"version: {contract.major + 1}.0.0, and look at every reader")


def _before(name: str, base: str, root: Path) -> Contract | None:
    """Read a contract as it was; None when it is new, or could not be read then either."""
    shown = call("show", f"{base}:./{name}", folder=root)
    try:
        return contract_of(shown.stdout, Path(name)) if shown.returncode == 0 else None
    except InputError:
        return None


def lint() -> int:
    """Print what breaks a rule; a part of `make lint`."""
    return tell(list(check(ROOT)), "every contract keeps the standard, and no reader is broken")


if __name__ == "__main__":
    press("lint", lint)
