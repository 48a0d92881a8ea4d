"""Find mistakes in every kind of file without changing one: stock tools, side by side. The work of `make lint`.

A check that could not run counts as NOT RUN, never as passed.
"""

import os
import shlex
import shutil
import sys
import time
from collections import Counter
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor, as_completed
from dataclasses import dataclass, replace
from pathlib import Path

from onebutton_workbench.environment import call as call_program
from onebutton_workbench.findings import TOLD
from onebutton_workbench.git import listed, names
from onebutton_workbench.lineage.changes import is_commit
from onebutton_workbench.workspace import ROOT, drafts


@dataclass(frozen=True)
class Check:
    """One tool, held to one kind of file."""

    finds: str  # what it looks for, in the words of the person who reads its finding
    command: str  # the call that only reads, and ends with another status than 0 on a finding
    mend: str  # what to press or do about a finding
    # git's patterns for files to add to the command; a commit is held to those that it changes
    files: tuple[str, ...] = ()
    itself: bool = False  # whether it finds all files by itself in less time than it takes their names
    drafts: bool = False  # whether it stops in drafts as well: what git would keep for ever, such as a key


@dataclass(frozen=True)
class Verdict:
    """What a check said: `passed`, `failed`, `told` of mistakes in drafts alone, or `NOT RUN` where its program is missing."""

    check: Check
    result: str
    output: str = ""


RULES = "python -m onebutton_workbench.checks.rules"
AS_IT_SAYS = "as it says"
FORMAT = "make format"
LINE = f"{FORMAT}, or the line"
WORD = "the word, or [tool.typos] in pyproject.toml"
REPO = f"{AS_IT_SAYS}; [tool.repo-review.ignore] with the reason"
REVOKE = "take it out, and revoke it: what was committed is known"
LARGE = "keep data in DVC: an output of a stage, or `dvc add`"
CODE, YAML, TOML, IPYNB, ALL = ("*.py", "*.pyi"), ("*.yml", "*.yaml"), ("*.toml",), ("*.ipynb",), (".",)
# not those that stages write; a prompt is laid out for a model
PAGES = ("*.md", ":!pipelines/*/card.md", ":!pipelines/*/summary.md", ":!*.prompt.md")
READABLE = ("*.py", *TOML, "*.lock", *YAML)
DATA = (":!uv.lock",)
ZIZMOR = "zizmor --offline --persona auditor --strict-collection --no-progress -q --config .github/zizmor.yml .github"
LEAKS = "betterleaks fs --config .github/betterleaks.toml --no-banner --redact"
LAYOUT, MISTAKES = "ruff format --check --diff --quiet --force-exclude", "ruff check --quiet --force-exclude"
CHECKS = (
    Check("what rules of this repository refuse", RULES, AS_IT_SAYS),
    Check("layout of code", LAYOUT, FORMAT, CODE, itself=True),
    Check("mistakes in code", MISTAKES, LINE, CODE, itself=True),
    Check("pickles in notebooks", "ruff check --quiet --select TID251,S301,S302", "the cell", IPYNB, drafts=True),
    Check("workflows that an attacker could use", ZIZMOR, "the workflow"),
    Check("mistakes in workflows", "jactionlint --no-online --strict-exit", "the workflow"),
    Check("layout of the Makefile", "mbake format --check Makefile", FORMAT),
    Check("mistakes in shell scripts", "shellcheck", "the script", ("*.sh", ".ci/run")),
    Check("mistakes in YAML", "yamllint --strict --config-file .github/yamllint.yaml", "the file", YAML),
    Check("mistakes in TOML", "check-toml", "the file", TOML),
    Check("spelling", "typos --format brief --force-exclude", WORD, ALL, itself=True),
    Check("Markdown and dead links", "rumdl check --no-cache --quiet", LINE, PAGES),
    Check("keys and tokens", LEAKS, REVOKE, ALL, itself=True, drafts=True),
    Check("files too large for git", "check-added-large-files --enforce-all --maxkb=500", LARGE, DATA, drafts=True),
    Check("conflict markers", "check-merge-conflict --assume-in-merge", "the lines", READABLE, drafts=True),
    Check("outputs left in notebooks", "nbstripout --verify --keep-id", FORMAT, IPYNB, drafts=True),
    Check("what a good repo has", "sp-repo-review --show err .", REPO),
)


