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
import tempfile
from collections.abc import Iterable
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
BOTH_SIDES = re.compile(r"^<{7} .*\n((?:.*\n)*?)(?:\|{7}.*\n(?:.*\n)*?)?={7}\n(?:.*\n)*?>{7} .*\n", re.MULTILINE)
OTHER_HOOKS = "git's core.hooksPath is {}, so the hooks of this repo are not installed; CI checks all the same"
LAGS = (
    "uv.lock is not in line with what every pyproject.toml declares, as after a merge or an edit: `make lock` writes it "
    "anew. Then press the same button again"
)
RELOCK = "`git checkout main -- uv.lock`, then `make lock`"
HASH = re.compile(r'hash = "(sha256:[0-9a-f]{64})"')
FILE = re.compile(r"\burl\W+https")
LOCAL = re.compile(
    r"""^(source = )?[^#]*\b(path|directory|editable|virtual)"? *= *["'](?!(\.|p\w+/[\w-]+)["'])"""
)  # but members
INCOMPLETE = (
    "the environment is not complete: uv says why above. Packages come from the network the first time and from "
    "uv's cache afterwards, so without either this cannot work. Once connected, press the same button again; "
    "`make doctor` shows what else is missing."
)


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


def locked_hashes(lock: str, package: str) -> list[str]:
    """Read the hashes of every file of one package from the text of a `uv.lock`."""
    about = lock.partition(f'\nname = "{package}"\n')[2].partition("\n[[package]]")[0]
    return HASH.findall(about)


def from_elsewhere(lock: str, settings: str) -> list[str]:
    """List the lines of a lock that lead to a host which `package-hosts` does not list, or that nothing holds to a hash."""
    listed = re.search(r"^package-hosts = \[(.*?)\]", settings, re.MULTILINE | re.DOTALL)
    hosts = re.findall(r'"([^"]+)"', listed[1]) if listed else []
    found = []
    for number, line in enumerate(lock.splitlines(), 1):
        led = re.findall(r"([\w+]*)://([^/\"'?#]*)", line)
        if "\\" in line or any(scheme != "https" or host not in hosts for scheme, host in led) or LOCAL.search(line):
            found.append(f"uv.lock:{number}: `{line.strip()[:80]}` leads to no https host of `package-hosts`")
        elif FILE.search(line) and not line.startswith("source = ") and not HASH.search(line):
            found.append(
                f"uv.lock:{number}: `{line.strip()[:80]}` has no sha256, so anything would be installed from there"
            )
    return found


def conflict_in(file: Path) -> int:
    """Return the line where git marks a conflict in a file; 0 when there is none."""
    lines = file.read_text(encoding="utf-8", errors="replace").splitlines() if file.is_file() else []
    return next((number for number, line in enumerate(lines, 1) if line.startswith("<<<<<<< ")), 0)


def refuse_conflicts(files: Iterable[Path], root: Path) -> None:
    """Stop with the line where a file holds both sides of a conflict: a merge waits for a person."""
    for file in files:
        if line := conflict_in(file):
            message = (
                f"a merge is not finished: {file.relative_to(root).as_posix()} line {line} holds what both sides wrote. "
                "Keep the lines that are right, take the marks out, `git add` it, and press the button again"
            )
            raise SetupError(message)


def version_of(uv: str) -> str:
    """Ask a uv program for its version; an empty string when it does not answer."""
    try:
        answer = call(uv, "--version")
    except OSError:
        return ""
    words = answer.stdout.split()
    return words[1] if answer.returncode == 0 and len(words) > 1 else ""


def same_minor(one: str, other: str) -> bool:
    """Two versions that `required-version` in pyproject.toml treats alike, such as 0.13.2 and 0.13.9."""
    return bool(one) and one.split(".")[:2] == other.split(".")[:2]


def without_tools(root: Path, path: str) -> str:
    """Take a checkout's own programs out of a PATH."""
    own = {str(root / ".venv/bin"), str(root / ".tools/bin")}
    return os.pathsep.join(part for part in path.split(os.pathsep) if part not in own)


def find_uv() -> str:
    """Return a good uv: one on PATH, the one fetched before, or the pinned one fetched now into `.tools/`.

    This checkout's own programs, which may be of an earlier day, are first on PATH: the search goes on behind them.
    """
    lock = (ROOT / "uv.lock").read_text(encoding="utf-8")
    pinned = locked_version(lock, "uv")
    foreign = without_tools(ROOT, os.environ.get("PATH", os.defpath))
    here = str(TOOLS / "bin" / "uv")
    for candidate in (shutil.which("uv"), shutil.which("uv", path=foreign), here):
        if candidate and same_minor(version_of(candidate), pinned):
            return candidate
    say(f"uv {pinned} -> .tools/")
    # the Python of `.venv`, which is first on PATH once it is there, has no pip: that which it was made of does
    python = getattr(sys, "_base_executable", None) or sys.executable
    quiet = ["--quiet", "--disable-pip-version-check", "--no-warn-script-location"]
    pip = [python, "-m", "pip", "install", *quiet, "--upgrade", "--target", str(TOOLS), "--require-hashes", "--no-deps"]
    with tempfile.NamedTemporaryFile(
        "w", suffix=".txt", encoding="utf-8"
    ) as wanted:  # pip takes hashes from a file alone
        wanted.write(" ".join([f"uv=={pinned}", *(f"--hash={one}" for one in locked_hashes(lock, "uv"))]))
        wanted.flush()
        done = subprocess.run([*pip, "--requirement", wanted.name], check=False)
    if done.returncode:
        message = (
            f"uv {pinned} could not be fetched: pip, called as `{python} -m pip`, says why above. "
            "Without a network or without pip, put a uv of that version on PATH, then press the button again."
        )
        raise SetupError(message)
    return here


