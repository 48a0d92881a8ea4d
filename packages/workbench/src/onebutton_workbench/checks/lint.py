"""Find mistakes in every kind of file without changing one: stock tools, side by side. The work of `make lint`.

A check that could not run counts as NOT RUN, never as passed.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import time
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor, as_completed
from dataclasses import dataclass
from pathlib import Path

from onebutton_workbench.environment import clean_environment
from onebutton_workbench.workspace import ROOT, members


@dataclass(frozen=True)
class Check:
    """One tool, held to one kind of file.

    Attributes:
        finds: what it looks for, in the words of the person who reads its finding.
        command: the call that only reads, and ends with another status than 0 on a finding.
        mend: what to press or do about a finding.
        files: git's patterns for files to add to the command; without a match the check has nothing to read and passes.
        folder: where it runs, relative to the root.
    """

    finds: str
    command: tuple[str, ...]
    mend: str
    files: tuple[str, ...] = ()
    folder: Path = Path()


FORMAT = "make format"
CHECKS = (
    Check("layout of code", ("ruff", "format", "--check", "--quiet", "--diff"), FORMAT),
    Check("mistakes in code", ("ruff", "check", "--quiet"), f"{FORMAT}, or the line"),
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
    Check("mistakes in shell scripts", ("shellcheck",), "the script", ("*.sh", ".ci/run")),
    Check("mistakes in YAML", ("yamllint", "--strict"), "the file", ("*.yml", "*.yaml")),
    Check("mistakes in TOML", ("check-toml",), "the file", ("*.toml",)),
    Check("spelling", ("typos", "--format", "brief"), "the word, or [tool.typos] in pyproject.toml"),
    Check("Markdown and dead links", ("rumdl", "check", "--no-cache", "--quiet", "."), f"{FORMAT}, or the line"),
    Check(
        "keys and tokens",
        ("betterleaks", "fs", "--config", ".betterleaks.toml", "--no-banner", "--redact", "."),
        "take it out, and revoke it: what was committed is known",
    ),
    Check(
        "passwords in addresses",
        ("detect-secrets-hook", "--no-verify", "--cores", "1", "--baseline", ".secrets.baseline"),
        "take it out, and revoke it: what was committed is known",
        (":!uv.lock", ":!*.csv", ":!*.png", ":!*/dummy.json"),  # tables, pictures and figures
    ),
    Check(
        "files too large for git",
        ("check-added-large-files", "--enforce-all", "--maxkb=500"),
        "keep data in DVC: an output of a stage, or `dvc add`",
        (":!uv.lock",),
    ),
    Check(
        "conflict markers",
        ("check-merge-conflict", "--assume-in-merge"),
        "the lines",
        ("*.py", "*.toml", "*.yaml", "*.yml", "*.lock"),
    ),
    Check("outputs left in notebooks", ("nbstripout", "--verify", "--keep-id"), FORMAT, ("*.ipynb",)),
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
    """What a check said: `passed`, `failed`, or `NOT RUN` where its program is missing."""

    check: Check
    result: str
    output: str = ""


def run(check: Check, root: Path) -> Verdict:
    """Run one check."""
    program = shutil.which(check.command[0])
    if program is None:
        return Verdict(check, "NOT RUN", f"{check.command[0]} is not installed; `make setup` brings it\n")
    command = [program, *check.command[1:]]
    if check.files:
        files = tracked(root, check.files)
        if not files:
            return Verdict(check, "passed")
        command += files
    environment = clean_environment()
    environment["NO_COLOR"] = "1"  # what tools say is indented here, and may end in a log
    done = subprocess.run(
        command, cwd=root / check.folder, env=environment, capture_output=True, text=True, check=False
    )
    return Verdict(check, "failed" if done.returncode else "passed", done.stdout + done.stderr)


def untold(verdict: Verdict) -> list[str]:
    """List what a check says that it could not look into, which is no finding and must not look like none."""
    return [line for line in verdict.output.splitlines() if line.startswith("NOT RUN")]


def tracked(root: Path, patterns: Sequence[str]) -> list[str]:
    """List the files in git that match, those about to be added included and deleted ones left out."""
    ask = ["git", "ls-files", "-z", "--cached", "--others", "--exclude-standard", "--deduplicate", "--", *patterns]
    answer = subprocess.run(ask, cwd=root, env=clean_environment(), capture_output=True, text=True, check=True)
    return [name for name in answer.stdout.split("\0") if name and (root / name).is_file()]


def lint(root: Path = ROOT) -> int:
    """Run every check, as many at once as there are processors, and print the findings as they come."""
    begun = time.monotonic()
    checks = [*dependency_checks(root), *CHECKS]
    bad = 0
    with ThreadPoolExecutor(os.cpu_count()) as pool:
        for finished in as_completed([pool.submit(run, check, root) for check in checks]):
            verdict = finished.result()
            if verdict.result != "passed":
                bad += 1
                print(f"lint: {verdict.result}: {verdict.check.finds} ({verdict.check.command[0]})")
                print("\n".join(f"    {line}" for line in verdict.output.strip().splitlines()))
                print(f"    mend: {verdict.check.mend}\n", flush=True)
            else:  # a check of several rules may pass without one of them
                for line in untold(verdict):
                    print(f"lint: {line}", flush=True)
    seconds = time.monotonic() - begun
    if bad:
        print(f"lint: {bad} of {len(checks)} checks are not passed ({seconds:.1f} s)", file=sys.stderr)
        return 1
    print(f"lint: {len(checks)} checks found nothing ({seconds:.1f} s). Next: make types")
    return 0