def run(check: Check, root: Path, drafts: Sequence[str] = (), *, changed: bool = False) -> Verdict:
    """Run one check on all files, or on those that changed since the last commit; `drafts` are the folders of drafts.

    Mistakes in drafts stop nobody, where the check is not of those that do.
    """
    program = shlex.split(check.command)[0]
    if shutil.which(program) is None:
        return Verdict(check, "NOT RUN", f"{program} is not installed; `make setup` brings it\n")
    status, output = call(check, root, changed=changed)
    told = status == TOLD and check.command.startswith(RULES)
    if status and drafts and check.files and not check.drafts:
        told = call(check, root, drafts, changed=changed)[0] == 0
    return Verdict(check, "told" if told else "failed" if status else "passed", output)


def call(check: Check, root: Path, left_out: Sequence[str] = (), *, changed: bool) -> tuple[int, str]:
    """Call a check's program without some folders; return its status and what it says, 0 where there is no file to read."""
    files = ["."] if check.itself else []
    if check.files and (changed or left_out or not check.itself):
        find = changed_files if changed else listed
        files = find(root, *check.files, *(f":!{folder}" for folder in left_out))
        if not files:
            return 0, ""
    done = call_program(*shlex.split(check.command), *files, folder=root, NO_COLOR="1")
    return done.returncode, done.stdout + done.stderr


def changed_files(root: Path, *patterns: str) -> list[str]:
    """List the files in git that match and differ from the last commit; before the first one all."""
    if not is_commit("HEAD", root):
        return listed(root, *patterns)
    ask = ("diff", "--name-only", "-z", "--no-ext-diff", "--diff-filter=d", "--relative", "HEAD", "--", *patterns)
    return names(*ask, folder=root)


def lint(root: Path = ROOT, *, changed: bool = False, base: str = "") -> int:
    """Run every check, as many at once as there are processors, and print the findings as they come.

    With `changed`, to which a commit is held, only layout, secrets and what a file shows by itself are looked at, in the files
    that differ from the last commit. `base` is what branches are compared with; left out, the branch that this one will go into.
    """
    begun = time.monotonic()
    against = f"{RULES} {shlex.quote(base)}"
    checks = [replace(one, command=against) if one.command == RULES else one for one in CHECKS]
    checks = [one for one in checks if one.files or not changed]
    folders = drafts(root)
    counts = Counter[str]()
    with ThreadPoolExecutor(os.cpu_count()) as pool:
        for finished in as_completed([pool.submit(run, check, root, folders, changed=changed) for check in checks]):
            report(verdict := finished.result())
            counts[verdict.result] += 1
    seconds = time.monotonic() - begun
    if bad := counts["failed"] + counts["NOT RUN"]:
        print(f"lint: {bad} of {len(checks)} checks are not passed ({seconds:.1f} s)", file=sys.stderr)
        return 1
    found = f"{counts['passed']} check{'s' * (counts['passed'] != 1)} found nothing"
    if told := counts["told"]:
        found += f", {told} found mistakes in drafts ({', '.join(folders)}), which stop nobody"
    print(f"lint: {found} ({seconds:.1f} s). Next: make {'lint' if changed else 'types'}")
    return 0


def report(verdict: Verdict, button: str = "lint") -> None:
    """Print what a check found; of one that passed, what it could not look into or tells: neither must look like nothing."""
    lines = verdict.output.strip().splitlines()
    if verdict.result == "passed":
        print("".join(f"{button}: {line}\n" for line in lines if line.startswith(("NOT RUN", "TOLD"))), end="")
        return
    result = "mistakes in drafts" if verdict.result == "told" else verdict.result
    print(f"{button}: {result}: {verdict.check.finds} ({shlex.split(verdict.check.command)[0]})")
    print("".join(f"    {line}\n" for line in lines), f"    mend: {verdict.check.mend}\n", sep="", flush=True)
