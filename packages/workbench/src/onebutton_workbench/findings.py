"""What a check of ours says: an id, a place, what is wrong and what it costs, what mends it, and the page that explains it."""

import json
import re
from collections.abc import Collection, Sequence
from dataclasses import dataclass
from pathlib import Path

PAGES = Path("docs/checks")
AT = r"(?P<place>[\w.-][\w./-]*(:\d+)?)"
LINES = tuple(  # how a finding is told: by a check of ours, ruff, the other tools, pytest, `make ruler`, and the gates
    re.compile(one)
    for one in (
        rf"(?P<check>OB\d{{3}}) {AT}: (?P<words>.*)",
        rf"(?P<check>[A-Z]+\d+) (\[\*\] )?(?P<words>.*)\n *--> {AT}:\d+",
        r"(?P<place>[\w.-][\w./-]*:\d+)(:\d+)?: (error: )?(?P<words>.*?)(  \[(?P<check>[\w-]+)\])?$",
        r"(?P<check>FAILED|ERROR) (?P<place>[\w./-]+)(::)?(?P<words>.*)",
        rf"(?P<check>weaker|removed|new|stricter|upgrade) +{AT} +(?P<words>.*)",
        r"(?P<result>failed|NOT RUN) +(?P<check>[\w-]+)  +(?P<words>\S.*(\n {12,}.*)*)",
    )
)
JUDGED = re.compile(r"([\w-]+)(, a draft)?\.( Ask: .*)?")  # the pipeline whose gates follow
PART = re.compile(
    r"^\w+: (?P<result>failed|NOT RUN|mistakes in drafts): (?P<check>.*)\n(?P<said>(    .*\n|\n)*)", re.MULTILINE
)
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


def document(button: str, status: int, said: str) -> str:
    """Write what a button said as one JSON document, for programs; each finding as a person reads it, in its parts."""
    found: list[dict[str, str | int]] = []
    for part in PART.finditer(said):  # one tool of `make lint` or `make audit`; where it names no place, as one finding
        what, _, mend = part["said"].strip().rpartition("mend: ")
        as_one = {"id": part["check"], "file": "", "line": 0, "words": what.strip(), "mend": mend}
        found += [one | {"result": part["result"]} for one in _told(what, mend) or [as_one]]
    told = _told(PART.sub("", said), "as it says")  # what stops nobody, such as mistakes in drafts, says so
    found += [one | ({"result": "told"} if status == 0 and one["result"] == "failed" else {}) for one in told]
    last = said.strip().rpartition("\n")[2]
    after = last.partition("Next: ")[2] or (f"mend them, then make {button}" if status else "")
    content = {"button": f"make {button}", "passed": status == 0, "said": last, "findings": found, "next": after}
    return json.dumps(content, indent=1)


def _told(said: str, mend: str) -> list[dict[str, str | int]]:
    """Read each line that tells a finding; what one of ours says mends it itself."""
    found: list[dict[str, str | int]] = []
    place = ""
    for line in re.split(r"\n(?! {6,}| *-->)", said):
        if pipeline := JUDGED.fullmatch(line):
            place = f"pipelines/{pipeline[1]}/gates.toml"
        if match := next(filter(None, (one.match(line.strip()) for one in LINES)), None):
            said_so = {name: text for name, text in match.groupdict().items() if text}
            facts = {"result": "failed", "check": "", "place": place} | said_so
            file, _, number = facts["place"].partition(":")
            of_ours = re.search(r"Mend: (.*?)\.   docs/checks", line, re.DOTALL)
            words, mends = " ".join(facts["words"].split()), of_ours[1] if of_ours else mend
            one: dict[str, str | int] = {"id": facts["check"], "file": file, "line": int(number or 0), "words": words}
            found.append(one | {"mend": mends, "result": facts["result"]})
    return found
