"""The prompts of a pipeline in MLflow's prompt registry: one version for each text, linked to the runs that asked it."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from mlflow import MlflowClient
    from mlflow.entities import Run

FILES = "prompts/*.prompt.md"


def register_prompts(client: MlflowClient, run: Run, folder: Path) -> None:
    """Make sure that the latest version of each prompt of a pipeline is the file as it stands, and link it to a run."""
    for file in sorted(folder.glob(FILES)):
        name, text = f"{folder.name}.{file.name.partition('.')[0]}", file.read_text(encoding="utf-8")
        text = text.replace("{text}", "{{text}}")  # as MLflow writes what is filled in
        version = client.load_prompt(name, allow_missing=True, cache_ttl_seconds=0)
        if version is None or version.template != text:
            version = client.register_prompt(name, text)
        client.link_prompt_version_to_run(run.info.run_id, version)
