"""Find mistakes in every kind of file without changing one: stock tools, side by side. The work of `make lint`.

A check that could not run counts as NOT RUN, never as passed.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor, as_completed
from dataclasses import dataclass
from pathlib import Path

from onebutton_workbench.environment import clean_environment
from onebutton_workbench.findings import TOLD
from onebutton_workbench.git import call as git_call
from onebutton_workbench.git import names
from onebutton_workbench.workspace import ROOT, drafts, members


@dataclass(frozen=True)
class Check:
    """One tool, held to one kind of file.

    Attributes:
        finds: what it looks for, in the words of the person who reads its finding.
        command: the call that only reads, and ends with another status than 0 on a finding.
        mend: what to press or do about a finding.
        files: git's patterns for files to add to the command; without a match the check has nothing to read and passes.
        folder: where it runs, relative to the root.
        without: the option that leaves a folder out, or `:!` where `files` can. Mistakes in drafts then stop nobody. What git
            would keep for ever, such as a key, stops in drafts as well.
        changed: git's patterns for those of the changed files that a commit is held to. Without any it waits for the push.
    """

    finds: str
    command: tuple[str, ...]
    mend: str
    files: tuple[str, ...] = ()
    folder: Path = Path()
    without: str = ""
    changed: tuple[str, ...] = ()


OURS = ("python", "-m")
FORMAT = "make format"
CODE = ("*.py", "*.pyi")
TEXT = (":!uv.lock", ":!*.csv", ":!*.png", ":!*/dummy.json")  # no tables, pictures and figures
PAGES = ("*.md", ":!pipelines/*/card.md")  # the last is written by a stage
READABLE = ("*.py", "*.toml", "*.yaml", "*.yml", "*.lock")
CHECKS = (
    Check(
        "layout of code",
        ("ruff", "format", "--check", "--quiet", "--diff", "--force-exclude"),
        FORMAT,
        without="--extend-exclude",
        changed=CODE,
    ),
    Check(
        "mistakes in code",
        ("ruff", "check", "--quiet", "--force-exclude"),
        f"{FORMAT}, or the line",
        without="--extend-exclude",
        changed=CODE,
    ),
    Check(
        "members and modules that need each other",
        ("python", "-m", "onebutton_workbench.checks.member_rules"),
        "as it says",
    ),
    Check(
        "logic in workflows, failures lost", ("python", "-m", "onebutton_workbench.checks.workflow_rules"), "as it says"
    ),
    Check(
        "stages that would go stale",
        ("python", "-m", "onebutton_workbench.checks.stage_rules"),
        f"as it says; {FORMAT}",
    ),
    Check("contracts that break readers", ("python", "-m", "onebutton_workbench.checks.contract_rules"), "as it says"),
    Check("licences that bind a fork", ("python", "-m", "onebutton_workbench.checks.license_rules"), "as it says"),
    Check("links that a removal would break", ("python", "-m", "onebutton_workbench.checks.link_rules"), "as it says"),
    Check(
        "workflows that an attacker could use",
        (
            "zizmor",
            "--offline",
            "--persona",
            "pedantic",
            "--strict-collection",
            "--no-progress",
            "--quiet",
            "--config",
            ".github/zizmor.yml",
            ".github",
        ),
        "the workflow",
    ),
    Check("mistakes in workflows", ("jactionlint", "--no-online", "--strict-exit"), "the workflow"),
    Check("layout of the Makefile", ("mbake", "format", "--check", "Makefile"), FORMAT),
    Check("mistakes in shell scripts", ("shellcheck",), "the script", ("*.sh", ".ci/run"), without=":!"),
    Check(
        "mistakes in YAML",
        ("yamllint", "--strict"),
        "the file",
        ("*.yml", "*.yaml"),
        without=":!",
        changed=("*.yml", "*.yaml"),
    ),
    Check("mistakes in TOML", ("check-toml",), "the file", ("*.toml",), without=":!", changed=("*.toml",)),
    Check(
        "spelling",
        ("typos", "--format", "brief", "--force-exclude"),
        "the word, or [tool.typos] in pyproject.toml",
        without="--exclude",
        changed=(".",),
    ),
    Check(
        "Markdown and dead links",
        ("rumdl", "check", "--no-cache", "--quiet"),
        f"{FORMAT}, or the line",
        PAGES,
        without=":!",
        changed=PAGES,
    ),
    Check(
        "keys and tokens",
        ("betterleaks", "fs", "--config", ".betterleaks.toml", "--no-banner", "--redact"),
        "take it out, and revoke it: what was committed is known",
        changed=(".",),
    ),
    Check(
        "passwords in addresses",
        ("detect-secrets-hook", "--no-verify", "--cores", "1", "--baseline", ".secrets.baseline"),
        "take it out, and revoke it: what was committed is known",
        TEXT,
        changed=TEXT,
    ),
    Check(
        "files too large for git",
        ("check-added-large-files", "--enforce-all", "--maxkb=500"),
        "keep data in DVC: an output of a stage, or `dvc add`",
        (":!uv.lock",),
        changed=(":!uv.lock",),
    ),
    Check(
        "conflict markers",
        ("check-merge-conflict", "--assume-in-merge"),
        "the lines",
        READABLE,
        changed=READABLE,
    ),
    Check(
        "outputs left in notebooks",
        ("nbstripout", "--verify", "--keep-id"),
        FORMAT,
        ("*.ipynb",),
        changed=("*.ipynb",),
    ),
    Check(
        "what a good repo has",
        ("sp-repo-review", "--show", "err", "."),
        "as it says; [tool.repo-review.ignore] with the reason",
    ),
)


def dependency_checks(root: Path) -> list[Check]:
    """Hold each member to what it declares: every import is declared, and every declared package imported."""
    command = ("deptry", "src", "--no-ansi")
    return [
        Check(f"undeclared imports in {member.path}", command, f"{member.path}/pyproject.toml", folder=member.path)
        for member in members(root)
    ]


@dataclass(frozen=True)
class Verdict:
    """What a check said: `passed`, `failed`, `told` of mistakes in drafts alone, or `NOT RUN` where its program is missing."""

    check: Check
    result: str
    output: str = ""


def run(check: Check, root: Path, drafts: Sequence[str] = (), *, changed: bool = False) -> Verdict:
    """Run one check.

    Args:
        check: what to run.
        root: of the checkout.
        drafts: the folders of drafts, relative to it.
        changed: whether to read only the files that differ from the last commit.
    """
    if shutil.which(check.command[0]) is None:
        return Verdict(check, "NOT RUN", f"{check.command[0]} is not installed; `make setup` brings it\n")
    arguments = arguments_of(check, root, changed=changed)
    if arguments is None:
        return Verdict(check, "passed")
    done = call(check, arguments, root)
    result = "failed" if done.returncode else "passed"
    if done.returncode and check.command[:2] == OURS:
        result = "told" if done.returncode == TOLD else "failed"
    elif done.returncode and drafts:
        if check.folder.as_posix() in drafts:
            result = "told"
        elif check.without:
            others = arguments_of(check, root, drafts, changed=changed)
            result = "failed" if others is not None and call(check, others, root).returncode else "told"
    return Verdict(check, result, done.stdout + done.stderr)


def arguments_of(check: Check, root: Path, left_out: Sequence[str] = (), *, changed: bool) -> list[str] | None:
    """Write what a check is called with behind its command, some folders left out; None where there is no file to read."""
    if patterns := check.changed if changed else check.files:
        list_files = changed_files if changed else tracked
        return list_files(root, (*patterns, *(f":!{folder}" for folder in left_out))) or None
    options = [word for folder in left_out for word in (check.without, folder)]
    return [*options, "."] if check.changed else options


def call(check: Check, arguments: Sequence[str], root: Path) -> subprocess.CompletedProcess[str]:
    """Call a check's program."""
    environment = clean_environment()
    environment["NO_COLOR"] = "1"  # what tools say is indented here, and may end in a log
    command = [*check.command, *arguments]
    return subprocess.run(
        command, cwd=root / check.folder, env=environment, capture_output=True, text=True, check=False
    )


