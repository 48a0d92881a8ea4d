"""Run the GitHub workflow on this machine, with act, on a clean clone of the commit. The work of `make ci`.

Only ci.yml runs, never a deployment. What is not committed is not in the clone, so it is refused rather than passed over.
"""

from __future__ import annotations

import re
import shutil
import subprocess
import tempfile
import time
from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path

from onebutton_contracts.errors import InputError
from onebutton_workbench.bootstrap import without_tools
from onebutton_workbench.environment import clean_environment
from onebutton_workbench.git import address, check_committed, git
from onebutton_workbench.workspace import ROOT

WORKFLOW = ".github/workflows/ci.yml"
TELLING = 15  # lines of a failed job that are said again at the end
ACT_LINE = re.compile(r"\[ci/(?P<job>[^]]+)\]\s+(?P<text>.*)")  # act begins each line with the workflow and the job
COLOUR = re.compile(r"\x1b\[[0-9;]*m")
PYTEST_VERDICT = ("FAILED ", "ERROR ")  # how pytest's summary names a test


def runner_arguments(runner: str) -> list[str]:
    """Say where act runs the jobs: on this machine, as .actrc says, or in a container.

    Raises:
        InputError: the runner is unknown, or the engine that it needs is missing.
    """
    if not runner:
        return []
    if runner != "docker":
        message = f"RUNNER={runner} is unknown. Leave it out to run on this machine, or take RUNNER=docker"
        raise InputError(message)
    engine = subprocess.run(["docker", "info"], capture_output=True, check=False) if shutil.which("docker") else None
    if engine is None or engine.returncode:
        raise InputError("RUNNER=docker NOT RUN: no Docker engine answers here. Start one, or leave RUNNER out")
    return ["--platform", "ubuntu-latest=catthehacker/ubuntu:act-latest"]


def failed_jobs(lines: Iterable[str]) -> dict[str, list[str]]:
    """Find in act's output which jobs failed, and the few lines of each that say why.

    A run prints thousands of lines and goes on with its other jobs after the first failure, so a reader would have to
    search. Pytest's verdicts say most; a job without any is told by its last lines.
    """
    printed: dict[str, list[str]] = defaultdict(list)
    failed = []
    for job, text in filter(None, map(_of_a_job, lines)):
        if text.startswith("|"):
            printed[job].append(text[1:].strip())
        elif text.endswith("Job failed"):
            failed.append(job)
    return {job: _telling([line for line in printed[job] if line]) for job in failed}


def _of_a_job(line: str) -> tuple[str, str] | None:
    """Read which job a line of act is of, and what it says."""
    match = ACT_LINE.match(COLOUR.sub("", line.rstrip()))
    return (match["job"].strip(), match["text"]) if match else None


def _telling(lines: list[str]) -> list[str]:
    verdicts = [line for line in lines if line.startswith(PYTEST_VERDICT)]
    more = [f"and {len(verdicts) - TELLING} more"] if len(verdicts) > TELLING else []
    return verdicts[:TELLING] + more if verdicts else lines[-TELLING:]


def shown(lines: Iterable[str], spans: dict[str, tuple[float, float]]) -> Iterator[str]:
    """Print act's lines as they come, and note in `spans` when each job said its first and its last, in seconds of a clock."""
    for line in lines:
        print(line, end="", flush=True)
        if of_a_job := _of_a_job(line):
            now = time.monotonic()
            begun, _ = spans.get(of_a_job[0], (now, now))
            spans[of_a_job[0]] = begun, now
        yield line


def minutes(spans: Mapping[str, tuple[float, float]]) -> str:
    """Say how long each job took, and all of them."""
    taken = {job: (end - begin) / 60 for job, (begin, end) in spans.items()}
    return f"minutes: {', '.join(f'{job} {one:.1f}' for job, one in taken.items())}; in all {sum(taken.values()):.1f}"


def run_workflow(engine: str) -> int:
    """Clone the commit, and let act run the workflow there: on this machine, or with `docker` in act's images.

    Raises:
        InputError: something is not committed, or a job failed.
    """
    runner = runner_arguments(engine)
    check_committed(ROOT)
    commit = git("rev-parse", "HEAD", folder=ROOT)
    spans: dict[str, tuple[float, float]] = {}
    print(f"ci: {WORKFLOW} on a clean clone of {commit[:8]}", flush=True)
    with tempfile.TemporaryDirectory(prefix="onebutton-ci-") as folder:
        clone = Path(folder) / ROOT.name
        git("clone", "--quiet", "--no-hardlinks", str(ROOT), str(clone), folder=ROOT)
        git("checkout", "--quiet", "-B", "main", commit, folder=clone)
        git("remote", "set-url", "origin", address(ROOT), folder=clone)
        environment = clean_environment() | {"CI": "true", "XDG_CACHE_HOME": str(Path(folder) / "cache")}
        # the jobs bring their own tools, as they must on GitHub: those of this checkout would hide that one does not
        environment["PATH"] = without_tools(ROOT, environment["PATH"])
        # uv's own cache is outside the clone and content-addressed: sharing it saves downloads and hides nothing
        uv_cache = subprocess.run(["uv", "cache", "dir"], capture_output=True, text=True, check=True).stdout.strip()
        # one job at a time: each uses every processor already
        act = [str(ROOT / ".venv/bin/act"), "push", "--workflows", WORKFLOW, "--concurrent-jobs", "1", *runner]
        with subprocess.Popen(
            act,
            cwd=clone,
            env={"UV_CACHE_DIR": uv_cache} | environment,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            encoding="utf-8",
            errors="replace",
        ) as running:
            failed = failed_jobs(shown(running.stdout or (), spans))
    print(f"ci: {minutes(spans)}")
    if running.returncode:
        for job, why in failed.items():
            print(f"\nci: job {job} failed:", *(f"  {line}" for line in why), sep="\n")
        raise InputError("a job failed; all that it printed is above, on the lines that carry its name")
    print(f"ci: every job of {WORKFLOW} succeeded on {commit[:8]}")
    return 0
