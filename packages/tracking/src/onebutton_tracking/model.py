"""The ONNX file of a pipeline in MLflow: logged with signature and example, and registered once for each digest."""

from __future__ import annotations

import hashlib
import time
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from onebutton_contracts.terms import Column, Contract
from onebutton_tracking.datasets import contracts
from onebutton_tracking.results import Results

if TYPE_CHECKING:
    from mlflow import MlflowClient
    from mlflow.entities import Run
    from mlflow.entities.model_registry import ModelVersion

MODEL_TAG = "onebutton.sha256"
RUN_TAG = "onebutton.model"  # of a run: the version that it made or made again
REQUIREMENTS = ("onnxruntime", "onnx", "numpy", "pandas")  # what MLflow's ONNX flavour needs to score
MODEL_URI = "models:/"
HALF_WRITTEN = 600 * 1000  # milliseconds after which nobody writes a model any more
EXAMPLES = {"boolean": True, "date": "2000-01-01", "timestamp": "2000-01-01T00:00:00Z", "string": "text"}


def register(client: MlflowClient, run: Run, results: Results, file: Path, *, crowded: bool) -> tuple[str, bool]:
    """Make sure that a version of the registered model holds these bytes, and say which.

    Args:
        client: of the store.
        run: that made the file.
        results: of the pipeline, whose name the registered model has.
        file: the ONNX file.
        crowded: whether another mirror may be writing the same run.

    Returns:
        The version's number, and whether it is a new one.
    """
    name, content = results.pipeline, file.read_bytes()
    digest = hashlib.sha256(content).hexdigest()
    if known := _known_version(client, name, digest):
        _show_on_page(client, run, _model_id(known))
        return str(known.version), False
    _clear(client, run, digest, crowded=crowded)
    model_id = _logged(client, run, content, digest, contracts(results.folder))
    _ensure_registered_model(client, name)
    created = client.create_model_version(
        name, f"{MODEL_URI}{model_id}", run.info.run_id, tags={MODEL_TAG: digest}, model_id=model_id
    )
    first = _known_version(client, name, digest) or created
    if int(first.version) == int(created.version):
        return str(created.version), True
    keep_one_version(client, run.info.experiment_id, name, file)  # another mirror on the same server was quicker
    return str(first.version), False


def keep_one_version(client: MlflowClient, experiment: str, name: str, file: Path) -> None:
    """Delete all but the first version of these bytes, and the logged models that no version is made of.

    Mirrors of one run on a server may take up each other's logged model, so the one that came second must not delete its
    own version's model unless no other version needs it. The first version never goes, whichever mirror tidies up;
    another mirror that still writes what is deleted here is refused, and finds on its next try what stayed.

    Args:
        client: of the store.
        experiment: the id of the pipeline's.
        name: of the registered model.
        file: the ONNX file.
    """
    digest = hashlib.sha256(file.read_bytes()).hexdigest()
    versions = client.search_model_versions(_holds(name, digest))
    if not versions:
        return
    chosen = {int(number) for number in client.get_registered_model(name).aliases.values()}
    stay = {min(int(version.version) for version in versions)} | chosen
    for version in versions:
        if int(version.version) not in stay:
            client.delete_model_version(name, str(version.version))
    needed = {_model_id(version) for version in versions if int(version.version) in stay}
    for model in client.search_logged_models([experiment], f"tags.`{MODEL_TAG}` = '{digest}'") if all(needed) else ():
        if model.model_id not in needed:
            _delete_unless_gone(client, model.model_id)


def _delete_unless_gone(client: MlflowClient, model_id: str) -> None:
    """Delete a logged model that another mirror may just have deleted: MLflow refuses that, unlike with runs and versions."""
    from mlflow.exceptions import MlflowException

    try:
        client.delete_logged_model(model_id)
    except MlflowException as error:
        if error.error_code != "RESOURCE_DOES_NOT_EXIST":
            raise


def _model_id(version: ModelVersion) -> str:
    """Return the logged model that a version is made of, which MLflow keeps in the version's source; empty for another source."""
    source = str(version.source)
    return source.removeprefix(MODEL_URI) if source.startswith(MODEL_URI) else ""


def _holds(name: str, digest: str) -> str:
    return f"name = '{name}' AND tags.`{MODEL_TAG}` = '{digest}'"


def _known_version(client: MlflowClient, name: str, digest: str) -> ModelVersion | None:
    """Return the first version that holds these bytes, if any does."""
    return min(client.search_model_versions(_holds(name, digest)), key=lambda found: int(found.version), default=None)