def untold(verdict: Verdict) -> list[str]:
    """List what a check says that it could not look into, which is no finding and must not look like none."""
    return [line for line in verdict.output.splitlines() if line.startswith("NOT RUN")]


def tracked(root: Path, patterns: Sequence[str]) -> list[str]:
    """List the files in git that match, those about to be added included and deleted ones left out."""
    listed = ("ls-files", "-z", "--cached", "--others", "--exclude-standard", "--deduplicate", "--", *patterns)
    return [name for name in names(*listed, folder=root) if (root / name).is_file()]


def changed_files(root: Path, patterns: Sequence[str]) -> list[str]:
    """List the files in git that match and differ from the last commit; before the first one all."""
    asked = ("diff", "--name-only", "-z", "--no-ext-diff", "--diff-filter=d", "--relative", "HEAD", "--", *patterns)
    answer = git_call(*asked, folder=root)
    if answer.returncode:
        return tracked(root, patterns)
    return [name for name in answer.stdout.split("\0") if name and (root / name).is_file()]


def lint(root: Path = ROOT, *, changed: bool = False) -> int:
    """Run every check, as many at once as there are processors, and print the findings as they come.

    Args:
        root: of the checkout.
        changed: whether only layout, secrets and what a file shows by itself are looked at, in the files that differ from the
            last commit. A commit is held to that; the push to all.
    """
    begun = time.monotonic()
    checks = [check for check in CHECKS if check.changed] if changed else [*dependency_checks(root), *CHECKS]
    folders = drafts(root)
    counts = Counter[str]()
    with ThreadPoolExecutor(os.cpu_count()) as pool:
        for finished in as_completed([pool.submit(run, check, root, folders, changed=changed) for check in checks]):
            verdict = finished.result()
            counts[verdict.result] += 1
            if verdict.result != "passed":
                result = "mistakes in drafts" if verdict.result == "told" else verdict.result
                print(f"lint: {result}: {verdict.check.finds} ({verdict.check.command[0]})")
                print("\n".join(f"    {line}" for line in verdict.output.strip().splitlines()))
                print(f"    mend: {verdict.check.mend}\n", flush=True)
            else:  # a check of several rules may pass without one of them
                for line in untold(verdict):
                    print(f"lint: {line}", flush=True)
    seconds = time.monotonic() - begun
    if bad := counts["failed"] + counts["NOT RUN"]:
        print(f"lint: {bad} of {len(checks)} checks are not passed ({seconds:.1f} s)", file=sys.stderr)
        return 1
    found = f"{counts['passed']} check{'s' * (counts['passed'] != 1)} found nothing"
    if told := counts["told"]:
        found += f", {told} found mistakes in drafts ({', '.join(folders)}), which stop nobody"
    print(f"lint: {found} ({seconds:.1f} s). Next: make {'lint' if changed else 'types'}")
    return 0
