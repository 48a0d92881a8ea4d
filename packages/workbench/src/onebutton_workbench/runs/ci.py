"""Run the GitHub workflow on this machine, with act, on a clean clone of the commit. The work of `make ci`.

Only ci.yml runs, never a deployment. What is not committed is not in the clone, so it is refused rather than passed over.
"""

from __future__ import annotations

import re
import subprocess
import tempfile
import time
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path

from onebutton_contracts.errors import InputError
from onebutton_workbench.bootstrap import without_tools
from onebutton_workbench.environment import clean_environment
from onebutton_workbench.git import address, check_clean, git
from onebutton_workbench.workspace import ROOT

WORKFLOW = ".github/workflows/ci.yml"
ACT_LINE = re.compile(r"\[ci/(?P<job>[^]]+)\]\s+(?P<text>.*)")  # act begins each line with the workflow and the job
COLOUR = re.compile(r"\x1b\[[0-9;]*m")


def shown(lines: Iterable[str], spans: dict[str, tuple[float, float]]) -> Iterator[str]:
    """Print act's lines as they come, note in `spans` when each job said its first and its last, and yield the jobs that fail."""
    for line in lines:
        print(line, end="", flush=True)
        if match := ACT_LINE.match(COLOUR.sub("", line.rstrip())):
            job, now = match["job"].strip(), time.monotonic()
            spans[job] = spans.get(job, (now, now))[0], now
            if match["text"].endswith("Job failed"):
                yield job


def minutes(spans: Mapping[str, tuple[float, float]]) -> str:
    """Say how long each job took, and all of them."""
    taken = {job: (end - begin) / 60 for job, (begin, end) in spans.items()}
    return f"minutes: {', '.join(f'{job} {one:.1f}' for job, one in taken.items())}; in all {sum(taken.values()):.1f}"


def run_workflow() -> None:
    """Clone the commit, and let act run the workflow there, on this machine, as .actrc says.

    Raises:
        InputError: something is not committed, or a job failed.
    """
    check_clean(ROOT, "ci")
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
        act = [str(ROOT / ".venv/bin/act"), "push", "--workflows", WORKFLOW, "--concurrent-jobs", "1"]
        with subprocess.Popen(
            act,
            cwd=clone,
            env={"UV_CACHE_DIR": uv_cache} | environment,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            encoding="utf-8",
            errors="replace",
        ) as running:
            failed = list(shown(running.stdout or (), spans))
    print(f"ci: {minutes(spans)}")
    if running.returncode:
        message = (
            f"failed: {', '.join(failed) or 'act'}; all that a job printed is above, on the lines that carry its name"
        )
        raise InputError(message)
    print(f"ci: every job of {WORKFLOW} succeeded on {commit[:8]}")
