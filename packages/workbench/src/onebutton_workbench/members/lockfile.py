"""Let uv write `uv.lock`."""

from __future__ import annotations

import subprocess
from pathlib import Path

from onebutton_contracts.errors import InputError
from onebutton_workbench.environment import clean_environment

LOCK = "uv.lock"


def relock(folder: Path) -> str:
    """Let uv bring the lock in line with what the members declare; say why it could not, if so."""
    environment = clean_environment()
    environment.pop("UV_FROZEN", None)  # under it uv locks nothing
    command = ["uv", "lock", "--quiet"]
    done = subprocess.run(command, cwd=folder, env=environment, capture_output=True, text=True, check=False)
    return "" if done.returncode == 0 else " ".join(done.stderr.split()) or "uv does not say why"


def lock(folder: Path) -> None:
    """Let uv write the lock, or refuse what the members declare.

    Raises:
        InputError: uv cannot lock it; the caller takes back what was changed.
    """
    if problem := relock(folder):
        message = f"uv could not lock it: {problem}. Nothing was changed"
        raise InputError(message)
