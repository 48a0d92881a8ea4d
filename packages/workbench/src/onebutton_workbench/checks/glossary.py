"""Keep the glossary true: every word points at a line of this repo where it is at work, and lines move.

An entry of `docs/glossary.md` is a heading `### word`, two lines of prose, and a link whose text is a piece of the very line
that it points at. So `make lint` can say whether the link still holds, and `make format` can find where the line went.
"""

from __future__ import annotations

import os
import re
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path

from onebutton_contracts.errors import run_stage
from onebutton_workbench.workspace import ROOT

GLOSSARY = Path("docs/glossary.md")
NOWHERE = "Here: nowhere yet"  # what a word says whose line went with a removed member
PROSE = 2  # lines: what it is, and why you care
_LINK = re.compile(r"^Here: \[`(?P<fragment>[^`]+)`\]\((?P<path>[^()#]+)#L(?P<line>\d+)\)$")


@dataclass(frozen=True)
class Link:
    """Where a word is at work.

    Attributes:
        fragment: a piece of that line, word for word.
        path: the file, relative to the glossary.
        line: the number of the line, from 1.
    """

    fragment: str
    path: str
    line: int


@dataclass(frozen=True)
class Entry:
    """One word.

    Attributes:
        prose: the lines between its heading and its link.
        link: None where the last line is no link of the form above.
        nowhere: whether it says that the word is at work nowhere.
    """

    word: str
    prose: tuple[str, ...]
    link: Link | None
    nowhere: bool = False


def read_entries(text: str) -> list[Entry]:
    """Take a glossary apart; what stands before the first word is its introduction."""
    return [_entry(part) for part in re.split(r"^### ", text, flags=re.MULTILINE)[1:]]


def _entry(part: str) -> Entry:
    word, *lines = (line.strip() for line in part.splitlines() if line.strip())
    prose = tuple(line for line in lines if not line.startswith("Here:"))
    last = lines[-1] if lines else ""
    return Entry(word, prose, _link(last), nowhere=last == NOWHERE)


def _link(line: str) -> Link | None:
    match = _LINK.match(line)
    return Link(match["fragment"], match["path"], int(match["line"])) if match else None


def read_sources(entries: Sequence[Entry], folder: Path) -> dict[str, list[str]]:
    """Read the lines of every file that an entry points at; one that is not there is left out."""
    paths = {entry.link.path for entry in entries if entry.link}
    return {
        path: (folder / path).read_text(encoding="utf-8").splitlines() for path in paths if (folder / path).is_file()
    }


def standing(fragment: str, lines: Sequence[str]) -> list[int]:
    """List the numbers of the lines that hold a fragment, from 1."""
    return [number for number, line in enumerate(lines, start=1) if fragment in line]


def check(entries: Sequence[Entry], sources: Mapping[str, Sequence[str]]) -> list[str]:
    """Say what is wrong with a glossary, one line for each fault.

    Args:
        entries: of the glossary, in its order.
        sources: the lines of each file that they point at, by the path that they name.
    """
    faults = [] if entries else ["it explains no word"]
    for before, after in pairwise(entry.word for entry in entries):
        if before.casefold() == after.casefold():
            faults.append(f"{after!r} is there twice")
        elif before.casefold() > after.casefold():
            faults.append(f"{after!r} stands after {before!r}: the words are in the order of the alphabet")
    for entry in entries:
        if len(entry.prose) != PROSE:
            faults.append(
                f"{entry.word!r} has {len(entry.prose)} lines of prose: one says what it is, one why you care"
            )
        if not entry.nowhere:
            faults += [f"{entry.word!r} {fault}" for fault in _faults_of_link(entry.link, sources)]
    return faults


def _faults_of_link(link: Link | None, sources: Mapping[str, Sequence[str]]) -> list[str]:
    if link is None:
        return ["does not end with a link such as: Here: [`ruff format`](../Makefile#L59)"]
    if link.path not in sources:
        return [f"points at {link.path}, and there is no such file"]
    found = standing(link.fragment, sources[link.path])
    if link.line in found:
        return []
    now = f"now on line {', '.join(map(str, found))}" if found else "on no line of it any more"
    return [f"points at line {link.line} of {link.path} for `{link.fragment}`, which is {now}"]


def relocate(text: str, sources: Mapping[str, Sequence[str]]) -> str:
    """Point each link at the line where its fragment stands now.

    The nearest line is taken. A link is left as it is, for `check` to find, where no line holds the fragment or two are
    equally near.
    """
    return "\n".join(_relocated(line, sources) for line in text.split("\n"))


def _relocated(line: str, sources: Mapping[str, Sequence[str]]) -> str:
    link = _link(line)
    if link is None:
        return line
    by_distance = sorted((abs(now - link.line), now) for now in standing(link.fragment, sources.get(link.path, ())))
    nearest = [now for distance, now in by_distance if distance == by_distance[0][0]]
    return f"Here: [`{link.fragment}`]({link.path}#L{nearest[0]})" if len(nearest) == 1 else line


def mend(root: Path = ROOT) -> int:
    """Rewrite the line numbers of the glossary; part of `make format`. What only a person can mend is told; lint refuses it."""
    path = root / GLOSSARY
    if not path.is_file():
        print(f"glossary: NOT RUN: there is no {GLOSSARY}")
        return 0
    text = path.read_text(encoding="utf-8")
    sources = read_sources(read_entries(text), path.parent)
    mended = relocate(text, sources)
    if mended != text:
        draft = path.with_suffix(f".{os.getpid()}")
        draft.write_text(mended, encoding="utf-8")
        draft.rename(path)
        moved = sum(old != new for old, new in zip(text.split("\n"), mended.split("\n"), strict=True))
        print(f"glossary: {moved} of its links follow their lines")
    for fault in check(read_entries(mended), sources):
        print(f"glossary: {fault}")
    return 0


def refuse(root: Path = ROOT) -> int:
    """Fail where a word points at the wrong line or stands in the wrong place; part of `make lint`. No glossary, no fault."""
    path = root / GLOSSARY
    if not path.is_file():
        return 0
    entries = read_entries(path.read_text(encoding="utf-8"))
    found = check(entries, read_sources(entries, path.parent))
    print("".join(f"{GLOSSARY}: {fault}\n" for fault in found), end="")
    return 1 if found else 0


if __name__ == "__main__":
    run_stage(lambda: sys.exit(refuse()))
