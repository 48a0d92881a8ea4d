"""What a check of ours says: an id, a place, what is wrong and what it costs, what mends it, and the page that explains it."""

from __future__ import annotations

import re
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from onebutton_workbench.pressed import press, value
from onebutton_workbench.workspace import ROOT, WorkbenchError

PAGES = Path("docs/checks")


@dataclass(frozen=True)
class Finding:
    """One thing that is not as it must be.

    Attributes:
        check: the check's id, such as `OB103`; `docs/checks/OB103.md` explains it.
        place: the file, and the line where there is one.
        words: what is wrong, and what it would cost.
        mend: the button to press or the line to write.
    """

    check: str
    place: str
    words: str
    mend: str

    def __str__(self) -> str:
        """Write it as a person reads it."""
        return f"{self.check} {self.place}: {self.words}.\n      Mend: {self.mend}.   {PAGES / self.check}.md"


def tell(findings: Sequence[Finding], nothing: str) -> int:
    """Print every finding, or one line that there is none; return the exit status."""
    for finding in findings:
        print(finding)
    if not findings:
        print(nothing)
    return 1 if findings else 0


def page(check: str, root: Path = ROOT) -> str:
    """Return the page of a check.

    Raises:
        WorkbenchError: there is no such check; the message lists those that exist.
    """
    file = root / PAGES / f"{check.upper()}.md"
    if not re.fullmatch(r"OB\d{3}", check.upper()) or not file.is_file():
        known = ", ".join(sorted(path.stem for path in (root / PAGES).glob("OB*.md")))
        message = f"there is no check {check!r}. ID can be: {known}"
        raise WorkbenchError(message)
    return file.read_text(encoding="utf-8")


def explain() -> int:
    """Print the page of the check that ID names; the work of `make explain`."""
    sys.stdout.write(page(value("ID")))
    return 0


if __name__ == "__main__":
    press("explain", explain)
