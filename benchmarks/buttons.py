"""Measure what a person waits for when pressing a button. `python benchmarks/buttons.py` prints a table in Markdown.

Each figure is the best of three, all in one run on one machine; the first column of figures depends on the machine, the
second, a multiple of bare `dvc repro`, hardly does.
"""

import os
import platform
import subprocess
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
REPEATS = 3


def environment() -> dict[str, str]:
    """Leave out what slows Python down or points at another repository."""
    foreign = ("GIT_", "MAKE", "BUTTON_", "PYTHONDONTWRITEBYTECODE")
    path = f"{ROOT / '.venv/bin'}:{ROOT / '.tools/bin'}:{os.environ['PATH']}"
    return {name: value for name, value in os.environ.items() if not name.startswith(foreign)} | {"PATH": path}


def seconds(*command: str, folder: Path = ROOT, extra: dict[str, str] | None = None) -> float:
    """Time one command; it must succeed."""
    begun = time.perf_counter()
    subprocess.run(command, cwd=folder, env=environment() | (extra or {}), capture_output=True, check=True)
    return time.perf_counter() - begun


def best(*command: str, folder: Path = ROOT, extra: dict[str, str] | None = None) -> float:
    """Take the fastest of several, the one that other programs disturbed least."""
    return min(seconds(*command, folder=folder, extra=extra) for _ in range(REPEATS))


def in_a_clone() -> Iterator[tuple[str, float]]:
    """Clone into an empty folder, with an empty HOME and uv's downloads cached; press `make run`, then `make deploy` twice."""
    cache = subprocess.run(["uv", "cache", "dir"], env=environment(), capture_output=True, text=True, check=True)
    with tempfile.TemporaryDirectory() as folder:
        home = Path(folder, "home")
        home.mkdir()
        clone = Path(folder, "clone")
        extra = {"HOME": str(home), "UV_CACHE_DIR": cache.stdout.strip()}
        begun = time.perf_counter()
        seconds("git", "clone", "--quiet", str(ROOT), str(clone), folder=Path(folder), extra=extra)
        seconds("make", "run", folder=clone, extra=extra)
        yield "`git clone` and `make run`, uv's cache warm", time.perf_counter() - begun
        deploy = ("make", "deploy", "PIPELINE=flight_delays", "ENV=local")
        yield "`make deploy` of a model that was never in service", seconds(*deploy, folder=clone, extra=extra)
        yield "`make deploy` with nothing to do", best(*deploy, folder=clone, extra=extra)


def figures() -> Iterator[tuple[str, float]]:
    """Time each button."""
    seconds("make", "run")  # everything up to date before the clock starts
    yield "`dvc repro` with nothing to do", best("dvc", "repro", "--all-pipelines")
    yield "`make run` with nothing to do", best("make", "run")
    yield "`make lint types` with nothing changed", best("make", "lint", "types")
    forced = ("dvc", "repro", "--force", "pipelines/flight_delays/dvc.yaml")
    yield "`dvc repro --force` of flight_delays", best(*forced)
    yield from in_a_clone()


def main() -> None:
    """Print the table."""
    print(f"{platform.system()} {platform.machine()}, {os.cpu_count()} cores, Python {platform.python_version()}\n")
    print("| what | seconds | times bare `dvc repro` |\n|---|--:|--:|")
    bare = 0.0
    for what, taken in figures():
        bare = bare or taken
        print(f"| {what} | {taken:.1f} | {taken / bare:.1f} |", flush=True)


if __name__ == "__main__":
    main()
