"""Write one run into MLflow, such that writing it again changes nothing: what was cut off half-way is simply written again."""

from __future__ import annotations

import json
import os
import re
import tempfile
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from onebutton_contracts.errors import InputError
from onebutton_tracking.commit import Commit, Origin
from onebutton_tracking.model import MODEL_TAG, RUN_TAG, keep_one_version, register, register_prompts
from onebutton_tracking.results import DUMMY, Results, curves, file_digest, locked_digests
from onebutton_tracking.store import (
    DIRTY_TAG,
    LOCK_TAG,
    PIPELINE_TAG,
    SOURCES_TAG,
    VIEW,
    find_experiment,
    find_runs,
    is_finished,
    sqlite_file,
)

if TYPE_CHECKING:
    from mlflow import MlflowClient
    from mlflow.entities import Run

METRICS, FEW = 800, 100  # how many metrics, and parameters or tags, MLflow takes in one batch of at most 1,000
LONGEST_DIGEST = 36  # characters, of a data set in MLflow
COMMIT_TAG = "mlflow.source.git.commit"
BRANCH_TAG = "mlflow.source.git.branch"
GATES_TAG = "onebutton.gates"
PATCH = "sources/patch.diff"
CARD = "card.md"
NOT_DATA = (".onnx", ".yaml", ".yml", ".json", ".toml")  # models, contracts and settings that stages read
NOTE = 5000  # characters that MLflow takes of a run's description
COPIED = ("dvc.lock", "dvc.yaml", "params.yaml")


def experiment_id(client: MlflowClient, results: Results, uri: str) -> str:
    """Return the experiment of a pipeline, made where it is missing, with the columns that its table of runs shows first."""
    found = find_experiment(client, results.folder.name)
    if found is None:  # where a mirror on another machine is quicker now, MLflow refuses, and the next press finds it
        file = sqlite_file(uri)  # a server knows where its artifacts go; a file does not
        place = (file.parent / "mlartifacts" / results.folder.name).as_uri() if file else None
        found = client.get_experiment(client.create_experiment(results.folder.name, artifact_location=place))
    identity = str(found.experiment_id)
    headline = [f"metrics.`{results.headline}`"] * bool(results.headline)
    columns = [*headline, f"tags.`{GATES_TAG}`", "attributes.`Version`", f"tags.`{DIRTY_TAG}`"]
    words = "The runs with metric, gates, commit and whether it was dirty"
    tags = {
        "mlflow.note.content": f"[{words}](#/experiments/{identity}/runs?viewStateShareKey={VIEW})",
        "mlflow.experimentKind": "custom_model_development",  # else its pages are those for language models
        f"mlflow.sharedViewState.{VIEW}": json.dumps({"selectedColumns": columns}),
    }
    if "mlflow.note.content" in found.tags:  # people may have written their own
        del tags["mlflow.note.content"]
    for key, text in tags.items() - found.tags.items():
        client.set_experiment_tag(identity, key, text)
    return identity


def bring(client: MlflowClient, results: Results, origin: Origin, uri: str, runs: Sequence[Run]) -> str:
    """Write a run to its end, a new one or the first of those that were begun; return the line that says so.

    Raises:
        InputError: the model's file is not here, or the experiment was deleted.
    """
    if results.model and not results.model.is_file():
        raise InputError(f"{results.model} is not here. `make run` or `make pull` brings it")
    pipeline, experiment = results.folder.name, experiment_id(client, results, uri)
    finished = origin.finished or time.time()  # by the pipeline, not by the mirror
    if runs:
        run = runs[0]
    else:  # with the tags by which the next press finds it
        started = int((finished - sum(origin.seconds.values())) * 1000)
        tags = {LOCK_TAG: results.lock_digest, PIPELINE_TAG: pipeline}
        run = client.create_run(experiment, started, tags, _run_name(results, origin.commit))
    run_id = str(run.info.run_id)
    points = [(name, value, 0) for name, value in results.metrics.items()]
    points += [point for plot, how in results.plots.items() for point in curves(results.folder / plot, how.get("x"))]
    log_values(client, run, results.params, points, _tags(results, origin))
    _log_inputs(client, run_id, results)
    _log_files(client, run_id, results, origin)
    register_prompts(client, run, results.folder)
    words = f"{pipeline} -> MLflow run {run_id[:8]}"
    if results.model:
        version, new = register(client, run, pipeline, results.model)
        client.set_tag(run_id, RUN_TAG, f"{pipeline}/{version}")
        words += f", model {pipeline} version {version}{'' if new else ' as before'}"
    client.set_terminated(run_id, "FINISHED", int(finished * 1000))
    settle(client, find_runs(client, pipeline, results.lock_digest))
    return words


def _run_name(results: Results, commit: Commit) -> str:
    """Name a run by what counts, such as `1a2b3c4d+ auc 0.714 gates passed`."""
    words = _commit_words(commit)
    if headline := results.headline:
        words += f" {headline.rpartition('.')[2]} {results.metrics[headline]:.4g}"
    return words + (f" gates {results.gates}" if results.gates else "")


