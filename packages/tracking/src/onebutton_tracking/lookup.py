"""Find what is asked about in MLflow: a model, a run, or the run behind a file."""

from __future__ import annotations

import re
from pathlib import Path
from typing import TYPE_CHECKING

from onebutton_contracts.errors import InputError, require
from onebutton_tracking.model import RUN_TAG
from onebutton_tracking.results import lock_digest
from onebutton_tracking.store import LOCK_TAG, find_experiment, find_runs, is_finished

if TYPE_CHECKING:
    from mlflow import MlflowClient
    from mlflow.entities import Run
    from mlflow.entities.model_registry import ModelVersion

CHAMPION = "champion"
_MODEL = re.compile(r"(?P<name>[^@/]+)(?:@(?P<alias>[^@/]+)|/(?P<version>\d+))?")


def search(client: MlflowClient, wanted: str = "") -> list[Run]:
    """List the finished runs of all pipelines for which a condition of MLflow's holds, the latest first."""
    experiments = [experiment.experiment_id for experiment in client.search_experiments()]
    condition = f"status = 'FINISHED'{wanted and ' AND '}{wanted}"
    return list(client.search_runs(experiments, condition, order_by=["start_time DESC"])) if experiments else []


def find_model(client: MlflowClient, text: str) -> tuple[Run, ModelVersion]:
    """Find a registered model and its run: `name@alias`, `name/3`, or `name` for the champion, without one the newest.

    The run is the one that registered it; where that was deleted, the first that made the same bytes.
    """
    match = _MODEL.fullmatch(text)
    if match is None:
        raise InputError(f"MODEL={text} is not understood: it can be name, name@alias or name/3")
    name, alias, number = match.groups()
    versions = {int(one.version): one for one in client.search_model_versions(f"name = '{name}'")}
    if not versions:
        names = ", ".join(sorted(model.name for model in client.search_registered_models())) or "(none yet)"
        raise InputError(f"there is no model {name!r} in MLflow. MODEL can be: {names}")
    aliases = {one: int(version) for one, version in client.get_registered_model(name).aliases.items()}
    newest = 0 if alias else max(versions)
    wanted = int(number or aliases.get(alias or CHAMPION, newest))
    there = ", ".join([f"/{one}" for one in sorted(versions)] + [f"@{one}" for one in aliases])
    require(wanted in versions, f"{text} is not in MLflow. After {name} can stand: {there}")
    find_experiment(client, name)  # says it where the run is gone because the whole experiment is
    version, label = client.get_model_version(name, str(wanted)), f"{name}/{wanted}"
    made = search(client, f"tags.`{RUN_TAG}` = '{label}'")
    require(made, f"no run is known that made {label}: it was registered by hand, or its run was deleted")
    return next((run for run in made if run.info.run_id == version.run_id), made[-1]), version


def find_run(client: MlflowClient, text: str) -> Run:
    """Find a run that the mirror wrote by its id, or by the beginning of it."""
    found = search(client, f"attributes.run_id LIKE '{text}%'") if text.isalnum() else []
    if len(found) != 1:
        latest = ", ".join(run.info.run_id[:8] for run in search(client)[:5])
        count = "more than one run begins" if found else "no run begins"
        raise InputError(f"{count} with {text!r}. The latest are: {latest or '(none yet)'}")
    foreign = f"run {text} was written by another program: nothing leads from it to code and data"
    require(LOCK_TAG in found[0].data.tags, foreign)
    return found[0]


def find_file(client: MlflowClient, file: Path) -> Run:
    """Find the run behind the results that stand now in the folder of a pipeline's file."""
    path = file.resolve()
    folder = next((parent for parent in path.parents if parent.parent.name == "pipelines"), None)
    if not path.exists() or folder is None:
        raise InputError(
            f"FILE={file} is no file of a pipeline. It can be, for one: pipelines/flight_delays/metrics.json"
        )
    run = next(filter(is_finished, find_runs(client, folder.name, lock_digest(folder))), None)
    if run is None:
        raise InputError(f"the results in {folder.name} are not in MLflow yet. `make run` brings them")
    return run
