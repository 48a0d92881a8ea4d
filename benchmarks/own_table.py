"""Measure how long a person's own table takes to answer: `python -m benchmarks.own_table` prints a table in Markdown.

It clones this repository as a fork, sets it up without the samples, and takes each table through three presses:
`make new-pipeline`, `make run` and `make serve`, until a golden row that the last one prints is answered over HTTP. No file is
edited in between. Each must be answered, or refused in one line, within 90 seconds. Then one leaves draft: its questions are
answered, and it is checked. Figures are seconds on the clock, and of the processor in all three presses, which is what a person
waits for on a quiet machine; uv's cache is warm.
"""

import contextlib
import http.client
import json
import os
import platform
import shlex
import signal
import socket
import subprocess
import tempfile
import time
from pathlib import Path
from typing import Any

from benchmarks.members import environment, spent
from packages.workbench.tests.test_own_table import TABLES, decimal_commas, twelve, write
from sklearn import datasets

ROOT = Path(__file__).resolve().parents[1]
SLOWEST = 90.0  # seconds of all three presses
MESSY = ("missing_as_words", "two_dates", "leaking_id", "grouped", "wide", "constant", "unanswered", "unicode")
REFUSED = {"twelve rows": (twelve(), "rent"), "decimal commas in the answer": (decimal_commas(), "price")}


def press(fork: Path, *words: str) -> tuple[float, subprocess.CompletedProcess[str]]:
    """Press a button, and return the seconds that it took and what it said."""
    begun = time.monotonic()
    done = subprocess.run(
        ["make", *words], cwd=fork, env=environment(fork), capture_output=True, text=True, check=False
    )
    return time.monotonic() - begun, done


def ask(port: int, method: str, path: str, body: str = "") -> Any:
    """Ask the server."""
    with contextlib.closing(http.client.HTTPConnection("127.0.0.1", port, timeout=10)) as connection:
        connection.request(method, path, body.encode(), {"content-type": "application/json"})
        return json.load(connection.getresponse())


def answered(fork: Path, pipeline: str) -> tuple[float, Any]:
    """Press `make serve`, ask what it says to ask, and return the seconds until the answer, and the answer."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    begun, log = time.monotonic(), fork / "serve.log"
    command = ["make", "serve", f"PIPELINE={pipeline}", f"PORT={port}"]
    with log.open("wb") as out:
        server = subprocess.Popen(
            command, cwd=fork, env=environment(fork), start_new_session=True, stdout=out, stderr=out
        )
    try:
        while server.poll() is None and time.monotonic() - begun < SLOWEST:
            try:
                example = ask(port, "GET", "/openapi.json")["components"]["schemas"]["Body"]["example"]
            except (OSError, KeyError):
                time.sleep(0.05)
                continue
            line = next((line for line in log.read_text("utf-8").splitlines() if line.startswith("  curl ")), "")
            body = shlex.split(line)[-1] if line else json.dumps(example)  # of many columns the page alone shows one
            answer = ask(port, "POST", "/v1/predict", body)
            return time.monotonic() - begun, answer["predictions"][0]
        raise SystemExit(log.read_text("utf-8"))
    finally:
        with contextlib.suppress(ProcessLookupError):
            os.killpg(server.pid, signal.SIGTERM)
        server.wait(60)


def graduate(fork: Path, pipeline: str) -> None:
    """Take a pipeline out of draft: answer what its card asks, and check it as its author would."""
    folder = fork / "pipelines" / pipeline
    card, project = folder / "card.toml", folder / "pyproject.toml"
    card.write_text(card.read_text("utf-8").replace('"todo: ', '"Answered for a measurement: '), encoding="utf-8")
    project.write_text(project.read_text("utf-8").replace("draft = true\n", ""), encoding="utf-8")
    for words in (("run", f"PIPELINE={pipeline}"), ("lint", "types", "test", f"MEMBER={pipeline}")):
        subprocess.run(["git", "add", "--all"], cwd=fork, env=environment(fork), check=True)
        seconds, done = press(fork, *words)
        if done.returncode:
            raise SystemExit(done.stdout + done.stderr)
        print(f"| out of draft: `make {' '.join(words)}` | | | | {seconds:.1f} | | green |", flush=True)


def main() -> None:
    """Take every table through its presses; end with 1 where one is neither answered nor refused in time."""
    wine = datasets.load_wine(as_frame=True).frame.to_dict("list")
    tables = REFUSED | {name: TABLES[name] for name in MESSY} | {"wine, of scikit-learn": (wine, "target")}
    with tempfile.TemporaryDirectory() as scratch:
        fork, begun = Path(scratch) / "fork", time.monotonic()
        subprocess.run(["git", "clone", "--quiet", ROOT, fork], env=environment(fork), check=True)
        cloned = time.monotonic() - begun
        setup, done = press(fork, "setup")
        if done.returncode:
            raise SystemExit(done.stderr)
        subprocess.run(["git", "rm", "-r", "--quiet", "pipelines"], cwd=fork, env=environment(fork), check=True)
        press(fork, "lock", "setup")
        print(f"git clone {cloned:.1f} s, make setup {setup:.1f} s\n")
        print(
            f"| {platform.system()} {platform.machine()}, Python {platform.python_version()}, seconds | `new-pipeline` | `run` "
            "| `serve`, answered | all | of the processor | answer |\n|---|--:|--:|--:|--:|--:|---|"
        )
        bad = 0
        for number, (name, (columns, answer)) in enumerate(tables.items()):
            source, pipeline = Path(scratch) / f"table_{number}.csv", f"table_{number}"
            write(columns, source)
            used = spent()
            typed = (f"NAME={pipeline}", f"FROM={source}", f"ANSWER={answer}", "LICENSE=CC0-1.0")
            first, done = press(fork, "new-pipeline", *typed)
            if done.returncode:
                said = [line for line in done.stderr.splitlines() if line.startswith("new-pipeline: ")]
                bad += len(said) != 1 or answer not in said[0] or name not in REFUSED
                print(
                    f"| {name} | {first:.1f} | | | {first:.1f} | {spent() - used:.1f} | refused: {' '.join(said)} |",
                    flush=True,
                )
                continue
            second, done = press(fork, "run", f"PIPELINE={pipeline}")
            if done.returncode:
                raise SystemExit(done.stdout + done.stderr)
            third, found = answered(fork, pipeline)
            whole = first + second + third
            bad += whole > SLOWEST
            row = " | ".join(f"{seconds:.1f}" for seconds in (first, second, third, whole, spent() - used))
            print(f"| {name} | {row} | {', '.join(f'{key} {value}' for key, value in found.items())} |", flush=True)
        graduate(fork, f"table_{number}")
    raise SystemExit(bad > 0)


if __name__ == "__main__":
    main()
