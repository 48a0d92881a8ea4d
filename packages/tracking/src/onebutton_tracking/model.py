"""The ONNX file and the prompts of a pipeline in MLflow: registered once each, with aliases that say what is in service where."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

from onebutton_tracking.store import at_most, check_there, connect

if TYPE_CHECKING:
    from mlflow import MlflowClient
    from mlflow.entities import Run
    from mlflow.entities.model_registry import ModelVersion

MODEL_TAG = "onebutton.sha256"
RUN_TAG = "onebutton.model"  # of a run: the version that it made or made again
REQUIREMENTS = ("onnxruntime", "onnx", "numpy", "pandas")  # what MLflow's ONNX flavour needs to score
PROMPTS = "prompts/*.prompt.md"
MODEL_URI = "models:/"
PROMOTED = "onebutton.promoted."  # of a model version: who pointed an alias at it, when and why


def register(client: MlflowClient, run: Run, name: str, file: Path) -> tuple[str, bool]:
    """Make sure that a version of the registered model holds a file's bytes; return its number, and whether it is a new one."""
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
    model_id = _logged(client, run, content, digest)
    with suppress(MlflowException):  # it is there already; whatever else is wrong, the next line says
        client.create_registered_model(name)
    source, tags = f"{MODEL_URI}{model_id}", {MODEL_TAG: digest}
    made = client.create_model_version(name, source, run.info.run_id, tags=tags, model_id=model_id)
    return str(made.version), True


def keep_one_version(client: MlflowClient, experiment: str, name: str, digest: str) -> str:
    """Delete all but the first version of some bytes and those with an alias, and the logged models that none of them is made of.

    Returns the first version, such as `churn/3`; empty where there is none.
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


def _logged(client: MlflowClient, run: Run, content: bytes, digest: str) -> str:
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
        pip_requirements=[f"{package}=={metadata.version(package)}" for package in REQUIREMENTS],
        save_as_external_data=False,
    )
    return str(logged.model_id)


def signature(model: Any) -> Any:
    """Say what the model takes and gives, read off the file itself.

    Inputs are tensors of shape (rows, 1). Told so, MLflow takes a frame apart into them; told that they are columns, it would
    hand the file one-dimensional arrays, which it refuses.
    """
    import numpy as np
    from mlflow.models import ModelSignature
    from mlflow.types import Schema, TensorSpec
    from onnx import TensorProto
    from onnx.helper import tensor_dtype_to_np_dtype

    def spec(item: Any) -> TensorSpec:
        tensor = item.type.tensor_type
        text = tensor.elem_type == TensorProto.STRING
        kind = np.dtype(str) if text else tensor_dtype_to_np_dtype(tensor.elem_type)
        return TensorSpec(kind, (-1, *(dimension.dim_value for dimension in tensor.shape.dim[1:])), item.name)

    inputs, outputs = (Schema([spec(item) for item in items]) for items in (model.graph.input, model.graph.output))
    return ModelSignature(inputs=inputs, outputs=outputs)


class Promotion(NamedTuple):
    """An alias of a pipeline's registered model, the SHA-256 of the bytes that it shall point at; who, when and why in words."""

    pipeline: str
    alias: str
    digest: str
    words: str


def promote(promotions: Sequence[Promotion], uri: str, seconds: float) -> list[str]:
    """Move aliases that do not point where they should; return one line for each that moved, or cannot.

    After some seconds MLflow counts as away; 0 for as long as it takes.

    Raises:
        StoreError: MLflow is away, or refuses.
    """
    check_there(uri)
    said = []
    with at_most(seconds, uri), connect(uri) as client:
        for name, alias, digest, words in promotions:
            known = versions_of(client, name, digest)
            if not known:
                said.append(
                    f"{name}@{alias}: MLflow does not know this model yet; `make run` where it was made brings it"
                )
                continue
            version = str(known[0].version)
            if str(client.get_registered_model(name).aliases.get(alias)) != version:
                client.set_model_version_tag(name, version, f"{PROMOTED}{alias}", words)
                client.set_registered_model_alias(name, alias, version)
                said.append(f"{name}@{alias} is version {version} in MLflow")
    return said


def register_prompts(client: MlflowClient, run: Run, folder: Path) -> None:
    """Make sure that the latest version of each prompt of a pipeline is the file as it stands, and link it to a run."""
    for file in sorted(folder.glob(PROMPTS)):
        name, text = f"{folder.name}.{file.name.partition('.')[0]}", file.read_text(encoding="utf-8")
        text = text.replace("{text}", "{{text}}")  # as MLflow writes what is filled in
        version = client.load_prompt(name, allow_missing=True, cache_ttl_seconds=0)
        if version is None or version.template != text:
            version = client.register_prompt(name, text)
        client.link_prompt_version_to_run(run.info.run_id, version)
