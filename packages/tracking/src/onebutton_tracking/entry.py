"""Write one run into MLflow, such that writing it again changes nothing: what was cut off half-way is simply written again."""

from __future__ import annotations

import getpass
import hashlib
import os
import re
import shutil
import tempfile
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

from onebutton_tracking.datasets import list_datasets
from onebutton_tracking.model import RUN_TAG, keep_one_version, register
from onebutton_tracking.origin import Origin
from onebutton_tracking.results import DUMMY, Results
from onebutton_tracking.store import (
    DIRTY_TAG,
    LOCK_TAG,
    PIPELINE_TAG,
    SOURCES_TAG,
    StoreError,
    alone,
    find_experiment,
    find_runs,
    is_finished,
    sqlite_file,
)

if TYPE_CHECKING:
    from mlflow import MlflowClient
    from mlflow.entities import Run

BATCH = 1000  # values that MLflow takes at once
FEW = 100  # parameters, or tags, that it takes at once
EXPERIMENT_TAGS = {"mlflow.experimentKind": "custom_model_development"}  # else its pages are those for language models
COMMIT_TAG = "mlflow.source.git.commit"
BRANCH_TAG = "mlflow.source.git.branch"
PATCH = "sources/patch.diff"


def open_store(uri: str) -> MlflowClient:
    """Open MLflow's store, and set its tables up where there are none.

    Raises:
        StoreError: it does not answer.
    """
    import logging

    # A team's server that hangs must not hold `make run` for the ten minutes that MLflow would wait.
    defaults = {
        "MLFLOW_UV_AUTO_DETECT": "false",  # else the whole uv.lock is logged with every model
        "MLFLOW_HTTP_REQUEST_TIMEOUT": "20",
        "MLFLOW_HTTP_REQUEST_MAX_RETRIES": "2",
        "MLFLOW_SUPPRESS_PRINTING_URL_TO_STDOUT": "true",
        "MLFLOW_ENABLE_ARTIFACTS_PROGRESS_BAR": "false",
    }
    for name, text in defaults.items():
        os.environ.setdefault(name, text)
    import mlflow

    for name in ("alembic", "mlflow"):
        logging.getLogger(name).setLevel(logging.ERROR)  # they tell how they set up tables; errors are raised anyway
    mlflow.set_tracking_uri(uri)
    mlflow.set_registry_uri(uri)
    with alone(uri, "set-up"):
        file = sqlite_file(uri)
        if file and not (file.is_file() and file.stat().st_size):
            _make_database(file)
        return mlflow.MlflowClient(uri, uri)  # makes the tables of other stores, where there are none


def _make_database(file: Path) -> None:
    """Set up a SQLite file beside its place: one that was cut off half-way would be refused for ever."""
    import mlflow

    draft = file.with_name(f"{file.name}.draft")
    for left in (draft, draft.with_name(f"{draft.name}-journal")):  # by one that was killed
        left.unlink(missing_ok=True)
    mlflow.MlflowClient(f"sqlite:///{draft}")
    draft.replace(file)


def experiment_id(client: MlflowClient, name: str, uri: str) -> str:
    """Return the experiment of a pipeline, made where it is missing.

    Raises:
        DeletedError: somebody deleted it.
    """
    from mlflow.exceptions import MlflowException

    if found := find_experiment(client, name):
        for key, text in EXPERIMENT_TAGS.items() - found.tags.items():
            client.set_experiment_tag(found.experiment_id, key, text)
        return str(found.experiment_id)
    file = sqlite_file(uri)  # a server knows where its artifacts go; a file does not
    place = (file.parent / "mlartifacts" / name).as_uri() if file else None
    try:
        return str(client.create_experiment(name, artifact_location=place, tags=EXPERIMENT_TAGS))
    except MlflowException:  # another mirror was quicker
        if found := client.get_experiment_by_name(name):
            return str(found.experiment_id)
        raise


