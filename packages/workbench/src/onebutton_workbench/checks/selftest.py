"""Prove that every gate can fail: plant one violation per gate in a temporary clone, and see the right button turn red.

The violations are data: `violations.toml` of the workbench and of any other member. The work of `make selftest`.
"""

from __future__ import annotations

import os
import re
import shlex
import shutil
import subprocess
import sys
import tempfile
import time
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from onebutton_contracts.errors import InputError
from onebutton_workbench.bootstrap import without_tools
from onebutton_workbench.environment import clean_environment
from onebutton_workbench.git import address, check_clean, git
from onebutton_workbench.workspace import ROOT, members, read_toml

CUT = "<cut>"
CLEAN = "(clean tree)"
START = "selftest-start"  # what a clone goes back to
WARM = (".mypy_cache", ".ruff_cache", ".dvc/cache")  # what a person's clone would have, too
SHOWN = 2000  # characters of an output that was not what it should be
PRESSES = {  # what proves hooks and jobs
    "git commit": "git commit --message planted",
    "git push": "git push planted HEAD:refs/heads/planted",
    "act push": f"{ROOT}/.venv/bin/act push --workflows .github/workflows/ci.yml",
}


@dataclass(frozen=True)
class Violation:
    """One small thing that a gate must refuse."""

    what: str  # in words
    gates: tuple[str, ...]  # those that it proves
    press: str  # the command that must turn red; of `PRESSES`, or as a person types it
    reasons: tuple[str, ...] = ()  # patterns that its output must hold, so that it is red for this and nothing else
    edits: tuple[dict[str, Any], ...] = ()  # each has `file`, and `append`, `write`, `delete`, or `find` and `replace`


def read_violations(root: Path = ROOT) -> list[Violation]:
    """Read the violations of every member."""
    files = [root / member.path / "violations.toml" for member in members(root)]
    return [_violation(item) for file in files if file.is_file() for item in read_toml(file)["violation"]]


def _violation(item: dict[str, Any]) -> Violation:
    gates, reasons = (item[key] if isinstance(item[key], list) else [item[key]] for key in ("gate", "reason"))
    whole = tuple(reason.replace(CUT, "") for reason in reasons)
    return Violation(item["what"], tuple(gates), item["press"], whole, tuple(item["edits"]))


def plant(violation: Violation, clone: Path) -> None:
    """Change the files of a clone.

    Raises:
        InputError: an edit finds nothing to replace, so the violation would prove nothing.
    """
    for edit in violation.edits:
        file = clone / edit["file"]
        text = file.read_text(encoding="utf-8") if file.is_file() else ""
        if edit.get("find", "") not in text:
            message = f"violation {violation.what!r}: {edit['file']} does not hold {edit['find']!r}, so nothing would be planted"
            raise InputError(message)
        if edit.get("delete"):
            file.unlink()
            continue
        if "find" in edit:
            text = text.replace(edit["find"], edit["replace"])
        else:
            text = edit["write"] * edit.get("times", 1) if "write" in edit else text + edit["append"]
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(text.replace(CUT, ""), encoding="utf-8")


def make_clone(folder: Path) -> Path:
    """Clone this repo with an environment of its own, results and warm caches, and a remote to push to."""
    clone = folder / "clone"
    git("clone", "--quiet", str(ROOT), str(clone), folder=ROOT)
    git("init", "--quiet", "--bare", "remote.git", folder=folder)
    for command in (
        "switch --quiet --force-create main",
        f"tag {START}",
        f"remote set-url origin {address(ROOT)}",
        "remote add planted ../remote.git",
        "config user.name selftest",
        "config user.email selftest@localhost",
    ):
        git(*command.split(), folder=clone)
    for cache in WARM:
        if (ROOT / cache).is_dir():
            shutil.copytree(ROOT / cache, clone / cache)
    for button in ("make setup", "make run"):  # gates judge results; where the cache has these they are only fetched
        done = call(button, clone)
        if done.returncode:
            message = f"{button} failed in the temporary clone:\n{done.stdout}"
            raise InputError(message)
    call("make gates MEASURE=1", clone)  # what a busy machine fails, the gates tell again where they are tried
    reset(clone)
    return clone


