"""Measure what a hundred more members cost: `python benchmarks/members.py` prints a table in Markdown.

It clones this repository, adds packages and pipelines from its own templates, and presses the buttons in the clone before and
after. Each figure is the median of three, in seconds of the processor: what a person waits for on a quiet machine.
Aims: the root's files as long as before; lint and types with nothing changed at most twice as long; `make run` with nothing to do
at most 0.3 s more than `dvc repro`. The pipelines are run once first, some minutes.
"""

import argparse
import os
import platform
import resource
import statistics
import subprocess
import tempfile
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
REPEATS = 3
GENERATE = """
import sys
from pathlib import Path
from onebutton_workbench.members.lockfile import lock
from onebutton_workbench.members.new import render
from onebutton_workbench.workspace import Member, distribution

root = Path.cwd()
for kind, count in (("package", int(sys.argv[1])), ("pipeline", int(sys.argv[2]))):
    for name in (f"made_{kind}_{number:03}" for number in range(count)):
        called = distribution(f"onebutton-{name}" if kind == "package" else name)
        render(Member(Path(f"{kind}s", name), called), root)
lock(root)
"""
LOOKS = {
    "`make lint types` with nothing changed": ("make", "lint", "types"),
    "`dvc repro` with nothing to do": ("dvc", "repro", "--all-pipelines"),
    "`make run` with nothing to do": ("make", "run"),
}


def environment(clone: Path) -> dict[str, str]:
    """Put the clone's own programs first; leave out what slows Python down or points at another repository."""
    foreign = ("GIT_", "MAKE", "BUTTON_", "PYTHONDONTWRITEBYTECODE", "VIRTUAL_ENV")
    path = f"{clone / '.venv/bin'}:{clone / '.tools/bin'}:{os.environ['PATH']}"
    return {name: value for name, value in os.environ.items() if not name.startswith(foreign)} | {"PATH": path}


def call(clone: Path, *command: str) -> float:
    """Run a command, which must succeed; return the seconds that it and its own programs spent."""
    begun = spent()
    done = subprocess.run(command, cwd=clone, env=environment(clone), capture_output=True, text=True, check=False)
    if done.returncode:
        raise SystemExit(done.stdout + done.stderr)
    return spent() - begun


def spent() -> float:
    """Return the seconds that ended programs of ours, and those that they called, have spent so far."""
    usage = resource.getrusage(resource.RUSAGE_CHILDREN)
    return usage.ru_utime + usage.ru_stime


def measure(clone: Path) -> dict[str, float]:
    """Commit, bring everything up to date, and take the figures."""
    call(clone, "make", "setup", "run")
    call(clone, "git", "add", "--all")
    who = ("-c", "user.name=benchmark", "-c", "user.email=benchmark")
    call(clone, "git", *who, "commit", "--quiet", "--no-verify", "--allow-empty", "--message", "all")
    for command in LOOKS.values():
        call(clone, *command)
    taken = {what: statistics.median(call(clone, *command) for _ in range(REPEATS)) for what, command in LOOKS.items()}
    tree = ["git", "ls-tree", "-z", "HEAD"]
    entries = subprocess.run(tree, cwd=clone, capture_output=True, text=True, check=True).stdout.split("\0")
    files = [entry.partition("\t")[2] for entry in entries if " blob " in entry]
    at_the_root = [name for name in files if name != "uv.lock"]
    return taken | {"lines of the root's files, uv.lock apart": sum(lines(clone / name) for name in at_the_root)}


def lines(file: Path) -> int:
    """Count the lines of a text."""
    return file.read_text(encoding="utf-8").count("\n")


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--packages", type=int, default=90)
    parser.add_argument("--pipelines", type=int, default=10)
    asked = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="onebutton-members-") as name:
        clone = Path(name, "clone")
        subprocess.run(["git", "clone", "--quiet", str(ROOT), str(clone)], check=True)
        few = measure(clone)
        call(clone, "python", "-c", GENERATE, str(asked.packages), str(asked.pipelines))
        many = measure(clone)
    print(f"{platform.system()} {platform.machine()}, {os.cpu_count()} cores, Python {platform.python_version()}\n")
    print(f"| seconds | as it is | and {asked.packages + asked.pipelines} members more | times |\n|---|--:|--:|--:|")
    for what, before in few.items():
        print(f"| {what} | {before:.2f} | {many[what]:.2f} | {many[what] / before:.1f} |")


if __name__ == "__main__":
    main()