def _ensure_registered_model(client: MlflowClient, name: str) -> None:
    from mlflow.exceptions import MlflowException

    try:
        client.create_registered_model(name)
    except MlflowException:
        client.get_registered_model(name)  # it is there already; whatever else is wrong, this says


def _show_on_page(client: MlflowClient, run: Run, model_id: str) -> None:
    """List a model that an earlier run logged among the outputs of one that made the same bytes."""
    from mlflow.entities import LoggedModelOutput

    listed = {output.model_id for output in run.outputs.model_outputs} if run.outputs else set()
    if model_id and model_id not in listed:
        client.log_outputs(run.info.run_id, [LoggedModelOutput(model_id, step=0)])


def _clear(client: MlflowClient, run: Run, digest: str, *, crowded: bool) -> None:
    """Delete what an earlier try left half-written; where another mirror may be writing it, only when that is long ago."""
    old = time.time() * 1000 - HALF_WRITTEN
    for earlier in client.search_logged_models([run.info.experiment_id], f"source_run_id = '{run.info.run_id}'"):
        whole = earlier.status == "READY" and earlier.tags.get(MODEL_TAG) == digest
        if not whole and (not crowded or earlier.creation_timestamp < old):
            client.delete_logged_model(earlier.model_id)


def _logged(client: MlflowClient, run: Run, content: bytes, digest: str, known: Sequence[Contract]) -> str:
    """Log the file under the run, unless an earlier try did; return MLflow's id of it."""
    from importlib import metadata

    import mlflow
    import onnx
    from mlflow.models import Model

    for earlier in client.search_logged_models([run.info.experiment_id], f"source_run_id = '{run.info.run_id}'"):
        if earlier.status == "READY" and earlier.tags.get(MODEL_TAG) == digest:
            return str(earlier.model_id)
    model = onnx.load_model_from_string(content)
    columns = describe_inputs([item.name for item in model.graph.input], known)
    mlflow.set_experiment(experiment_id=run.info.experiment_id)
    logged = Model.log(
        artifact_path=None,
        name="model",
        run_id=run.info.run_id,
        flavor=mlflow.onnx,
        tags={MODEL_TAG: digest},
        onnx_model=model,
        signature=signature(model),
        input_example=example(model, columns),
        pip_requirements=[f"{package}=={metadata.version(package)}" for package in REQUIREMENTS],
        save_as_external_data=False,
    )
    return str(logged.model_id)


def describe_inputs(names: Sequence[str], known: Sequence[Contract]) -> dict[str, Column]:
    """Take the columns that a model reads out of the contract that knows them all; empty when none does."""
    for contract in known:
        columns = {column.name: column for column in contract.columns}
        if set(names) <= set(columns):
            return {name: columns[name] for name in names}
    return {}


def signature(model: Any) -> Any:
    """Say what the model takes and gives, read off the file itself: the contract's logical types are wider than the file's.

    Inputs are tensors of shape (rows, 1), as the file has them. Told so, MLflow takes a frame apart into them; told that they are
    columns, it would hand the file one-dimensional arrays, which it refuses.
    """
    from mlflow.models import ModelSignature
    from mlflow.types import Schema, TensorSpec

    inputs, outputs = (
        Schema([TensorSpec(_numpy_type(item), (-1, *_widths(item)), item.name) for item in items])
        for items in (model.graph.input, model.graph.output)
    )
    return ModelSignature(inputs=inputs, outputs=outputs)


def example(model: Any, columns: dict[str, Column]) -> Any:
    """Make up one row that the contract allows, as a pandas frame; None without a contract. No row of the data leaves it."""
    import pandas as pd

    if not columns:
        return None
    types = {item.name: _numpy_type(item) for item in model.graph.input}
    return pd.DataFrame(
        {name: pd.Series([allowed_value(column)], dtype=types[name]) for name, column in columns.items()}
    )


def allowed_value(column: Column) -> Any:
    """Return a value that a contract allows in a column: the first that it lists, or the middle of its limits."""
    if column.allowed:
        return column.allowed[0]
    if column.logical_type in EXAMPLES:
        return EXAMPLES[column.logical_type]
    limits = [limit for limit in (column.minimum, column.maximum) if isinstance(limit, int | float)] or [0, 1]
    middle = sum(limits) / len(limits)
    return round(middle) if column.logical_type == "integer" else middle


def _numpy_type(item: Any) -> Any:
    import numpy as np
    from onnx import TensorProto
    from onnx.helper import tensor_dtype_to_np_dtype

    kind = item.type.tensor_type.elem_type
    return np.dtype(str) if kind == TensorProto.STRING else tensor_dtype_to_np_dtype(kind)


def _widths(item: Any) -> list[int]:
    return [dimension.dim_value for dimension in item.type.tensor_type.shape.dim[1:]]
