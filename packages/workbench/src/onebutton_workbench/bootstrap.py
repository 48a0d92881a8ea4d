"""Make the environment: a pinned uv, every locked package in `.venv`, the git hooks. With `lock`: write uv.lock anew.

This runs before anything is installed, as `python3 .../bootstrap.py`, so it imports the standard library alone and stays
readable to the oldest Python that a machine may call `python3`.
"""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parents[4]
TOOLS = ROOT / ".tools"
STAMP = ROOT / ".venv" / ".synced"
OLDEST_PYTHON = (3, 11)
LOCK = ROOT / "uv.lock"
# Git calls these where two branches changed one file: .gitattributes says for which files.
DRIVERS = {
    "merge.remade.driver": "true",  # keeps our side: `make run` makes it again
    # A text merge where it is clean, else our side: `make lock` brings what is lacking.
    "merge.lock.driver": "cp %A %A~ && { git merge-file -q %A %O %B || cp %A~ %A; }; rm -f %A~",
}
OTHER_HOOKS = "git's core.hooksPath is {}, so the hooks of this repo are not installed; CI checks all the same"
LAGS = (
    "uv.lock is not in line with what every pyproject.toml declares, as after a merge or an edit: `make lock` writes it "
    "anew; a commit takes it with the folder of each new member (`git add`). Then press the same button again"
)
INCOMPLETE = (
    "the environment is not complete: uv says why above. Packages come from the network the first time and from "
    "uv's cache afterwards. Once connected, press the same button again; `make doctor` shows what else is missing."
)
# What can lead uv to a place in a line of a lock.
PLACE = re.compile(r"""://|\b(url|path|git|registry|directory|editable|virtual)["']?\s*=""")


class SetupError(Exception):
    """Something that a person can mend; the message is what they read."""


def locked(lock: str, package: str) -> tuple[str, list[str]]:
    """Read one package from the text of a `uv.lock`, as Python 3.10 reads no TOML: its version, and the hashes of its files."""
    about = lock.partition(f'\nname = "{package}"\nversion = "')[2].partition("\n[[package]]")[0]
    if not about:
        raise SetupError(f"uv.lock does not name {package}: restore it with `git checkout uv.lock`")
    return about.partition('"')[0], re.findall(r'hash = "(sha256:[0-9a-f]{64})"', about)


def from_elsewhere(lock: str, settings: str) -> list[str]:
    """List the lines of a lock that lead to a host which `package-hosts` does not list, or that nothing holds to a hash."""
    listed = re.search(r"^package-hosts = \[(.*?)\]", settings, re.MULTILINE | re.DOTALL)
    hosts = "|".join(map(re.escape, re.findall(r'"([^"]+)"', listed[1]) if listed else []))
    # as uv writes an index, a file and a member: once these are taken out, nothing may lead anywhere
    good = re.compile(
        rf'(registry = "https://({hosts})/[^"]*"|url = "https://({hosts})/[^"]*", hash = "sha256:[0-9a-f]{{64}}"'
        r'|(editable|virtual) = "(\.|p\w+/[\w-]+)")'
    )
    wrong = "leads to no https host of `package-hosts`, or has no sha256, so anything could come from there"
    return [
        f"uv.lock:{number}: `{line.strip()[:80]}` {wrong}"
        for number, line in enumerate(lock.splitlines(), 1)
        if "\\" in line or PLACE.search(good.sub(" ", line))
    ]


def conflict_in(file: Path) -> bool:
    """Say whether git marks a conflict in a file."""
    return bool(re.search("^<<<<<<< ", file.read_text(encoding="utf-8", errors="replace"), re.MULTILINE))


def fits(uv: str) -> bool:
    """Say whether a uv is of a version that pyproject.toml requires: any other refuses to start here."""
    try:
        return call(uv, "python", "dir").returncode == 0
    except OSError:
        return False


def without_tools(root: Path, path: str) -> str:
    """Take a checkout's own programs out of a PATH."""
    own = {str(root / ".venv/bin"), str(root / ".tools/bin")}
    return os.pathsep.join(part for part in path.split(os.pathsep) if part not in own)


def find_uv() -> str:
    """Make `.tools/bin/uv` a good uv: the one on PATH, the one fetched before, or the pinned one fetched now."""
    here, there = TOOLS / "bin/uv", shutil.which("uv", path=without_tools(ROOT, os.environ.get("PATH", os.defpath)))
    if there and fits(there):
        here.parent.mkdir(parents=True, exist_ok=True)
        here.unlink(missing_ok=True)
        here.symlink_to(there)
    elif not fits(str(here)):
        fetch_uv()
    return str(here)


