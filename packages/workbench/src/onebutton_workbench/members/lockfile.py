"""Let uv write `uv.lock`."""

from __future__ import annotations

import subprocess
from pathlib import Path

from onebutton_workbench.pressed import clean_environment
from onebutton_workbench.workspace import WorkbenchError

LOCK = "uv.lock"


def relock(folder: Path) -> str:
    """Let uv bring the lock in line with what the members declare; say why it could not, if so."""
    environment = clean_environment()
    environment.pop("UV_FROZEN", None)  # under it `uv lock` does nothing
    command = ["uv", "lock", "--quiet"]
    done = subprocess.run(command, cwd=folder, env=environment, capture_output=True, text=True, check=False)
    return "" if done.returncode == 0 else " ".join(done.stderr.split()) or "uv does not say why"


def lock(folder: Path) -> None:
    """Let uv write the lock, or refuse what the members declare.

    Raises:
        WorkbenchError: uv cannot lock it; whoever calls it takes back what was changed.
    """
    if problem := relock(folder):
        message = f"uv could not lock it: {problem}. Nothing was changed"
        raise WorkbenchError(message)
