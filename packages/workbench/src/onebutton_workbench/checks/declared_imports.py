"""Hold members to what they declare: every import is declared, and every declared package imported. deptry finds it.

It is called for all members within one process: a hundred of them take a second, and half a minute as programs of their own.
"""

from __future__ import annotations

import json
import logging
import sys
import tempfile
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from onebutton_contracts.errors import run_stage
from onebutton_workbench.findings import TOLD
from onebutton_workbench.workspace import ROOT, drafts, members


def differences(folder: Path) -> Iterator[str]:
    """Compare a member's imports with its `pyproject.toml`.

    Args:
        folder: of the member, relative to the root, which is the current folder.

    Yields:
        One line a difference, with deptry's id.
    """
    from deptry.cli import cli  # type: ignore[import-untyped]

    with tempfile.NamedTemporaryFile(suffix=".json") as file:
        options = ["--config", f"{folder / 'pyproject.toml'}", "--json-output", file.name]
        try:
            cli.main([f"{folder / 'src'}", *options], standalone_mode=False)
        except SystemExit:  # deptry ends so, whatever it found
            found: list[dict[str, Any]] = json.loads(Path(file.name).read_bytes())
    for one in found:
        place = ":".join(str(part) for part in one["location"].values() if part)
        yield f"{place}: {one['error']['code']} {one['error']['message']}"


def main(chosen: Sequence[str]) -> None:
    """Print what differs in some members, or in all; end with 1, or with TOLD where only drafts differ."""
    logging.disable()  # deptry's report, which would say nothing of which member it is about
    folders = [member.path for member in members(ROOT) if not chosen or member.path.as_posix() in chosen]
    found = {folder.as_posix(): list(differences(folder)) for folder in folders if (ROOT / folder / "src").is_dir()}
    print(*(line for lines in found.values() for line in lines), sep="\n")
    wrong = {folder for folder, lines in found.items() if lines}
    sys.exit(0 if not wrong else TOLD if wrong <= set(drafts(ROOT)) else 1)


if __name__ == "__main__":
    run_stage(lambda: main(sys.argv[1:]))