def settle(client: MlflowClient, runs: Sequence[Run]) -> None:
    """Leave of the runs of one `dvc.lock` the oldest, and one version of its model: mirrors on other machines may write the same.

    A mirror that still writes what is deleted here is refused, and finds on its next try what stayed.
    """
    if not runs or not is_finished(runs[0]):
        return
    for younger in runs[1:]:
        client.delete_run(younger.info.run_id)
    tags = runs[0].data.tags
    if MODEL_TAG in tags:
        first = keep_one_version(client, runs[0].info.experiment_id, tags[PIPELINE_TAG], tags[MODEL_TAG])
        if first and tags.get(RUN_TAG) != first:
            client.set_tag(runs[0].info.run_id, RUN_TAG, first)


def gain_commit(client: MlflowClient, run: Run, commit: Commit) -> None:
    """Give a dirty run the commit that has come to hold its sources."""
    _, blank, rest = str(run.info.run_name).partition(" ")
    client.update_run(run.info.run_id, name=f"{_commit_words(commit)}{blank}{rest}")
    for key, text in _commit_tags(commit).items():  # the last one ends it: until then a press does this again
        client.set_tag(run.info.run_id, key, text)


def _commit_words(commit: Commit) -> str:
    return f"{commit.sha[:8] or 'uncommitted'}{'+' if commit.dirty else ''}"


def _commit_tags(commit: Commit) -> dict[str, str]:
    dirty = str(commit.dirty).lower()
    return {COMMIT_TAG: commit.sha, BRANCH_TAG: commit.branch, SOURCES_TAG: commit.sources, DIRTY_TAG: dirty}


def _tags(results: Results, origin: Origin) -> dict[str, str]:
    root, card = results.folder.parents[1], results.folder / CARD
    data, code = locked_digests(results.lock)
    tags = {
        "onebutton.data": "dummy" if results.folder.name.endswith(DUMMY) else "real",
        GATES_TAG: results.gates,
        "mlflow.note.content": card.read_text(encoding="utf-8")[:NOTE] if card.is_file() else "",
        "mlflow.source.name": f"pipelines/{results.folder.name}",
        "mlflow.source.type": "LOCAL",
        "mlflow.user": os.environ.get("LOGNAME") or os.environ.get("USER") or str(os.getuid()),
        "onebutton.machine": origin.machine or "not known: nobody wrote it down when the stages ran",
        "onebutton.uv_lock": file_digest(root / "uv.lock"),
        MODEL_TAG: file_digest(results.model) if results.model else "",
        **{f"onebutton.seconds.{stage}": f"{seconds:.1f}" for stage, seconds in origin.seconds.items()},
        **{f"onebutton.peak_mb.{stage}": f"{peak:.0f}" for stage, peak in origin.peak_mb.items()},
        **{f"onebutton.code.{stage}": digest for stage, digest in code.items()},
        **{f"onebutton.md5.{path.replace('/', '.')}": digest for path, digest in data.items()},
    }
    return {key: text for key, text in tags.items() if text} | _commit_tags(origin.commit)


def _name(text: str) -> str:
    """Replace what MLflow takes in no name."""
    return re.sub(r"[^\w\-. :/]", "_", text)


def log_values(
    client: MlflowClient,
    run: Run,
    params: Mapping[str, str],
    points: Sequence[tuple[str, float, int]],
    tags: Mapping[str, str],
) -> None:
    """Log all in as few calls as MLflow allows; a metric's name, value and step carry the run's time, so that twice is once."""
    from mlflow.entities import Metric, Param, RunTag

    left = [Metric(_name(name), value, run.info.start_time, step) for name, value, step in points]
    few = [Param(_name(name), text) for name, text in params.items()]
    words = [RunTag(_name(key), text) for key, text in tags.items()]
    while left or few or words:
        client.log_batch(run.info.run_id, left[:METRICS], few[:FEW], words[:FEW])
        left, few, words = left[METRICS:], few[FEW:], words[FEW:]


def _log_inputs(client: MlflowClient, run_id: str, results: Results) -> None:
    """Log the data sets that stages read, by the MD5 that DVC has of them."""
    from mlflow.entities import Dataset, DatasetInput, InputTag

    data, _ = locked_digests(results.lock)
    readers: dict[str, list[str]] = {}
    for stage, done in results.lock.items():
        for path in [entry["path"] for entry in done.get("deps", [])]:
            if path in data and not path.endswith(NOT_DATA):
                readers.setdefault(path, []).append(stage)
    inputs = []
    for path, stages in readers.items():
        data_set = Dataset(path, data[path][:LONGEST_DIGEST], "dvc", json.dumps({"path": path}))
        inputs.append(DatasetInput(data_set, [InputTag("mlflow.data.context", ", ".join(stages))]))
    if inputs:
        client.log_inputs(run_id, inputs)


def _log_files(client: MlflowClient, run_id: str, results: Results, origin: Origin) -> None:
    """Log the plots, the card, the `dvc.lock`, the parameters as they stood, and the patch of a dirty run."""
    files = [(plot, "plots") for plot in results.plots] + [(name, "sources") for name in COPIED] + [(CARD, None)]
    for name, place in files:
        if (results.folder / name).is_file():
            client.log_artifact(run_id, str(results.folder / name), place)
    if origin.commit.patch:
        with tempfile.TemporaryDirectory(prefix="onebutton-patch-") as scratch:
            file = Path(scratch, Path(PATCH).name)
            file.write_text(origin.commit.patch, encoding="utf-8", errors="surrogateescape")
            client.log_artifact(run_id, str(file), "sources")
