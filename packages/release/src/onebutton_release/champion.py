"""Keep the predictions of the model that was deployed, so that the next one is compared with it. A part of `make deploy`."""

import shutil
import subprocess
from contextlib import suppress
from pathlib import Path

from onebutton_contracts.errors import InputError, require
from onebutton_evaluation.champion import CHAMPION, NAME, PREDICTIONS, champion_name
from onebutton_evaluation.judgement import write_text
from onebutton_release.moves import whole
from onebutton_release.target import Target, find_target, read_environments
from onebutton_serving.history import in_service
from onebutton_serving.release_store import ReleaseStoreError
from onebutton_serving.sealed import ReleaseError
from onebutton_tracking.commit import git_environment


def keep_champion(target: Target, version: str) -> str:
    """Compare the next model with the one that was just deployed; say what to commit, empty when it is the champion already."""
    here = target.folder / CHAMPION
    if champion_name(here) == version:
        return ""
    keep_predictions(target.folder, target.fetch(version) / PREDICTIONS)
    write_text(here / NAME, version + "\n")
    return f"make run, which compares with {version} from now on, then commit pipelines/{target.pipeline}/champion"


def keep_predictions(pipeline: Path, predictions: Path) -> None:
    """Copy a champion's predictions into the pipeline: DVC keeps them, git their digest, so everybody compares with the same.

    Raises:
        InputError: the file cannot be written, or DVC could not take it in.
    """
    file = pipeline / CHAMPION / PREDICTIONS
    try:
        file.parent.mkdir(exist_ok=True)
        file.unlink(missing_ok=True)  # it may be a link into DVC's cache
        shutil.copyfile(predictions, file)
    except OSError as error:
        raise InputError(f"{file} cannot be written: {error.strerror or error}") from None
    command = ["dvc", "add", "--quiet", file.name]
    done = subprocess.run(command, cwd=file.parent, env=git_environment(), capture_output=True, text=True, check=False)
    said = (done.stderr or done.stdout).strip().splitlines() or ["it does not say why"]
    require(not done.returncode, f"DVC could not take {file} in: {said[-1]}")


def release_of_champion(root: Path, pipeline: Path) -> Path | None:
    """Find the release of the champion that a pipeline is compared with; None where there is none, or it is not to be had here.

    Raises:
        InputError: the release is not what was deployed.
    """
    version, target = champion_name(pipeline / CHAMPION), _where_champions_are(root, pipeline.name)
    if version and target:
        with suppress(ReleaseError, ReleaseStoreError):
            return whole(target, version)
    return None


def check_champion(root: Path, pipeline: Path) -> None:
    """Refuse a model that was compared with another champion than the one in service, or with none; where that can be seen."""
    target, compared = _where_champions_are(root, pipeline.name), champion_name(pipeline / CHAMPION)
    with suppress(ReleaseStoreError):
        if target and (move := in_service(target.store)) and move.after != compared:
            raise InputError(
                f"{move.after} is in service in {target.name}, and this model was compared with {compared or 'no champion'}. "
                f"`make deploy PIPELINE={pipeline.name} ENV={target.name} TO={move.after}` fetches it into champion/; then "
                "`make run`, and commit"
            )


def _where_champions_are(root: Path, pipeline: str) -> Target | None:
    """Find the environment that keeps champions; None where none does, or it is not to be had from here."""
    with suppress(InputError):
        names = [name for name, one in read_environments(root).items() if one.champion]
        return find_target(root, pipeline, names[0], names[0]) if names else None
    return None
