"""What a check of ours says: an id, a place, what is wrong and what it costs, what mends it, and the page that explains it."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from pathlib import Path

PAGES = Path("docs/checks")
TOLD = 3  # the exit status of a check that found mistakes in drafts alone


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


def tell(findings: Sequence[Finding], nothing: str, drafts: Collection[str] = ()) -> int:
    """Print every finding, or one line that there is none.

    Args:
        findings: of one check.
        nothing: what is said where there is none.
        drafts: the folders of drafts: what is found there stops nobody.

    Returns:
        The exit status: 1, or TOLD where drafts alone have mistakes.
    """
    for finding in findings:
        print(finding)
    if not findings:
        print(nothing)
    folders = tuple(f"{draft}/" for draft in drafts)
    if all(finding.place.startswith(folders) for finding in findings):
        return TOLD if findings else 0
    return 1