def open_run(client: MlflowClient, experiment: str, results: Results, origin: Origin) -> Run | None:
    """Go on with the run that an earlier try left unfinished, or begin one; None where a whole one is there.

    A run that has registered the model is finished in any case, as its version's page leads to it.
    """
    runs = find_runs(client, results.pipeline, results.lock_digest)
    unfinished = {str(run.info.run_id) for run in runs if not is_finished(run)}
    registered = unfinished & _registered(client, results)
    if any(map(is_finished, runs)) and not registered:
        return None
    return client.get_run(min(registered or unfinished)) if unfinished else _create(client, experiment, results, origin)


def write(client: MlflowClient, run: Run, results: Results, origin: Origin, *, crowded: bool) -> str:
    """Write a run from its beginning to its end; what an earlier try had written stays as it is.

    Args:
        client: of the store.
        run: that `open_run` gave.
        results: to write.
        origin: of the results.
        crowded: whether other mirrors may be writing the same.

    Returns:
        Which version of the registered model it is, in words; empty for a pipeline without a model.
    """
    run_id = run.info.run_id
    log_values(client, run, results)
    _log_inputs(client, run, results)
    _log_files(client, run_id, results, origin)
    words = ""
    if results.model:
        version, new = register(client, run, results, results.model, crowded=crowded)
        client.set_tag(run_id, RUN_TAG, f"{results.pipeline}/{version}")
        words = f", model {results.pipeline} version {version}{'' if new else ' as before'}"
    finished = int(origin.finished * 1000) or int(time.time() * 1000)
    client.set_terminated(run_id, "FINISHED", finished)
    return words


def keep_one(client: MlflowClient, experiment: str, results: Results, *, crowded: bool) -> str:
    """Delete all but one finished run of a `dvc.lock`, and return the one.

    Mirrors that write to one server at once cannot keep each other out. Each looks again when it has finished, and all choose the
    same: the last one sees every run. A mirror that still writes a run that is deleted here is refused, tries again, and finds
    the one that stayed. What it had logged of the model goes too.

    Raises:
        StoreError: two others each took the other's for the one that stays.
    """
    runs = find_runs(client, results.pipeline, results.lock_digest)
    finished = {str(run.info.run_id) for run in runs if is_finished(run)}
    if not finished:
        raise StoreError("another mirror deleted the run that this one wrote. `make run` writes it again")
    registered = _registered(client, results)
    kept = min(registered & finished or finished)
    for run in runs:
        if run.info.run_id != kept and (is_finished(run) or run.info.run_id not in registered):
            client.delete_run(run.info.run_id)
    if results.model and crowded:
        keep_one_version(client, experiment, results.pipeline, results.model)
    return kept


def _registered(client: MlflowClient, results: Results) -> set[str]:
    """Return the runs that made a version of the pipeline's model."""
    versions = client.search_model_versions(f"name = '{results.pipeline}'") if results.model else []
    return {str(version.run_id) for version in versions}


def gain_commit(client: MlflowClient, run_id: str, origin: Origin) -> None:
    """Give a dirty run the commit that has come to hold its sources."""
    client.update_run(run_id, name=_run_name(origin))
    tags = _commit_tags(origin)
    _log_tags(client, run_id, {key: text for key, text in tags.items() if key != DIRTY_TAG})
    client.set_tag(run_id, DIRTY_TAG, tags[DIRTY_TAG])  # last: while it says dirty, the next press does all this again


def _create(client: MlflowClient, experiment: str, results: Results, origin: Origin) -> Run:
    """Begin a run; its time is the pipeline's, not that of the mirror."""
    finished = origin.finished or time.time()
    started = int((finished - sum(origin.seconds.values())) * 1000)
    tags = _tags(results, origin)
    first = dict(list(tags.items())[:FEW])  # those by which it is found stand first
    run = client.create_run(experiment, start_time=started, tags=first, run_name=_run_name(origin))
    _log_tags(client, run.info.run_id, dict(list(tags.items())[FEW:]))
    return run


def _run_name(origin: Origin) -> str:
    return f"{origin.commit.sha[:8] or 'no commit'}{'+' if origin.commit.dirty else ''} {origin.lock_digest[:8]}"


