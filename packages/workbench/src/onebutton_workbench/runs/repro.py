"""Call DVC, and read from what it prints which stages ran, how long each took and how much memory it needed."""

from __future__ import annotations

import re
import subprocess
import threading
import time
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import psutil

from onebutton_workbench.environment import clean_environment

RUNNING = re.compile(r"^Running stage '(?:(?P<file>.+?):)?(?P<stage>[^:']+)':")
_REMADE = re.compile(r"^(?:Running stage '|Stage '(?=\S+ is cached))(?:(?P<file>.+?):)?(?P<stage>[^:']+)'")
_AFTER = re.compile(r"^(Running stage|Stage|Updating lock file|ERROR)\b")
PAUSE = 0.2  # seconds between two looks at the memory in use: a look takes some milliseconds
MEGABYTE = 1e6


@dataclass(frozen=True)
class Use:
    """What a stage took: seconds, and megabytes of memory at its peak, all its processes together; 0 where nobody looked."""

    seconds: float
    peak_mb: float = 0.0

    def __str__(self) -> str:
        """Say it in a few words."""
        return f"{self.seconds:.1f} s" + (f" {self.peak_mb:.0f} MB" if self.peak_mb else "")


Lines = Sequence[tuple[float, str]]
Looks = Sequence[tuple[float, float]]


def call_dvc(command: list[str], root: Path, lock: int) -> tuple[int, Lines, Looks]:
    """Call DVC and pass on what it prints, line by line.

    Returns:
        Its exit status; its lines, each with the second at which it came; and the megabytes that its stages used, each with the
        second of the look.
    """
    lines, looks, over = list[tuple[float, str]](), list[tuple[float, float]](), threading.Event()
    with subprocess.Popen(
        command,
        cwd=root,
        env=clean_environment() | {"PYTHONUNBUFFERED": "1"},  # a stage is to be seen while it runs
        stdout=subprocess.PIPE,
        text=True,
        errors="replace",
        bufsize=1,
        pass_fds=(lock,),
    ) as program:
        watch = threading.Thread(target=_look, args=(program.pid, looks, over), daemon=True)
        watch.start()
        try:
            for line in program.stdout or ():
                print(line, end="", flush=True)
                lines.append((time.monotonic(), line))
        finally:
            over.set()
            watch.join()
    return program.returncode, [*lines, (time.monotonic(), "Stage: the end")], looks


def _look(number: int, looks: list[tuple[float, float]], over: threading.Event) -> None:
    """Note the memory of all that a process started, until it is over."""
    while not over.wait(PAUSE):
        used = 0
        try:
            for child in psutil.Process(number).children(recursive=True):
                used += child.memory_info().rss
        except psutil.Error:  # one of them has just ended
            continue
        looks.append((time.monotonic(), used / MEGABYTE))


def stage_use(lines: Lines, looks: Looks = ()) -> dict[str, dict[str, Use]]:
    """Measure the stages of each `dvc.yaml`, by when DVC says that one starts and what it says next."""
    taken: dict[str, dict[str, Use]] = defaultdict(dict)
    running, begun = None, 0.0
    for when, line in lines:
        if running and _AFTER.match(line):
            peak = max((used for at, used in looks if begun <= at <= when), default=0.0)
            taken[running["file"] or "dvc.yaml"][running["stage"]] = Use(when - begun, peak)
            running = None
        if match := RUNNING.match(line):
            running, begun = match, when
    return taken


def remade(lines: Iterable[str]) -> dict[str, list[str]]:
    """Read from DVC's lines which stages ran or came out of its cache, by pipeline.

    The stage `code`, which always runs and takes a moment, is left out.
    """
    stages: dict[str, list[str]] = defaultdict(list)
    for line in lines:
        if (match := _REMADE.match(line)) and match["stage"] != "code":
            stages[Path(match["file"] or "dvc.yaml").parent.name].append(match["stage"])
    return dict(stages)


def made_again(lines: Lines, use: Mapping[str, Mapping[str, Use]]) -> tuple[list[str], str]:
    """Sum up which stages were made again, with what each took that ran.

    Returns:
        The pipelines of which one was, and the words.
    """
    again, parts = remade(line for _, line in lines), []
    for name, stages in again.items():
        took = use.get(f"pipelines/{name}/dvc.yaml" if name else "dvc.yaml", {})
        said = ", ".join(f"{stage} {took[stage]}" if stage in took else stage for stage in stages)
        parts.append(f"{name} ({said})" if name else said)
    return list(again), f"made again: {'; '.join(parts)}" if parts else "nothing had to be made again"
