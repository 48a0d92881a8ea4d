"""Measure what the mirror costs: `python benchmarks/tracking.py` prints a table in Markdown.

One run with 70 values and a curve of 1,000 points is written into a new SQLite file as the mirror does it, and as a stage would
with one call for each value. Both in one program, after MLflow is imported and the database made; the best of three each.
"""

from __future__ import annotations

import os
import platform
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from mlflow import MlflowClient

ROOT = Path(__file__).resolve().parents[1]
POINTS = 1000
VALUES = 70  # 20 parameters and 50 metrics
PARAMS = 20
REPEATS = 3


def mirrored(client: MlflowClient, experiment: str) -> None:
    """Write the values as the mirror does."""
    from onebutton_tracking.entry import log_values

    params = {f"p{number}": "1" for number in range(PARAMS)}
    points = [(f"m{number}", 0.5, 0) for number in range(VALUES - PARAMS)]
    points += [("curves/loss", 1 / (step + 1), step) for step in range(POINTS)]
    run = client.create_run(experiment)
    log_values(client, run, params, points, {})
    client.set_terminated(run.info.run_id)


def one_by_one(client: MlflowClient, experiment: str) -> None:
    """Write the same with MLflow's fluent calls, one for each value."""
    import mlflow

    del client
    with mlflow.start_run(experiment_id=experiment):
        for number in range(PARAMS):
            mlflow.log_param(f"p{number}", "1")
        for number in range(VALUES - PARAMS):
            mlflow.log_metric(f"m{number}", 0.5)
        for step in range(POINTS):
            mlflow.log_metric("curves/loss", 1 / (step + 1), step=step)


def seconds(write: Callable[[MlflowClient, str], None], client: MlflowClient, experiment: str) -> float:
    """Time a way of writing, the best of several: other programs disturbed it least."""
    taken = []
    for _ in range(REPEATS):
        begun = time.perf_counter()
        write(client, experiment)
        taken.append(time.perf_counter() - begun)
    return min(taken)


def import_seconds(module: str) -> float:
    """Time a program that imports one module, less one that imports nothing."""

    def whole(program: str) -> float:
        begun = time.perf_counter()
        subprocess.run([sys.executable, "-c", program], check=True)
        return time.perf_counter() - begun

    return min(whole(f"import {module}") for _ in range(REPEATS)) - min(whole("") for _ in range(REPEATS))


def main() -> None:
    """Print the table."""
    from onebutton_tracking.store import open_store

    mirror_import, mlflow_import = import_seconds("onebutton_tracking.mirror"), import_seconds("mlflow")
    with tempfile.TemporaryDirectory(prefix="onebutton-tracking-") as folder:
        client = open_store(f"sqlite:///{folder}/mlflow.db")
        experiment = client.create_experiment("benchmark", artifact_location=Path(folder, "artifacts").as_uri())
        batch = seconds(mirrored, client, experiment)
        fluent = seconds(one_by_one, client, experiment)
    print(f"{platform.system()} {platform.machine()}, {os.cpu_count()} cores, Python {platform.python_version()}\n")
    print("| seconds | | times |\n|---|--:|--:|")
    print(f"| {VALUES} values and a curve of {POINTS:,} points, mirrored | {batch:.2f} | 1.0 |")
    print(f"| the same, one call for each | {fluent:.2f} | {fluent / batch:.1f} |")
    print(f"| import of `onebutton_tracking.mirror` | {mirror_import:.2f} | |")
    print(f"| import of MLflow, which a press with nothing to say does without | {mlflow_import:.2f} | |")


if __name__ == "__main__":
    main()
