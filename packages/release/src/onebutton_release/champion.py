"""Fetch the predictions of the model in service, so that the next one is compared with it. The work of `make champion`."""

from __future__ import annotations

import os
import shutil
import subprocess
from pathlib import Path

from onebutton_contracts.errors import InputError
from onebutton_evaluation.champion import NAME, PREDICTIONS
from onebutton_evaluation.judgement import write_text
from onebutton_release.environments import read_environments
from onebutton_release.target import Target
from onebutton_serving.history import in_service
from onebutton_serving.sealed import ReleaseError, check
from onebutton_tracking.commit import git_environment


def champions_environment(root: Path) -> str:
    """Name the environment whose model is the champion.

    Raises:
        InputError: none says so.
    """
    name = next((name for name, one in read_environments(root).items() if one.champion), "")
    if not name:
        message = (
            "no environment of deploy/environments.toml says `champion = true`, so nobody knows with whom to compare"
        )
        raise InputError(message)
    return name


def fetch_champion(target: Target) -> str:
    """Put the champion's predictions and name into the pipeline's folder `champion/`; return its version.

    Raises:
        InputError: nothing is in service, or the release is damaged.
        ReleaseStoreError: the release store cannot be read.
    """
    move = in_service(target.store)
    if move is None:
        message = f"nothing is in service in {target.name}, so {target.pipeline} has no champion yet"
        raise InputError(message)
    folder = target.fetch(move.after)
    try:
        check(folder)
    except ReleaseError as error:
        raise InputError(str(error)) from None
    here = target.root / "pipelines" / target.pipeline / "champion"
    here.mkdir(exist_ok=True)
    draft = here / f".{PREDICTIONS}.{os.getpid()}"
    try:
        shutil.copyfile(folder / "predictions.parquet", draft)
        draft.replace(here / PREDICTIONS)
    finally:
        draft.unlink(missing_ok=True)
    _track(here / PREDICTIONS, target.root)
    write_text(here / NAME, move.after + "\n")
    return move.after


def _track(file: Path, root: Path) -> None:
    """Have DVC keep the file, so that git holds its digest and everybody compares with the same."""
    command = ["dvc", "add", "--quiet", str(file.relative_to(root))]
    done = subprocess.run(command, cwd=root, env=git_environment(), capture_output=True, text=True, check=False)
    if done.returncode:
        said = (done.stderr or done.stdout).strip().splitlines() or ["it does not say why"]
        message = f"DVC could not take {file.relative_to(root)} in: {said[-1]}"
        raise InputError(message)
