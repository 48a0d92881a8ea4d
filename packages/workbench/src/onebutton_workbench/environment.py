"""The environment of programs that a button starts."""

import subprocess
from pathlib import Path
from typing import Any

from onebutton_tracking.commit import git_environment


def call(*command: str, folder: Path, **variables: str) -> subprocess.CompletedProcess[str]:
    """Call a program in that environment and some more variables; return its status and what it says, which may be no text."""
    read: dict[str, Any] = {"capture_output": True, "text": True, "errors": "backslashreplace"}
    environment, nothing = git_environment() | variables, subprocess.DEVNULL
    return subprocess.run(command, cwd=folder, env=environment, stdin=nothing, check=False, **read)


def add_groups(*groups: str, folder: Path) -> subprocess.CompletedProcess[str]:
    """Install dependency groups that no member needs, beside what is there."""
    named = [word for group in groups for word in ("--group", group)]
    return call("uv", "sync", "--all-packages", "--frozen", "--inexact", "--quiet", *named, folder=folder)
