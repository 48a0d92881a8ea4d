"""Hold every data contract to the standard, and every change of one to its readers.

OB301 and OB303: `docs/checks/` has a page for each.
"""

from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

from onebutton_contracts.compatibility import needs_major
from onebutton_contracts.contract import contract_of, load_contract
from onebutton_contracts.errors import InputError
from onebutton_workbench.findings import Finding
from onebutton_workbench.git import listed
from onebutton_workbench.lineage.changes import Changes

ENDS = ".odcs.yaml"


def check_standard(root: Path) -> Iterator[Finding]:
    """Read every contract in git, or about to be."""
    for name in listed(root, f"*{ENDS}"):
        try:
            load_contract(root / name)
        except InputError as error:
            words = str(error).removeprefix(f"{root / name}: ")
            yield Finding("OB303", name, f"{words}, so no stage can be held to it", "the line that it names")


def check_readers(changes: Changes) -> Iterator[Finding]:
    """Compare every contract that changed with what readers rely on. One that cannot be read promises nothing."""
    for name in (file for file in changes.files if file.endswith(ENDS)):
        broken: list[str] = []
        with suppress(InputError):
            old, new = (contract_of(text, Path(name)) for text in changes.texts(name))
            broken = list(needs_major(old, new))
        for words in broken:
            cost = (
                f"{words} since {changes.commit[:8]}, and the version is still {new.version}: a reader would not notice"
            )
            yield Finding("OB301", name, cost, f"version: {new.major + 1}.0.0, and look at every reader")
