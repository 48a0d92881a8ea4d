"""Notebooks are for looking, not for keeping: take their outputs out, and load what a stage read and wrote in one call."""

from __future__ import annotations

import subprocess
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from onebutton_contracts.errors import InputError
from onebutton_workbench.files import read_yaml
from onebutton_workbench.git import listed
from onebutton_workbench.workspace import ROOT, the_pipeline

if TYPE_CHECKING:
    import polars as pl


@dataclass(frozen=True)
class StageData:
    """What a stage read and wrote in its last run."""

    params: dict[str, Any]  # its parameters, by section
    inputs: dict[str, pl.DataFrame]  # tables that it depends on, by file name without suffix
    outputs: dict[str, pl.DataFrame]  # tables that it wrote, likewise
    files: dict[str, Path]  # every other file that it read or wrote, by file name


def load_stage(pipeline: str, stage: str, root: Path = ROOT) -> StageData:
    """Load what a stage read and wrote in one call.

    `data = load_stage("flight_delays", "features")`, then `data.outputs["train"]` is a frame.

    Raises:
        InputError: there is no such pipeline or stage, or it was never run here.
    """
    import polars as pl

    readers: dict[str, Callable[[Path], pl.DataFrame]] = {".parquet": pl.read_parquet, ".csv": pl.read_csv}
    folder = root / "pipelines" / the_pipeline(pipeline, root)
    lock = folder / "dvc.lock"
    stages = read_yaml(lock)["stages"] if lock.is_file() else {}
    if stage not in stages:
        known = ", ".join(name for name in stages if name != "code") or "none was run yet: press `make run`"
        message = f"pipeline {pipeline!r} has no stage {stage!r} that was run; stages: {known}"
        raise InputError(message)
    tables: dict[str, dict[str, pl.DataFrame]] = {"deps": {}, "outs": {}}
    others: dict[str, Path] = {}
    for side, found in tables.items():
        for path in (folder / entry["path"] for entry in stages[stage].get(side, [])):
            others |= {} if path.suffix in readers else {path.name: path}
            for file in sorted(path.iterdir()) if path.is_dir() else [path]:
                if file.suffix in readers and not file.exists():
                    message = f"{file} is not here. `make run` writes it"
                    raise InputError(message)
                if file.suffix in readers:
                    found[file.stem] = readers[file.suffix](file)
    return StageData(read_yaml(folder / "params.yaml"), tables["deps"], tables["outs"], others)


def strip() -> int:
    """Take the outputs out of every notebook; the work of `make format`."""
    notebooks = listed(ROOT, "*.ipynb")
    command = ["nbstripout", "--keep-id", *notebooks]
    return subprocess.run(command, cwd=ROOT, check=False).returncode if notebooks else 0
