"""The ONNX file of a pipeline in MLflow: logged with signature and example, and registered once for each digest."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from onebutton_contracts.terms import Column, Contract

if TYPE_CHECKING:
    from mlflow import MlflowClient
    from mlflow.entities import Run
    from mlflow.entities.model_registry import ModelVersion

MODEL_TAG = "onebutton.sha256"
RUN_TAG = "onebutton.model"  # of a run: the version that it made or made again
REQUIREMENTS = ("onnxruntime", "onnx", "numpy", "pandas")  # what MLflow's ONNX flavour needs to score
MODEL_URI = "models:/"
EXAMPLES = {"boolean": True, "date": "2000-01-01", "timestamp": "2000-01-01T00:00:00Z", "string": "text"}


def register(client: MlflowClient, run: Run, name: str, file: Path, contracts: Sequence[Contract]) -> tuple[str, bool]:
    """Make sure that a version of the registered model holds these bytes.

    Args:
        client: of the store.
        run: that made the file.
        name: of the registered model.
        file: the ONNX file.
        contracts: of the pipeline; the one that knows the inputs says what an example looks like.

    Returns:
        The version's number, and whether it is a new one.
    """
    from mlflow.entities import LoggedModelOutput
    from mlflow.exceptions import MlflowException

    content = file.read_bytes()
    digest = hashlib.sha256(content).hexdigest()
    if known := versions_of(client, name, digest):
        # An earlier run made the same bytes; what it logged is listed among the outputs of this one, too.
        listed = {output.model_id for output in run.outputs.model_outputs} if run.outputs else set()
        if (model_id := _model_id(known[0])) and model_id not in listed:
            client.log_outputs(run.info.run_id, [LoggedModelOutput(model_id, step=0)])
        return str(known[0].version), False
    model_id = _logged(client, run, content, digest, contracts)
    try:
        client.create_registered_model(name)
    except MlflowException:
        client.get_registered_model(name)  # it is there already; whatever else is wrong, this says
    made = client.create_model_version(
        name, f"{MODEL_URI}{model_id}", run.info.run_id, tags={MODEL_TAG: digest}, model_id=model_id
    )
    return str(made.version), True


def keep_one_version(client: MlflowClient, experiment: str, name: str, digest: str) -> str:
    """Delete all but the first version of some bytes and those with an alias, and the logged models that none of them is made of.

    Args:
        client: of the store.
        experiment: the id of the pipeline's.
        name: of the registered model.
        digest: SHA-256 of the bytes.

    Returns:
        The first version, such as `churn/3`; empty where there is none.
    """
    versions = versions_of(client, name, digest)
    if not versions:
        return ""
    chosen = {int(number) for number in client.get_registered_model(name).aliases.values()}
    stay = [version for version in versions if version is versions[0] or int(version.version) in chosen]
    for version in versions:
        if version not in stay:
            client.delete_model_version(name, str(version.version))
    needed = {_model_id(version) for version in stay}
    for model in client.search_logged_models([experiment], f"tags.`{MODEL_TAG}` = '{digest}'") if all(needed) else ():
        if model.model_id not in needed:
            client.delete_logged_model(model.model_id)
    return f"{name}/{versions[0].version}"


def _model_id(version: ModelVersion) -> str:
    """Return the logged model that a version is made of, which MLflow keeps in the version's source; empty for another source."""
    source = str(version.source)
    return source.removeprefix(MODEL_URI) if source.startswith(MODEL_URI) else ""


def versions_of(client: MlflowClient, name: str, digest: str) -> list[ModelVersion]:
    """List the versions that hold some bytes, the first at the beginning."""
    found = client.search_model_versions(f"name = '{name}' AND tags.`{MODEL_TAG}` = '{digest}'")
    return sorted(found, key=lambda version: int(version.version))


def _logged(client: MlflowClient, run: Run, content: bytes, digest: str, contracts: Sequence[Contract]) -> str:
    """Log the file under the run, unless an earlier try did; return MLflow's id of it."""
    from importlib import metadata

    import mlflow
    import onnx
    from mlflow.models import Model

    for earlier in client.search_logged_models([run.info.experiment_id], f"source_run_id = '{run.info.run_id}'"):
        if earlier.status == "READY" and earlier.tags.get(MODEL_TAG) == digest:
            return str(earlier.model_id)
    model = onnx.load_model_from_string(content)
    mlflow.set_experiment(experiment_id=run.info.experiment_id)
    logged = Model.log(
        artifact_path=None,
        name="model",
        run_id=run.info.run_id,
        flavor=mlflow.onnx,
        tags={MODEL_TAG: digest},
        onnx_model=model,
        signature=signature(model),
        input_example=example(model, contracts),
        pip_requirements=[f"{package}=={metadata.version(package)}" for package in REQUIREMENTS],
        save_as_external_data=False,
    )
    return str(logged.model_id)


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


def example(model: Any, contracts: Sequence[Contract]) -> Any:
    """Make up one row that the contract of the inputs allows, as a pandas frame; None without one. No row of the data leaves."""
    import pandas as pd

    types = {item.name: _numpy_type(item) for item in model.graph.input}
    for contract in contracts:
        columns = {column.name: column for column in contract.columns}
        if set(types) <= set(columns):
            return pd.DataFrame(
                {name: pd.Series([_allowed(columns[name])], dtype=kind) for name, kind in types.items()}
            )
    return None


def _allowed(column: Column) -> Any:
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