def call(command: str, clone: Path) -> subprocess.CompletedProcess[str]:
    """Press a button in a clone, as a person would."""
    # what GitHub says of its own run would make a button behave as in a workflow, where `local` may not be deployed to
    environment = {name: text for name, text in clean_environment().items() if not name.startswith("GITHUB_")}
    # uv's cache names what it holds by content, so sharing it hides nothing
    cache = subprocess.run(["uv", "cache", "dir"], env=environment, capture_output=True, text=True, check=True)
    environment |= {"XDG_CACHE_HOME": str(clone.parent / "cache"), "UV_CACHE_DIR": cache.stdout.strip(), "CI": "true"}
    environment["PATH"] = without_tools(ROOT, environment["PATH"])
    if command in PRESSES:
        git("add", "--all", folder=clone)
    if command in {"git push", "act push"}:
        git("commit", "--quiet", "--no-verify", "--allow-empty", "--message", "planted", folder=clone)
    words, both = shlex.split(PRESSES.get(command, command)), subprocess.STDOUT
    return subprocess.run(
        words, cwd=clone, env=environment, stdout=subprocess.PIPE, stderr=both, text=True, check=False
    )


def reset(clone: Path) -> None:
    """Take everything planted out again; ignored files, such as caches and results, stay, but no champion of a deployment."""
    git("reset", "--quiet", "--hard", START, folder=clone)
    git("clean", "--quiet", "-d", "--force", folder=clone)
    git("clean", "--quiet", "-d", "--force", "-x", "--", "pipelines/*/champion/*", folder=clone)


def prove(violation: Violation, clone: Path) -> str:
    """Plant a violation, press its button, and say what was not as it must be; empty where all was.

    It must turn red, and for the right reason; on a clean tree green, or its red proves nothing.
    """
    try:
        plant(violation, clone)
        done = call(violation.press, clone)
    finally:
        reset(clone)
    missing = [reason for reason in violation.reasons if not re.search(reason, done.stdout)]
    if violation.gates == (CLEAN,):
        problem = "red without any violation" if done.returncode else ""
    elif done.returncode == 0:
        problem = "stayed green"
    else:
        problem = f"red, but without {missing[0]!r}" if missing else ""
    return f"{problem}\n{done.stdout[-SHOWN:]}" if problem else ""


def selftest() -> int:
    """Plant everything, and print what was caught by what.

    Raises:
        InputError: something is not committed, or a gate did not do its work.
    """
    check_clean(ROOT, "selftest")
    begun = time.monotonic()
    violations = read_violations()
    pressed = sorted({one.press for one in violations if one.press.startswith("make")})
    clean = [Violation("nothing", (CLEAN,), press) for press in pressed]
    slow_first = sorted(violations, key=lambda one: (one.press == "make lint", one.press))
    waiting = iter([*clean, *slow_first])  # each clone takes the next from it
    bad: dict[str, str] = {}

    def work(place: Path) -> None:
        place.mkdir()
        clone = make_clone(place)
        for one in waiting:
            start = time.monotonic()
            problem = prove(one, clone)
            state = "FAILED" if problem else "green" if one.gates == (CLEAN,) else "caught"
            for gate in one.gates:
                row = f"{state:<7} {gate:<38} {one.what:<62} {one.press} ({time.monotonic() - start:.0f} s)"
                print(row, flush=True)
                bad.update({row: problem} if problem else {})

    with tempfile.TemporaryDirectory(prefix="onebutton-selftest-", ignore_cleanup_errors=True) as folder:
        places = [Path(folder, str(number)) for number in range(min(2, os.cpu_count() or 1))]
        with ThreadPoolExecutor(len(places)) as pool:
            list(pool.map(work, places))
    print(*(f"\n{row}: {problem}" for row, problem in bad.items()), file=sys.stderr)
    minutes, seconds = divmod(int(time.monotonic() - begun), 60)
    if bad:
        message = f"{len(bad)} gates did not do their work ({minutes} min {seconds} s)"
        raise InputError(message)
    print(f"selftest: {len(violations)} violations, every one caught where it should be ({minutes} min {seconds} s)")
    return 0