def fetch_uv() -> None:
    """Let pip install the pinned uv into `.tools/`, by the hashes in the lock."""
    version, hashes = locked((ROOT / "uv.lock").read_text(encoding="utf-8"), "uv")
    say(f"uv {version} -> .tools/")
    # the Python of `.venv`, which is first on PATH once it is there, has no pip: that which it was made of does
    python = getattr(sys, "_base_executable", None) or sys.executable
    wanted = " ".join([f"uv=={version}", *(f"--hash={one}" for one in hashes)])
    how = ["--quiet", "--disable-pip-version-check", "--upgrade", "--target", str(TOOLS)]
    held = ["--require-hashes", "--requirement", "/dev/stdin"]  # pip takes hashes from a file alone
    if subprocess.run([python, "-m", "pip", "install", *how, *held], input=wanted, text=True, check=False).returncode:
        raise SetupError(
            f"uv {version} could not be fetched: pip, called as `{python} -m pip`, says why above. "
            "Without a network or without pip, put a uv of that version on PATH, then press the button again."
        )


def python_arguments(uv: str) -> list[str]:
    """Take the Python that `.python-version` asks for where the machine has it, else the one at hand, else let uv fetch it."""
    asked = call(uv, "python", "find", "--no-python-downloads")
    return ["--python", sys.executable] if asked.returncode and sys.version_info >= OLDEST_PYTHON else []


def sync(uv: str) -> None:
    """Install every member and every locked package into `.venv`."""
    # before anything is fetched: what is built on arrival runs at once
    texts = [file.read_text(encoding="utf-8") for file in (LOCK, ROOT / "pyproject.toml")]
    if found := from_elsewhere(*texts):
        raise SetupError(f"OB421 {found[0]}. Nothing was installed. Mend: `git checkout main -- uv.lock`, `make lock`")
    quiet = [] if sys.stderr.isatty() else ["--quiet"]  # progress is for people, two hundred names in a log for nobody
    if not call(uv, "sync", "--all-packages", "--locked", *quiet, *python_arguments(uv), keep=False).returncode:
        return
    # 2 is for what uv cannot even read, such as the marks of a conflict
    lags = call(uv, "lock", "--check", "--offline").returncode == 1 or conflict_in(LOCK)
    raise SetupError(LAGS if lags else INCOMPLETE)


def lock(uv: str) -> None:
    """Bring uv.lock in line with what every pyproject.toml declares; of a conflict in it, uv starts from our side."""
    before = LOCK.read_text(encoding="utf-8")
    if conflict_in(LOCK):
        call("git", "checkout", "--ours", "--", LOCK.name)
    if call(uv, "lock", *python_arguments(uv), keep=False).returncode:  # uv says what it adds, updates and removes
        LOCK.write_text(before, encoding="utf-8")
        raise SetupError("uv.lock is as it was, because uv cannot lock what is declared, and says why above")
    print("lock: uv.lock is in line with every pyproject.toml. Next: commit it, or the button that you came from")


def tell_git() -> None:
    """Let git know how results merge, and press the buttons at a commit and a push; where this folder is a git checkout."""
    top = shutil.which("git") and call("git", "rev-parse", "--show-toplevel").stdout.strip()
    if not top or Path(top).resolve() != ROOT:
        say("not a git checkout, so no hooks")
        return
    steps = [["git", "config", key, command] for key, command in DRIVERS.items()]
    if other_hooks := call("git", "config", "--get", "core.hooksPath").stdout.strip():
        say(OTHER_HOOKS.format(other_hooks))
    else:
        steps.append([str(ROOT / ".venv/bin/pre-commit"), "install"])
    for step in steps:
        if (done := call(*step)).returncode:
            raise SetupError(f"`{' '.join(step[:3])}` failed: {(done.stdout + done.stderr).strip()}")


def call(*command: str, keep: bool = True) -> subprocess.CompletedProcess[str]:
    """Call a program in this checkout, and keep what it prints.

    Neither another environment nor a hook's repository leaks in, and the lock is judged, which UV_FROZEN would forbid.
    """
    foreign = ("VIRTUAL_ENV", "UV_FROZEN", "GIT_")
    environment = {name: text for name, text in os.environ.items() if not name.startswith(foreign)}
    return subprocess.run(command, cwd=ROOT, env=environment, capture_output=keep, text=True, check=False)


def say(words: str) -> None:
    """Print one line of progress; stdout is the button's own."""
    print(f"setup: {words}", flush=True, file=sys.stderr)


def main() -> None:
    """Do it all, and leave a stamp that tells make when it was done."""
    button = "lock" if sys.argv[1:] == ["lock"] else "setup"
    try:
        if button == "lock":
            lock(find_uv())
            return
        say("installing what uv.lock pins into .venv (first time: about 1.3 GB)")
        sync(find_uv())
        tell_git()
    except SetupError as error:
        sys.exit(f"{button}: {error}")
    STAMP.touch()
    say("ready")


if __name__ == "__main__":
    main()
