"""Prove that every gate can fail: plant violations in a temporary clone, and see the right button turn red for each.

The violations are data: `violations.toml` of the workbench and of any other member. Those of one button are planted several at a
time, each of another gate; what does not show, or shows where it was not planted, is planted alone. The work of `make selftest`.
"""

import os
import re
import shlex
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from itertools import chain
from pathlib import Path
from typing import Any

from onebutton_contracts.errors import require
from onebutton_tracking.commit import git_environment
from onebutton_workbench.bootstrap import without_tools
from onebutton_workbench.environment import call as call_program
from onebutton_workbench.git import ADDRESS, check_clean, git
from onebutton_workbench.workspace import ROOT, members, read_toml

CUT = "<cut>"
CLEAN = ["(clean tree)"]
START = "selftest-start"  # what a clone goes back to
WARM = (".mypy_cache", ".ruff_cache", ".dvc/cache")  # what a person's clone would have, too
SHOWN = 2000  # characters of an output that was not what it should be
COMMITTED = ("git add --all", "git commit --quiet --no-verify --allow-empty --message planted")
PRESSES = {  # what proves hooks and jobs
    "git commit": ("git add --all", "git commit --message planted"),
    "git push": (*COMMITTED, "git push ../remote.git HEAD:refs/heads/planted"),
    "act push": (*COMMITTED, f"{ROOT}/.venv/bin/act push --workflows .github/workflows/ci.yml"),
}
PIPELINE = re.compile(r"\bPIPELINE=(\w+)")  # what is pressed so needs the results of a pipeline


@dataclass(frozen=True)
class Violation:
    """One small thing that a gate must refuse."""

    what: str  # in words
    gates: Sequence[str]  # those that it proves
    press: str  # the command that must turn red; of `PRESSES`, or as a person types it
    reasons: Sequence[str] = ()  # patterns that its output must hold, so that it is red for this and nothing else
    edits: Sequence[Mapping[str, Any]] = ()  # each has `file`, and `append`, `write`, or `find` and `replace`
    alone: bool = False  # whether it keeps a button from finding anything else


def read_violations(root: Path = ROOT) -> list[Violation]:
    """Read the violations of every member."""
    files = [root / member.path / "violations.toml" for member in members(root)]
    return [Violation(**item) for file in files if file.is_file() for item in read_toml(file)["violation"]]


def plant(edits: Sequence[Mapping[str, Any]], clone: Path) -> None:
    """Edit files of a clone: one that several violations share is made once, one that finds no text to replace refused."""
    for edit in (one for number, one in enumerate(edits) if one not in edits[:number]):
        file = clone / edit["file"]
        text, find = file.read_text(encoding="utf-8") if file.is_file() else "", edit.get("find", "")
        require(find in text, f"{edit['file']} does not hold {find!r}, so nothing would be planted")
        text = text.replace(find, edit["replace"]) if find else edit.get("write", text) * edit.get("times", 1)
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text((text + edit.get("append", "")).replace(CUT, ""), encoding="utf-8")


def make_clone(folder: Path) -> Path:
    """Clone this repo with an environment of its own, warm caches, and a remote to push to."""
    clone = folder / "clone"
    person = ("--config", "user.name=selftest", "--config", "user.email=selftest@localhost")
    git("clone", "--quiet", *person, str(ROOT), str(clone), folder=ROOT)
    git("init", "--quiet", "--bare", "../remote.git", folder=clone)
    git("switch", "--quiet", "--force-create", "main", folder=clone)
    git("tag", START, folder=clone)
    git("remote", "set-url", "origin", ADDRESS, folder=clone)
    for cache in WARM:
        if (ROOT / cache).is_dir():
            shutil.copytree(ROOT / cache, clone / cache)
    done = call("make setup", clone)
    require(not done.returncode, f"make setup failed in the temporary clone:\n{done.stdout}")
    return clone


def call(command: str, clone: Path) -> subprocess.CompletedProcess[str]:
    """Press a button in a clone, as a person would."""
    # what GitHub says of its own run would make a button behave as in a workflow, where `local` may not be deployed to
    environment = {name: text for name, text in git_environment().items() if not name.startswith("GITHUB_")}
    environment |= {"XDG_CACHE_HOME": str(clone.parent / "cache"), "PATH": without_tools(ROOT, environment["PATH"])}
    # uv's cache names what it holds by content, so sharing it hides nothing
    environment["UV_CACHE_DIR"] = call_program("uv", "cache", "dir", folder=ROOT).stdout.strip()
    *before, last = (shlex.split(line) for line in PRESSES.get(command, (command,)))
    for words in before:
        subprocess.run(words, cwd=clone, env=environment, check=True)
    out, both = subprocess.PIPE, subprocess.STDOUT
    return subprocess.run(last, cwd=clone, env=environment, stdout=out, stderr=both, text=True, check=False)


def reset(clone: Path) -> None:
    """Take everything planted out again; ignored files, such as caches and results, stay, but no champion of a deployment."""
    git("reset", "--quiet", "--hard", START, folder=clone)
    git("clean", "--quiet", "-d", "--force", folder=clone)
    git("clean", "--quiet", "-d", "--force", "-x", "--", "pipelines/*/champion/*", folder=clone)


