"""Make the environment: a pinned uv, every locked package in `.venv`, the git hooks.

This runs before anything is installed, as `python3 .../bootstrap.py`, so it imports the standard library alone and stays
readable to the oldest Python that a machine may call `python3`.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parents[4]
TOOLS = ROOT / ".tools"
STAMP = ROOT / ".venv" / ".synced"
OLDEST_PYTHON = (3, 11)


class SetupError(Exception):
    """Something that a person can mend; the message is what they read."""


def locked_version(lock: str, package: str) -> str:
    """Read the version of one package from the text of a `uv.lock`, without a TOML parser (Python 3.10 has none)."""
    lines = lock.splitlines()
    for name, version in zip(lines, lines[1:]):  # noqa: B905, RUF007  both came with Python 3.10
        if name == f'name = "{package}"':
            return version.removeprefix('version = "').removesuffix('"')
    message = f"uv.lock does not name {package}: restore it with `git checkout uv.lock`"
    raise SetupError(message)


def version_of(uv: str) -> str:
    """Ask a uv program for its version; an empty string when it does not answer."""
    try:
        answer = subprocess.run([uv, "--version"], capture_output=True, text=True, check=False)
    except OSError:
        return ""
    words = answer.stdout.split()
    return words[1] if answer.returncode == 0 and len(words) > 1 else ""


def same_minor(one: str, other: str) -> bool:
    """Two versions that `required-version` in pyproject.toml treats alike, such as 0.13.2 and 0.13.9."""
    return bool(one) and one.split(".")[:2] == other.split(".")[:2]


def foreign_path(path: str) -> str:
    """Take this checkout's own programs, which may be of an earlier day, out of a PATH."""
    own = {str(ROOT / ".venv" / "bin"), str(TOOLS / "bin")}
    return os.pathsep.join(part for part in path.split(os.pathsep) if part not in own)


def find_uv() -> str:
    """Return a good uv: one on PATH, the one fetched before, or the pinned one fetched now into `.tools/`."""
    pinned = locked_version((ROOT / "uv.lock").read_text(encoding="utf-8"), "uv")
    path = os.environ.get("PATH", os.defpath)
    for candidate in (shutil.which("uv"), shutil.which("uv", path=foreign_path(path)), str(TOOLS / "bin" / "uv")):
        if candidate and same_minor(version_of(candidate), pinned):
            return candidate
    say(f"uv {pinned} -> .tools/")
    python = base_python()
    pip = [
        python,
        "-m",
        "pip",
        "install",
        "--quiet",
        "--disable-pip-version-check",
        "--no-warn-script-location",
    ]
    fetched = subprocess.run([*pip, "--upgrade", "--target", str(TOOLS), f"uv=={pinned}"], check=False)
    if fetched.returncode:
        message = (
            f"uv {pinned} could not be fetched: pip, called as `{python} -m pip`, says why above. "
            "Without a network or without pip, put a uv of that version on PATH, then press the button again."
        )
        raise SetupError(message)
    return str(TOOLS / "bin" / "uv")


def base_python() -> str:
    """Name the Python that has pip: that of `.venv`, which is first on PATH once it is there, has none."""
    return getattr(sys, "_base_executable", None) or sys.executable


def link_uv(uv: str) -> None:
    """Let `.tools/bin/uv` be the uv in use, so that the buttons that change the lock call the same one."""
    here = TOOLS / "bin" / "uv"
    if Path(uv) != here:
        here.parent.mkdir(parents=True, exist_ok=True)
        here.unlink(missing_ok=True)
        here.symlink_to(uv)


def python_arguments(uv: str) -> list[str]:
    """Take the Python that `.python-version` asks for where the machine has it, else the one at hand, else let uv fetch it."""
    asked = subprocess.run([uv, "python", "find", "--no-python-downloads"], cwd=ROOT, capture_output=True, check=False)
    if asked.returncode and sys.version_info >= OLDEST_PYTHON:
        return ["--python", sys.executable]
    return []


def sync(uv: str) -> None:
    """Install every member and every locked package into `.venv`."""
    quiet = [] if sys.stderr.isatty() else ["--quiet"]  # progress is for people, two hundred names in a log for nobody
    command = [uv, "sync", "--all-packages", "--frozen", *quiet, *python_arguments(uv)]
    environment = {key: value for key, value in os.environ.items() if key != "VIRTUAL_ENV"}
    if subprocess.run(command, cwd=ROOT, env=environment, check=False).returncode:
        message = (
            "the environment is not complete: uv says why above. Packages come from the network the first time and from "
            "uv's cache afterwards, so without either this cannot work. Once connected, press the same button again; "
            "`make doctor` shows what else is missing."
        )
        raise SetupError(message)


def install_hooks() -> None:
    """Let `git commit` and `git push` press the buttons, where this folder is a git checkout."""
    environment = {key: value for key, value in os.environ.items() if not key.startswith("GIT_")}
    ask = ["git", "-C", str(ROOT), "config", "--get", "core.hooksPath"]
    inside = ["git", "-C", str(ROOT), "rev-parse", "--show-toplevel"]
    if not shutil.which("git"):
        return
    top = subprocess.run(inside, env=environment, capture_output=True, text=True, check=False).stdout.strip()
    if not top or Path(top).resolve() != ROOT:
        say("not a git checkout, so no hooks")
        return
    own_hooks = subprocess.run(ask, env=environment, capture_output=True, text=True, check=False).stdout.strip()
    if own_hooks:
        say(f"git's core.hooksPath is {own_hooks}, so the hooks of this repo are not installed; CI checks all the same")
        return
    pre_commit = [str(ROOT / ".venv" / "bin" / "pre-commit"), "install"]
    done = subprocess.run(pre_commit, cwd=ROOT, env=environment, capture_output=True, text=True, check=False)
    if done.returncode:
        raise SetupError("the git hooks could not be installed: " + (done.stdout + done.stderr).strip())


def say(words: str) -> None:
    """Print one line of progress."""
    print(f"setup: {words}", flush=True)


def main() -> int:
    """Do it all, and leave a stamp that tells make when it was done."""
    say("installing what uv.lock pins into .venv (first time: about 1.3 GB)")
    try:
        uv = find_uv()
        link_uv(uv)
        sync(uv)
        install_hooks()
    except SetupError as error:
        print(f"setup: {error}", file=sys.stderr)
        return 1
    STAMP.touch()
    say("ready")
    return 0


if __name__ == "__main__":
    sys.exit(main())
