"""Hold every data contract to the standard, and every change of one to its readers.

OB301 and OB303: `docs/checks/` has a page for each.

Where the history is cut off there is nothing to compare with: OB301 is then NOT RUN, and on GitHub that is red.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

from onebutton_contracts.compatibility import needs_major
from onebutton_contracts.contract import contract_of, load_contract
from onebutton_contracts.errors import InputError
from onebutton_workbench.findings import Finding
from onebutton_workbench.git import at_commit, git, holds, listed
from onebutton_workbench.lineage.changes import NothingToCompareError, choose_base, cut_off, is_commit, parted

PATTERN = "*.odcs.yaml"


def earlier(root: Path, base: str) -> str:
    """Name the commit whose contracts readers rely on: where this branch left main; on main itself the commit before.

    Raises:
        NothingToCompareError: this is a shallow clone, and that commit is not in it.
        InputError: this is no checkout, or has no commit.
    """
    with suppress(NothingToCompareError):
        left = parted(choose_base(base, root), root)
        # what is main already is compared with itself only while somebody edits a contract in it
        edited = not holds("diff", "--quiet", "--no-ext-diff", "HEAD", "--", PATTERN, folder=root)
        if edited or left != git("rev-parse", "HEAD", folder=root):
            return left
    if shallow := cut_off(root):
        raise NothingToCompareError(f"{shallow}. The contracts that readers rely on are not here to compare with")
    return git("rev-parse", "HEAD~1" if is_commit("HEAD~1", root) else "HEAD", folder=root)


def check(root: Path, base: str) -> Iterator[Finding | str]:
    """Compare every contract in git, or about to be, with the commit before; without one it is held to the standard alone."""
    commit = ""
    try:
        commit = earlier(root, base)
    except NothingToCompareError as error:
        yield f"NOT RUN OB301: {error}"
    for name in listed(root, PATTERN):
        try:
            contract = load_contract(root / name)
        except InputError as error:
            words = str(error).removeprefix(f"{root / name}: ")
            yield Finding("OB303", name, f"{words}, so no stage can be held to it", "the line that it names")
            continue
        broken: list[str] = []
        with suppress(InputError):  # one that could not be read then said nothing
            if commit and (before := at_commit(commit, name, root)):
                broken = list(needs_major(contract_of(before, Path(name)), contract))
        for words in broken:
            cost = f"{words} since {commit[:8]}, and the version is still {contract.version}: a reader would not notice"
            yield Finding("OB301", name, cost, f"version: {contract.major + 1}.0.0, and look at every reader")
