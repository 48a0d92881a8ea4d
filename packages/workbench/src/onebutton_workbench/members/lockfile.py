"""Let uv write `uv.lock`, here or in a copy of the workspace that holds nothing but what uv reads."""

from __future__ import annotations

import shutil
import subprocess
from collections.abc import Sequence
from pathlib import Path

from onebutton_workbench.pressed import clean_environment
from onebutton_workbench.workspace import Member

LOCK = "uv.lock"


def relock(folder: Path) -> str:
    """Let uv bring the lock in line with what the members declare; say why it could not, if so."""
    environment = clean_environment()
    environment.pop("UV_FROZEN", None)  # under it uv locks nothing
    command = ["uv", "lock", "--quiet"]
    done = subprocess.run(command, cwd=folder, env=environment, capture_output=True, text=True, check=False)
    return "" if done.returncode == 0 else " ".join(done.stderr.split()) or "uv does not say why"


def skeleton(root: Path, members: Sequence[Member], folder: Path) -> None:
    """Put up what uv and ruff go by: the lock, what every member declares, and where its modules are.

    Args:
        root: of the workspace.
        members: those of it that there should be.
        folder: an empty one.
    """
    for name in ("pyproject.toml", LOCK, ".python-version"):
        if (root / name).is_file():
            shutil.copy2(root / name, folder / name)
    for member in members:
        place = folder / member.path
        place.mkdir(parents=True)
        shutil.copy2(root / member.path / "pyproject.toml", place / "pyproject.toml")
        (place / "src").symlink_to(root / member.path / "src")