def collide(one: Violation, other: Violation) -> bool:
    """Say whether one press could not tell two violations apart: they are of one gate, or in one file by edits of their own."""
    files = {edit["file"] for edit in one.edits if edit not in other.edits}
    in_one_file = any(edit["file"] in files for edit in other.edits if edit not in one.edits)
    alone = one.alone or other.alone or one.press != other.press
    return alone or in_one_file or bool({*one.gates} & {*other.gates})


def batches(violations: Iterable[Violation]) -> list[list[Violation]]:
    """Put violations together that one press of their button can show."""
    found: list[list[Violation]] = []
    for one in violations:
        free = [batch for batch in found if not any(collide(one, other) for other in batch)]
        if free:
            min(free, key=len).append(one)
        else:
            found.append([one])
    return found


@dataclass(frozen=True)
class Pressed:
    """Violations that were planted together, and what their button said."""

    violations: Sequence[Violation]
    red: bool
    said: str

    def lacks(self, violation: Violation) -> list[str]:
        """List the reasons of a violation that it does not hold."""
        return [reason for reason in violation.reasons if not re.search(reason.replace(CUT, ""), self.said)]

    def problem(self, violation: Violation) -> str:
        """Say what was not as it must be; empty where all was.

        A button must turn red for a violation, and for the right reason; on a clean tree green, or its red proves nothing.
        """
        if violation.gates == CLEAN:
            found = "red without any violation" if self.red else ""
        elif self.red:
            found = "".join(f"red, but without {reason!r}" for reason in self.lacks(violation)[:1])
        else:
            found = "stayed green"
        return f"{found}\n{self.said[-SHOWN:]}" if found else ""


def press(violations: Sequence[Violation], clone: Path) -> Pressed:
    """Plant violations, press their button, and take them out again."""
    begun = time.monotonic()
    try:
        plant([edit for one in violations for edit in one.edits], clone)
        done = call(violations[0].press, clone)
    finally:
        reset(clone)
    print(f"pressed {violations[0].press}: {len(violations)} planted ({time.monotonic() - begun:.0f} s)", flush=True)
    return Pressed(violations, done.returncode != 0, done.stdout)


def press_all(groups: Sequence[Sequence[Violation]], clones: Sequence[Path]) -> list[Pressed]:
    """Press for every batch, in each clone the next; where the results of a pipeline are needed, in the first clone."""
    here = [batch for batch in groups if PIPELINE.search(batch[0].press)]
    anywhere = iter([batch for batch in groups if batch not in here])  # the clone that is free takes the next

    def work(clone: Path, own: Iterable[Sequence[Violation]]) -> list[Pressed]:
        return [press(batch, clone) for batch in chain(own, anywhere)]

    with ThreadPoolExecutor(len(clones)) as pool:
        return list(chain(*pool.map(work, clones, [here, *([] for _ in clones[1:])])))


def is_clear(violation: Violation, batch: Pressed, others: Iterable[Pressed]) -> bool:
    """Say whether a violation showed in a batch, and where it was not planted did not."""
    elsewhere = (one for one in others if one is not batch and one.violations[0].press == violation.press)
    return not batch.problem(violation) and all(one.lacks(violation) for one in elsewhere)


def selftest() -> int:
    """Plant everything, and print what was caught by what; refuse where a gate did not do its work."""
    check_clean(ROOT, "selftest")
    begun = time.monotonic()
    violations = read_violations()
    buttons = sorted({one.press for one in violations if one.press.startswith("make")})
    named = sorted({match[1] for button in buttons if (match := PIPELINE.search(button))})
    # Every button is pressed on a clean tree first, and before all others those that make results. Hooks and jobs take longest.
    clean = dict.fromkeys([*(f"make run PIPELINE={name}" for name in named), *buttons])
    groups = [[Violation("nothing", CLEAN, button)] for button in clean]
    groups += batches(sorted(violations, key=lambda one: (one.press.startswith("make"), one.press)))
    with tempfile.TemporaryDirectory(prefix="onebutton-selftest-", ignore_cleanup_errors=True) as folder:
        places = [Path(folder, str(number)) for number in range(min(2, os.cpu_count() or 1))]
        with ThreadPoolExecutor(len(places)) as pool:
            clones = list(pool.map(make_clone, places))
        found = press_all(groups, clones)
        together = [(one, batch) for batch in found for one in batch.violations if len(batch.violations) > 1]
        found += press_all([[one] for one, batch in together if not is_clear(one, batch, found)], clones)
    last = {id(one): (one, batch) for batch in found for one in batch.violations}
    bad = []
    for one, batch in last.values():
        if problem := batch.problem(one):
            bad.append(f"{one.what}, {one.press}: {problem}")
        state = "FAILED" if problem else "green" if one.gates == CLEAN else "caught"
        print(*(f"{state:<7} {gate:<38} {one.what:<62} {one.press}" for gate in one.gates), sep="\n", flush=True)
    print(*bad, sep="\n\n", file=sys.stderr)
    took = f"{(time.monotonic() - begun) / 60:.0f} min"
    require(not bad, f"{len(bad)} gates did not do their work ({took})")
    print(f"selftest: {len(violations)} violations, every one caught where it should be ({took})")
    return 0
