"""Keep the predictions of the model that was deployed, so that the next one is compared with it. A part of `make deploy`."""

from __future__ import annotations

import os
import shutil
import subprocess
from pathlib import Path

from onebutton_contracts.errors import InputError
from onebutton_evaluation.champion import NAME, PREDICTIONS, champion_name
from onebutton_evaluation.judgement import write_text
from onebutton_release.target import Target
from onebutton_serving.sealed import ReleaseError, check
from onebutton_tracking.commit import git_environment


def keep_champion(target: Target, version: str) -> str:
    """Compare the next model with the one that was just deployed; say what to commit, empty when it is the champion already.

    Raises:
        InputError: the release is damaged, or DVC does not take the predictions.
    """
    here = target.root / "pipelines" / target.pipeline / "champion"
    if champion_name(here) == version:
        return ""
    _fetch(target, version, here)
    return f"make run, which compares with {version} from now on, then commit pipelines/{target.pipeline}/champion"


def _fetch(target: Target, version: str, here: Path) -> None:
    folder = target.fetch(version)
    try:
        check(folder)
    except ReleaseError as error:
        raise InputError(str(error)) from None
    here.mkdir(exist_ok=True)
    draft = here / f".{PREDICTIONS}.{os.getpid()}"
    try:
        shutil.copyfile(folder / "predictions.parquet", draft)
        draft.replace(here / PREDICTIONS)
    except OSError as error:
        message = f"{draft.parent / PREDICTIONS} cannot be written: {error.strerror or error}"
        raise InputError(message) from None
    finally:
        draft.unlink(missing_ok=True)
    _track(here / PREDICTIONS, target.root)
    write_text(here / NAME, version + "\n")


def _track(file: Path, root: Path) -> None:
    """Have DVC keep the file, so that git holds its digest and everybody compares with the same."""
    command = ["dvc", "add", "--quiet", str(file.relative_to(root))]
    done = subprocess.run(command, cwd=root, env=git_environment(), capture_output=True, text=True, check=False)
    if done.returncode:
        said = (done.stderr or done.stdout).strip().splitlines() or ["it does not say why"]
        message = f"DVC could not take {file.relative_to(root)} in: {said[-1]}"
        raise InputError(message)