def _tags(results: Results, origin: Origin) -> dict[str, str]:
    root = results.folder.parents[1]
    files = {"uv_lock": root / "uv.lock", "params": results.folder / "params.yaml"}
    digests = {name: hashlib.sha256(path.read_bytes()).hexdigest() for name, path in files.items() if path.is_file()}
    return {
        LOCK_TAG: results.lock_digest,
        PIPELINE_TAG: results.pipeline,
        "onebutton.data": "dummy" if results.pipeline.endswith(DUMMY) else "real",
        **_commit_tags(origin),
        "mlflow.source.name": f"pipelines/{results.pipeline}",
        "mlflow.source.type": "LOCAL",
        "mlflow.user": _user(),
        "onebutton.machine": origin.machine or "not known: nobody wrote it down when the stages ran",
        **{f"onebutton.{name}": digest for name, digest in digests.items()},
        **{f"onebutton.seconds.{stage}": f"{seconds:.1f}" for stage, seconds in origin.seconds.items()},
        **{f"onebutton.code.{stage}": digest for stage, digest in results.code.items()},
        **{f"onebutton.md5.{path.replace('/', '.')}": digest for path, digest in results.data.items()},
    }


def _user() -> str:
    """Name the person at the machine; by number in a container whose user has no name."""
    try:
        return getpass.getuser()
    except (KeyError, OSError):  # the first up to Python 3.12
        return str(os.getuid())


def _commit_tags(origin: Origin) -> dict[str, str]:
    return {
        COMMIT_TAG: origin.commit.sha,
        BRANCH_TAG: origin.commit.branch,
        DIRTY_TAG: str(origin.commit.dirty).lower(),
        SOURCES_TAG: origin.commit.sources,
    }


def _log_tags(client: MlflowClient, run_id: str, tags: dict[str, str]) -> None:
    from mlflow.entities import RunTag

    entries = [RunTag(_name(key), text) for key, text in tags.items()]
    for start in range(0, len(entries), FEW):
        client.log_batch(run_id, tags=entries[start : start + FEW])


def _name(text: str) -> str:
    """Replace what MLflow takes in no name."""
    return re.sub(r"[^\w\-. :/]", "_", text)


def log_values(client: MlflowClient, run: Run, results: Results) -> None:
    """Log every parameter, metric and curve in as few calls as MLflow allows: one call each takes ten times as long.

    All carry the run's own time, so that a value written twice is one value.
    """
    from mlflow.entities import Metric, Param

    run_id, when = run.info.run_id, run.info.start_time
    metrics = [Metric(_name(name), value, when, 0) for name, value in results.metrics.items()]
    metrics += [
        Metric(_name(name), value, when, step) for name, points in results.curves.items() for step, value in points
    ]
    params = [Param(_name(name), value) for name, value in results.params.items()]
    for start in range(0, len(params), FEW):
        client.log_batch(run_id, params=params[start : start + FEW])
    for start in range(0, len(metrics), BATCH):
        client.log_batch(run_id, metrics=metrics[start : start + BATCH])


def _log_inputs(client: MlflowClient, run: Run, results: Results) -> None:
    from mlflow.entities import Dataset, DatasetInput, InputTag

    inputs = [
        DatasetInput(
            Dataset(data.name, data.digest, data.kind, data.source), [InputTag("mlflow.data.context", data.read_by)]
        )
        for data in list_datasets(results)
    ]
    if inputs:
        client.log_inputs(run.info.run_id, inputs)


def _log_files(client: MlflowClient, run_id: str, results: Results, origin: Origin) -> None:
    """Log the plots, the `dvc.lock`, the parameters as they stood, and the patch of a dirty run, in one call."""
    files: dict[str, Any] = {f"plots/{plot.name}": plot for plot in results.plots}
    files |= {f"sources/{name}": results.folder / name for name in ("dvc.lock", "dvc.yaml", "params.yaml")}
    with tempfile.TemporaryDirectory(prefix="onebutton-artifacts-") as scratch:
        for name, path in files.items():
            if path.is_file():
                target = Path(scratch, name)
                target.parent.mkdir(exist_ok=True)
                shutil.copyfile(path, target)
        if origin.patch:
            Path(scratch, PATCH).write_text(origin.patch, encoding="utf-8", errors="surrogateescape")
        client.log_artifacts(run_id, scratch)
