"""Find what is asked about in MLflow: a model, a run, or the run behind a file."""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from onebutton_contracts.errors import InputError
from onebutton_tracking.model import RUN_TAG
from onebutton_tracking.results import lock_digest
from onebutton_tracking.store import (
    LOCK_TAG,
    check_there,
    find_experiment,
    find_runs,
    is_finished,
    open_store,
    refusals,
)

if TYPE_CHECKING:
    from mlflow import MlflowClient
    from mlflow.entities import Run
    from mlflow.entities.model_registry import ModelVersion

CHAMPION = "champion"
_MODEL = re.compile(r"(?P<name>[^@/]+)(?:@(?P<alias>[^@/]+)|/(?P<version>\d+))?")


@dataclass(frozen=True)
class Subject:
    """What is asked about: a run, and the version of the registered model that it made, if any."""

    run: Run
    version: ModelVersion | None = None


def search(client: MlflowClient, *wanted: str, order: str = "start_time DESC", most: int = 1000) -> list[Run]:
    """List the finished runs of all pipelines for which MLflow's conditions hold, the latest first."""
    experiments = [experiment.experiment_id for experiment in client.search_experiments()]
    condition = " AND ".join(["status = 'FINISHED'", *wanted])
    return list(client.search_runs(experiments, condition, max_results=most, order_by=[order])) if experiments else []


def find_model(client: MlflowClient, text: str) -> Subject:
    """Find a version of a registered model.

    Args:
        client: of the store.
        text: `name@alias`, `name/3`, or `name` for the champion, and where there is none for the newest.

    Raises:
        InputError: there is no such model, alias or version, or it was not made by a run.
        DeletedError: the experiment of its runs was deleted in MLflow.
    """
    match = _MODEL.fullmatch(text)
    if match is None:
        message = f"MODEL={text} is not understood: it can be name, name@alias or name/3"
        raise InputError(message)
    known = {model.name: model for model in client.search_registered_models()}
    if match["name"] not in known:
        message = (
            f"there is no model {match['name']!r} in MLflow. MODEL can be: {', '.join(sorted(known)) or '(none yet)'}"
        )
        raise InputError(message)
    aliases = {alias: str(version) for alias, version in known[match["name"]].aliases.items()}
    versions = sorted(int(one.version) for one in client.search_model_versions(f"name = '{match['name']}'"))
    newest = str(max(versions, default=0))
    wanted = match["version"] or (aliases.get(match["alias"], "") if match["alias"] else aliases.get(CHAMPION, newest))
    if wanted not in map(str, versions):
        there = ", ".join([f"/{number}" for number in versions] + [f"@{alias}" for alias in aliases])
        message = f"{text} is not in MLflow. After {match['name']} can stand: {there or '(it has no version)'}"
        raise InputError(message)
    version = client.get_model_version(match["name"], wanted)
    if run := maker(client, version):
        return Subject(run, version)
    if not version.run_id:
        message = f"{match['name']}/{wanted} was registered by hand, by no run, so nothing is known of what made it"
        raise InputError(message)
    return Subject(find_run(client, str(version.run_id)), version)


def maker(client: MlflowClient, version: ModelVersion) -> Run | None:
    """Find the run that registered a version; where it was deleted, the first that made the same bytes.

    Raises:
        DeletedError: the experiment of its runs was deleted in MLflow.
    """
    find_experiment(client, version.name)  # says it where the run is gone because the whole experiment is
    made = search(client, f"tags.`{RUN_TAG}` = '{version.name}/{version.version}'")
    return next((run for run in made if run.info.run_id == version.run_id), made[-1] if made else None)


def find_run(client: MlflowClient, text: str) -> Run:
    """Find a run by its id, or by the beginning of it.

    Raises:
        InputError: there is none, more than one, or it was not written by the mirror.
    """
    found = search(client, f"attributes.run_id LIKE '{text}%'") if text.isalnum() else []
    if len(found) != 1:
        latest = ", ".join(run.info.run_id[:8] for run in search(client, most=5))
        count = "more than one run begins" if found else "no run begins"
        message = f"{count} with {text!r}. The latest are: {latest or '(none yet)'}"
        raise InputError(message)
    (run,) = found
    if LOCK_TAG not in run.data.tags:
        message = (
            f"run {run.info.run_id[:8]} was written by another program and not by `make run` here: it names no dvc.lock, "
            "so nothing leads from it to code and data"
        )
        raise InputError(message)
    return run


def find_file(client: MlflowClient, file: Path) -> Run:
    """Find the run behind the results that stand in a pipeline's folder now.

    Args:
        client: of the store.
        file: a metrics file, a plot, or any other file of the pipeline.

    Raises:
        InputError: the file is in no pipeline, or its results are not in MLflow.
        DeletedError: the pipeline's experiment was deleted in MLflow.
        InputError: the pipeline was never run.
    """
    path = file.resolve()
    folder = next((parent for parent in path.parents if (parent / "dvc.yaml").is_file()), None)
    if not path.exists() or folder is None or folder.parent.name != "pipelines":
        message = f"FILE={file} is no file of a pipeline. It can be, for one: pipelines/flight_delays/metrics.json"
        raise InputError(message)
    run = next(filter(is_finished, find_runs(client, folder.name, lock_digest(folder))), None)
    if run is None:
        message = f"the results in {folder.name} are not in MLflow yet. `make run` brings them"
        raise InputError(message)
    return run


def run_of_lock(uri: str, pipeline: str, digest: str) -> str:
    """Return the id of the finished run of a `dvc.lock`; empty when there is none.

    Raises:
        StoreError: there is no MLflow yet, it is away, or it refuses.
    """
    check_there(uri)
    with refusals(uri):
        runs = filter(is_finished, find_runs(open_store(uri), pipeline, digest))
        return next((str(run.info.run_id) for run in runs), "")
