"""Tell MLflow which model is in service where: the alias of each environment points at the version that holds its bytes."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from onebutton_tracking.model import versions_of
from onebutton_tracking.store import StoreError, TooSlowError, at_most, check_there, open_store, refusals, shown

if TYPE_CHECKING:
    from mlflow import MlflowClient

PROMOTED = "onebutton.promoted."  # of a model version: who pointed an alias at it, when and why


@dataclass(frozen=True)
class Promotion:
    """An alias of a pipeline's registered model, the SHA-256 of the bytes that it shall point at; who, when and why in words."""

    pipeline: str
    alias: str
    digest: str
    words: str


def promote(promotions: Sequence[Promotion], uri: str, seconds: float) -> list[str]:
    """Move aliases that do not point where they should.

    Args:
        promotions: what is in service.
        uri: of MLflow's store.
        seconds: after which MLflow counts as away; 0 for as long as it takes.

    Returns:
        One line for each that moved, or cannot.

    Raises:
        StoreError: MLflow is away, or refuses.
    """
    try:
        check_there(uri)
        with at_most(seconds), refusals(uri):
            client = open_store(uri)
            return [words for one in promotions if (words := _promote(client, one))]
    except TooSlowError:
        message = f"MLflow at {shown(uri)} did not finish within {seconds:.0f} seconds"
        raise StoreError(message) from None


def _promote(client: MlflowClient, one: Promotion) -> str:
    name, alias = one.pipeline, one.alias
    version = next((str(found.version) for found in versions_of(client, name, one.digest)), "")
    if not version:
        return f"{name}@{alias}: MLflow does not know this model yet; `make run` where it was made brings it"
    if str(client.get_registered_model(name).aliases.get(alias)) == version:
        return ""
    client.set_model_version_tag(name, version, f"{PROMOTED}{alias}", one.words)
    client.set_registered_model_alias(name, alias, version)
    return f"{name}@{alias} is version {version} in MLflow"


def promoted_words(alias: str, tags: Mapping[str, str]) -> str:
    """Say who pointed an alias at a version; without a record, that it points there."""
    words = tags.get(f"{PROMOTED}{alias}")
    return f"@{alias} points here: {words}" if words else f"@{alias} points here now"