def link_uv(uv: str) -> None:
    """Let `.tools/bin/uv` be the uv in use, so that the buttons that change the lock call the same one."""
    here = TOOLS / "bin" / "uv"
    if Path(uv) != here:
        here.parent.mkdir(parents=True, exist_ok=True)
        here.unlink(missing_ok=True)
        here.symlink_to(uv)


def python_arguments(uv: str) -> list[str]:
    """Take the Python that `.python-version` asks for where the machine has it, else the one at hand, else let uv fetch it."""
    asked = call(uv, "python", "find", "--no-python-downloads")
    return ["--python", sys.executable] if asked.returncode and sys.version_info >= OLDEST_PYTHON else []


def sync(uv: str) -> None:
    """Install every member and every locked package into `.venv`."""
    if conflict_in(LOCK):
        raise SetupError(LAGS)
    # before anything is fetched: what is built on arrival runs at once
    texts = [file.read_text(encoding="utf-8") for file in (LOCK, ROOT / "pyproject.toml")]
    if found := from_elsewhere(*texts):
        message = f"OB421 {found[0]}. Nothing was installed. Mend: {RELOCK}"
        raise SetupError(message)
    quiet = [] if sys.stderr.isatty() else ["--quiet"]  # progress is for people, two hundred names in a log for nobody
    if not call(uv, "sync", "--all-packages", "--locked", *quiet, *python_arguments(uv), keep=False).returncode:
        return
    asked = call(uv, "lock", "--check", "--offline")
    if asked.returncode == 1:  # 2 is for what uv cannot even read
        raise SetupError(LAGS)
    folders = [path for path in sorted(ROOT.glob("p*/*")) if path.is_dir() and not (path / "pyproject.toml").is_file()]
    left = [folder.relative_to(ROOT).as_posix() for folder in folders]
    if asked.returncode and left:
        message = (
            f"{', '.join(left)}: files without a pyproject.toml, left by another branch. Commit there what you want to keep, "
            f"then `git clean -xd --force {' '.join(left)}` takes them away"
        )
        raise SetupError(message)
    raise SetupError(INCOMPLETE)


def lock(uv: str) -> None:
    """Bring uv.lock in line with what every pyproject.toml declares; of a conflict in it, uv starts from our side."""
    before = LOCK.read_text(encoding="utf-8")
    if conflict_in(LOCK):
        LOCK.write_text(BOTH_SIDES.sub(r"\1", before), encoding="utf-8")
    done = call(uv, "lock", *python_arguments(uv))
    if done.returncode:
        LOCK.write_text(before, encoding="utf-8")
        message = f"uv.lock is as it was, because uv cannot lock what is declared: {' '.join(done.stderr.split())}"
        raise SetupError(message)
    for line in done.stderr.splitlines():
        if line.startswith(("Add", "Remove", "Update")):
            print(f"  {line}")
    same = LOCK.read_text(encoding="utf-8") == before
    words = "was in line already" if same else "is in line with every pyproject.toml"
    print(f"lock: uv.lock {words}. Next: the button that you came from; commit uv.lock with what asked for it")


def tell_git_how_to_merge() -> None:
    """Let git know the drivers that .gitattributes names."""
    for key, command in DRIVERS.items():
        done = call("git", "config", key, command)
        if done.returncode:
            raise SetupError("git could not be told how results merge: " + done.stderr.strip())


def install_hooks() -> None:
    """Let `git commit` and `git push` press the buttons, where this folder is a git checkout."""
    if not shutil.which("git"):
        return
    top = call("git", "rev-parse", "--show-toplevel").stdout.strip()
    if not top or Path(top).resolve() != ROOT:
        say("not a git checkout, so no hooks")
        return
    tell_git_how_to_merge()
    other_hooks = call("git", "config", "--get", "core.hooksPath").stdout.strip()
    if other_hooks:
        say(OTHER_HOOKS.format(other_hooks))
        return
    done = call(str(ROOT / ".venv/bin/pre-commit"), "install")
    if done.returncode:
        raise SetupError("the git hooks could not be installed: " + (done.stdout + done.stderr).strip())


def call(*command: str, keep: bool = True) -> subprocess.CompletedProcess[str]:
    """Call a program in this checkout, and keep what it prints.

    Neither another environment nor a hook's repository leaks in, and the lock is judged, which UV_FROZEN would forbid.
    """
    foreign = ("VIRTUAL_ENV", "UV_FROZEN", "GIT_")
    environment = {name: text for name, text in os.environ.items() if not name.startswith(foreign)}
    return subprocess.run(command, cwd=ROOT, env=environment, capture_output=keep, text=True, check=False)


def say(words: str) -> None:
    """Print one line of progress."""
    # with JSON=1 the button's document stands alone on stdout
    print(f"setup: {words}", flush=True, file=sys.stderr if os.environ.get("BUTTON_JSON") else sys.stdout)


def main() -> int:
    """Do it all, and leave a stamp that tells make when it was done."""
    button = "lock" if sys.argv[1:] == ["lock"] else "setup"
    try:
        refuse_conflicts([ROOT / "pyproject.toml", *sorted(ROOT.glob("p*/*/pyproject.toml"))], ROOT)
        if button == "lock":
            lock(find_uv())
            return 0
        say("installing what uv.lock pins into .venv (first time: about 1.3 GB)")
        uv = find_uv()
        link_uv(uv)
        sync(uv)
        install_hooks()
    except SetupError as error:
        print(f"{button}: {error}", file=sys.stderr)
        return 1
    STAMP.touch()
    say("ready")
    return 0


if __name__ == "__main__":
    sys.exit(main())
