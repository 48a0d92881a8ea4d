"""List the buttons of the Makefile, grouped, with their help lines; or print the page of a check.

It reads the Makefile itself, so a button cannot be listed and missing, or there and unlisted. It runs before anything is
installed, so it imports the standard library alone.
"""

from __future__ import annotations

import os
import re
import sys
from itertools import groupby
from operator import attrgetter
from pathlib import Path
from typing import NamedTuple

ROOT = Path(__file__).resolve().parents[4]
EVERY_DAY = "Every day"
_LINE = re.compile(r"^(?:##@ (?P<group>.+)|(?P<name>[a-z][a-z-]*):[^#=\n]*## (?P<help>.+))$", re.MULTILINE)


class Button(NamedTuple):
    """One target of the Makefile that people press."""

    group: str
    name: str
    help: str


def read_buttons(makefile: str) -> list[Button]:
    """Collect the targets that carry a `## help` line, each under the `##@ group` line above it."""
    buttons, group = [], ""
    for line in _LINE.finditer(makefile):
        group = line["group"] or group
        buttons += [Button(group, line["name"], line["help"])] if line["name"] else []
    return buttons


def page(buttons: list[Button], *, everything: bool) -> str:
    """Write the list for a terminal, wide enough for the longest name."""
    width = max(len(button.name) for button in buttons) + 2
    shown = [button for button in buttons if everything or button.group == EVERY_DAY]
    text = ""
    for group, members in groupby(shown, key=attrgetter("group")):
        text += f"{group}:\n" + "".join(f"  make {button.name:<{width}}{button.help}\n" for button in members) + "\n"
    hidden = len(buttons) - len(shown)
    return text + (
        f"`make help ALL=1` lists {hidden} more." if hidden else "Each button sets itself up; docs/ explains."
    )


def main() -> None:
    """Print the list, all of it with ALL=1; or with ID=OB103 the page of that check."""
    if check := os.environ.get("BUTTON_ID", ""):
        pages = {path.stem: path for path in sorted((ROOT / "docs/checks").glob("OB*.md"))}
        if check.upper() not in pages:
            sys.exit(f"help: there is no check {check!r}. ID can be: {', '.join(pages)}")
        print(pages[check.upper()].read_text(encoding="utf-8"), end="")
        return
    buttons = read_buttons((ROOT / "Makefile").read_text(encoding="utf-8"))
    print(page(buttons, everything=bool(os.environ.get("BUTTON_ALL"))))


if __name__ == "__main__":
    main()
