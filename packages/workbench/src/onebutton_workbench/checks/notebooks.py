"""Notebooks are for looking, not for keeping: take their outputs out, and load what a stage read and wrote in one call."""

from __future__ import annotations

import subprocess
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from onebutton_contracts.errors import InputError
from onebutton_workbench.environment import clean_environment
from onebutton_workbench.files import read_yaml
from onebutton_workbench.workspace import ROOT, the_pipeline

if TYPE_CHECKING:
    import polars as pl


READERS = {".parquet", ".csv"}


@dataclass(frozen=True)
class StageData:
    """What a stage read and wrote in its last run.

    Attributes:
        params: its parameters, by section.
        inputs: tables that it depends on, by file name without suffix.
        outputs: tables that it wrote, likewise.
        files: the path of every other file that it read or wrote, by file name.
    """

    params: dict[str, Any]
    inputs: dict[str, pl.DataFrame]
    outputs: dict[str, pl.DataFrame]
    files: dict[str, Path]


def load_stage(pipeline: str, stage: str, root: Path = ROOT) -> StageData:
    """Load what a stage read and wrote in one call.

    `data = load_stage("flight_delays", "features")`, then `data.outputs["features"]` is a frame.

    Raises:
        InputError: there is no such pipeline or stage, or it was never run here.
    """
    folder = root / "pipelines" / the_pipeline(pipeline, root)
    lock = folder / "dvc.lock"
    stages = read_yaml(lock)["stages"] if lock.is_file() else {}
    if stage not in stages:
        known = ", ".join(name for name in stages if name != "code") or "none was run yet: press `make run`"
        message = f"pipeline {pipeline!r} has no stage {stage!r} that was run; stages: {known}"
        raise InputError(message)
    inputs, outputs = (_tables(folder, stages[stage].get(side, [])) for side in ("deps", "outs"))
    paths = [folder / entry["path"] for side in ("deps", "outs") for entry in stages[stage].get(side, [])]
    params = read_yaml(folder / "params.yaml")
    return StageData(params, inputs, outputs, {path.name: path for path in paths if path.suffix not in READERS})


def _read(path: Path) -> pl.DataFrame:
    import polars as pl

    return pl.read_parquet(path) if path.suffix == ".parquet" else pl.read_csv(path)


def _tables(folder: Path, entries: list[dict[str, Any]]) -> dict[str, pl.DataFrame]:
    found = {}
    for entry in entries:
        path = folder / entry["path"]
        files = sorted(path.iterdir()) if path.is_dir() else [path]
        for file in (one for one in files if one.suffix in READERS):
            if not file.exists():
                message = f"{file} is not here. `make run` writes it"
                raise InputError(message)
            found[file.stem] = _read(file)
    return found


def tracked_notebooks(root: Path = ROOT) -> list[str]:
    """List the notebooks in git, those about to be added included."""
    ask = ["git", "ls-files", "--cached", "--others", "--exclude-standard", "--deduplicate", "--", "*.ipynb"]
    answer = subprocess.run(ask, cwd=root, env=clean_environment(), capture_output=True, text=True, check=True)
    return [name for name in answer.stdout.splitlines() if (root / name).is_file()]


def strip() -> int:
    """Take the outputs out of every notebook; the work of `make format`."""
    notebooks = tracked_notebooks()
    command = ["nbstripout", "--keep-id", *notebooks]
    return subprocess.run(command, cwd=ROOT, check=False).returncode if notebooks else 0
