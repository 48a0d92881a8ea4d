"""What a check of ours says: an id, a place, what is wrong and what it costs, what mends it, and the page that explains it."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from pathlib import Path

PAGES = Path("docs/checks")
TOLD = 3  # the exit status of a check that found mistakes in drafts alone


@dataclass(frozen=True)
class Finding:
    """One thing that is not as it must be."""

    check: str  # the check's id, such as `OB103`; `docs/checks/OB103.md` explains it
    place: str  # the file, and the line where there is one
    words: str  # what is wrong, and what it would cost
    mend: str  # the button to press or the line to write

    def __str__(self) -> str:
        """Write it as a person reads it."""
        return f"{self.check} {self.place}: {self.words}.\n      Mend: {self.mend}.   {PAGES / self.check}.md"


def tell(findings: Sequence[Finding], nothing: str, drafts: Collection[str] = ()) -> int:
    """Print every finding, or `nothing` where there is none.

    Returns:
        The exit status: 1, or TOLD where all of them are in the folders of drafts, which stop nobody.
    """
    print(*(map(str, findings) if findings else [nothing]), sep="\n")
    folders = tuple(f"{draft}/" for draft in drafts)
    if all(finding.place.startswith(folders) for finding in findings):
        return TOLD if findings else 0
    return 1
