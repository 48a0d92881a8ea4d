"""What a person typed after `make run`: values such as PIPELINE=name, which the Makefile hands over as BUTTON_PIPELINE."""

from __future__ import annotations

import os
import sys
from collections.abc import Callable
from pathlib import Path

from onebutton_workbench.workspace import WorkbenchError


def value(name: str) -> str:
    """Return a value that was typed; an empty string when it was not."""
    return os.environ.get(f"BUTTON_{name}", "")


def clean_environment() -> dict[str, str]:
    """Return the environment for a program that a button starts.

    Left out is what belongs to somebody else: `GIT_*` of a hook points at another index, `MAKEFLAGS` and `BUTTON_*` are those of
    the button pressed and not of one pressed inside.
    """
    foreign = ("GIT_", "BUTTON_", "MAKE", "MFLAGS")
    return {name: text for name, text in os.environ.items() if not name.startswith(foreign)}


def without_tools(root: Path, path: str) -> str:
    """Take a checkout's own programs out of a PATH, for a program that must find another checkout's."""
    own = {str(root / ".venv/bin"), str(root / ".tools/bin")}
    return os.pathsep.join(part for part in path.split(os.pathsep) if part not in own)


def press(button: str, work: Callable[[], int]) -> None:
    """Run a button's work and end the program: with its status, or with one line when something is to be mended by a person."""
    try:
        sys.exit(work())
    except WorkbenchError as error:
        print(f"{button}: {error}", file=sys.stderr)
        sys.exit(1)
    except BrokenPipeError:  # the reader, such as `head`, has seen enough
        os._exit(141)  # as a program that the signal ends
    except KeyboardInterrupt:
        print(f"\n{button}: interrupted", file=sys.stderr)
        sys.exit(130)
