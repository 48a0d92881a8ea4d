"""Prove that every gate can fail: plant one violation per gate in a temporary clone, and see the right button turn red.

The violations are data: `violations.toml` of the workbench and of any other member. Those of `make lint`, which takes longest,
are planted several at a time; whichever does not show, or shows where it was not planted, is planted alone. The work of
`make selftest`.
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
from collections.abc import Callable, Iterable, Sequence
from concurrent.futures import Executor, ThreadPoolExecutor
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from queue import SimpleQueue
from typing import Any

from onebutton_contracts.errors import InputError
from onebutton_workbench.bootstrap import without_tools
from onebutton_workbench.environment import clean_environment
from onebutton_workbench.git import address, check_clean, git
from onebutton_workbench.workspace import ROOT, members, read_toml

CUT = "<cut>"
CLEAN = "(clean tree)"
START = "selftest-start"  # what a clone goes back to
TOGETHER = "make lint"
MOST = 6  # planted together: one that hides the others costs as many presses more
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
    alone: bool = False  # whether it keeps a button from finding anything else

    @property
    def touches(self) -> set[str]:
        """The gates that it proves, and the files that it changes."""
        return {*self.gates, *(edit["file"] for edit in self.edits)}


def read_violations(root: Path = ROOT) -> list[Violation]:
    """Read the violations of every member."""
    files = [root / member.path / "violations.toml" for member in members(root)]
    found = []
    for item in (item for file in files if file.is_file() for item in read_toml(file)["violation"]):
        gates, reasons = (item[key] if isinstance(item[key], list) else [item[key]] for key in ("gate", "reason"))
        whole = tuple(reason.replace(CUT, "") for reason in reasons)
        facts = (item["press"], whole, tuple(item["edits"]), item.get("alone", False))
        found.append(Violation(item["what"], tuple(gates), *facts))
    return found


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
    folder.mkdir()
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
    words, out, both = shlex.split(PRESSES.get(command, command)), subprocess.PIPE, subprocess.STDOUT
    return subprocess.run(words, cwd=clone, env=environment, stdout=out, stderr=both, text=True, check=False)


def reset(clone: Path) -> None:
    """Take everything planted out again; ignored files, such as caches and results, stay, but no champion of a deployment."""
    git("reset", "--quiet", "--hard", START, folder=clone)
    git("clean", "--quiet", "-d", "--force", folder=clone)
    git("clean", "--quiet", "-d", "--force", "-x", "--", "pipelines/*/champion/*", folder=clone)


def batches(violations: Iterable[Violation]) -> list[list[Violation]]:
    """Put violations together that change other files and prove other gates."""
    found: list[list[Violation]] = []
    for one in violations:
        free = (batch for batch in found if len(batch) < MOST)
        batch = next((batch for batch in free if all(one.touches.isdisjoint(other.touches) for other in batch)), None)
        if batch is None:
            found.append(batch := [])
        batch.append(one)
    return found


def press(violations: Sequence[Violation], clone: Path) -> subprocess.CompletedProcess[str]:
    """Plant violations, press their button, and take them out again."""
    try:
        for violation in violations:
            plant(violation, clone)
        return call(violations[0].press, clone)
    finally:
        reset(clone)


def missing(violation: Violation, output: str) -> list[str]:
    """List the reasons of a violation that an output does not hold."""
    return [reason for reason in violation.reasons if not re.search(reason, output)]


def prove(violation: Violation, clone: Path) -> str:
    """Plant a violation alone, and say what was not as it must be; empty where all was.

    Its button must turn red, and for the right reason; on a clean tree green, or its red proves nothing.
    """
    done = press([violation], clone)
    absent = missing(violation, done.stdout)
    if violation.gates == (CLEAN,):
        problem = "red without any violation" if done.returncode else ""
    elif done.returncode == 0:
        problem = "stayed green"
    else:
        problem = f"red, but without {absent[0]!r}" if absent else ""
    return f"{problem}\n{done.stdout[-SHOWN:]}" if problem else ""


def told(one: Violation, state: str, seconds: float, problem: str = "") -> dict[str, str]:
    """Print a row for each gate of a violation; return what was not as it must be, by row."""
    rows = [f"{state:<7} {gate:<38} {one.what:<62} {one.press} ({seconds:.0f} s)" for gate in one.gates]
    print(*rows, sep="\n", flush=True)
    return dict.fromkeys(rows, problem) if problem else {}


def try_alone(one: Violation, clone: Path) -> dict[str, str]:
    """Prove one violation, and tell what came of it."""
    start = time.monotonic()
    problem = prove(one, clone)
    state = "FAILED" if problem else "green" if one.gates == (CLEAN,) else "caught"
    return told(one, state, time.monotonic() - start, problem)


def lend(free: SimpleQueue[Path], work: Callable[[Path], Any]) -> Any:
    """Do something in a clone that nobody else uses."""
    clone = free.get()
    try:
        return work(clone)
    finally:
        free.put(clone)


def try_together(pool: Executor, free: SimpleQueue[Path], violations: Sequence[Violation]) -> list[Violation]:
    """Plant batches of violations, and tell which show, each where it was planted; return the rest, to be planted alone."""
    start = time.monotonic()
    groups = batches(violations)
    outputs = list(pool.map(lambda batch: lend(free, lambda clone: press(batch, clone).stdout), groups))
    seconds = (time.monotonic() - start) / len(violations)
    left = []
    for one, own in [(one, own) for batch, own in zip(groups, outputs, strict=True) for one in batch]:
        if missing(one, own) or not all(missing(one, other) for other in outputs if other is not own):
            left.append(one)
        else:
            told(one, "caught", seconds)
    return left


def selftest() -> int:
    """Plant everything, and print what was caught by what.

    Raises:
        InputError: something is not committed, or a gate did not do its work.
    """
    check_clean(ROOT, "selftest")
    begun = time.monotonic()
    violations = read_violations()
    pressed = sorted({one.press for one in violations if one.press.startswith("make")})
    clean = [Violation("nothing", (CLEAN,), button) for button in pressed]
    alone = sorted((one for one in violations if one.press != TOGETHER or one.alone), key=lambda one: one.press)
    bad: dict[str, str] = {}
    with tempfile.TemporaryDirectory(prefix="onebutton-selftest-", ignore_cleanup_errors=True) as folder:
        places = [Path(folder, str(number)) for number in range(min(2, os.cpu_count() or 1))]
        with ThreadPoolExecutor(len(places)) as pool:
            free: SimpleQueue[Path] = SimpleQueue()
            for clone in pool.map(make_clone, places):
                free.put(clone)
            alone += try_together(pool, free, [one for one in violations if one not in alone])
            for found in pool.map(lambda one: lend(free, partial(try_alone, one)), [*clean, *alone]):
                bad |= found
    print(*(f"\n{row}: {problem}" for row, problem in bad.items()), file=sys.stderr)
    took = f"{(time.monotonic() - begun) / 60:.0f} min"
    if bad:
        message = f"{len(bad)} gates did not do their work ({took})"
        raise InputError(message)
    print(f"selftest: {len(violations)} violations, every one caught where it should be ({took})")
    return 0
