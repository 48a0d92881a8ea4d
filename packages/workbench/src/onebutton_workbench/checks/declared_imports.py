"""Hold members to what they declare: every import is declared, and every declared package imported. deptry finds it.

It is called for all members within one process: a hundred of them take a second, and half a minute as programs of their own.
"""

from __future__ import annotations

import json
import logging
import sys
import tempfile
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any

from onebutton_contracts.errors import run_stage
from onebutton_workbench.findings import TOLD
from onebutton_workbench.workspace import ROOT, drafts, members


def differences(folder: Path) -> list[str]:
    """Compare the imports of a member, in a folder of the current one, with its `pyproject.toml`: one line a difference."""
    from deptry.cli import cli  # type: ignore[import-untyped]

    with tempfile.NamedTemporaryFile(suffix=".json") as file:
        options = ["--config", f"{folder / 'pyproject.toml'}", "--json-output", file.name]
        with suppress(SystemExit):  # deptry ends so, whatever it found
            cli.main([f"{folder / 'src'}", *options], standalone_mode=False)
        found: list[dict[str, Any]] = json.loads(Path(file.name).read_bytes())
    places = (":".join(str(part) for part in one["location"].values() if part) for one in found)
    return [
        f"{place}: {one['error']['code']} {one['error']['message']}" for place, one in zip(places, found, strict=True)
    ]


def main(chosen: Sequence[str]) -> None:
    """Print what differs in some members, or in all; end with 1, or with TOLD where only drafts differ."""
    logging.disable()  # deptry's report, which would say nothing of which member it is about
    folders = [member.path for member in members(ROOT) if not chosen or member.path.as_posix() in chosen]
    found = {folder.as_posix(): differences(folder) for folder in folders if (ROOT / folder / "src").is_dir()}
    print(*(line for lines in found.values() for line in lines), sep="\n")
    wrong = {folder for folder, lines in found.items() if lines}
    sys.exit(0 if not wrong else TOLD if wrong <= set(drafts(ROOT)) else 1)


if __name__ == "__main__":
    run_stage(lambda: main(sys.argv[1:]))
