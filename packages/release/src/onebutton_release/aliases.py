"""Bring what is in service into MLflow as aliases: each environment's name, and `champion`. The work of `make run TRACK=only`."""

from collections.abc import Iterable
from contextlib import suppress
from pathlib import Path

from onebutton_contracts.errors import InputError
from onebutton_release.target import Target, find_target, pipelines_to_ship, read_environments
from onebutton_serving.history import in_service
from onebutton_serving.loading import MODEL
from onebutton_serving.release_store import ReleaseStoreError
from onebutton_serving.schema import is_draft
from onebutton_serving.sealed import ReleaseError, read_manifest
from onebutton_tracking.lookup import CHAMPION
from onebutton_tracking.model import Promotion, promote
from onebutton_tracking.store import StoreError, tracking_uri

PATIENCE = 20.0  # seconds for MLflow: a deployment does not wait for it any longer


def promotions(target: Target) -> list[Promotion]:
    """List the aliases of what is in service."""
    if not (move := in_service(target.store)):
        return []
    folder = target.fetch(move.after)
    words = f"{move.who}, {move.at}, {move.action} of {move.after}{move.why and ': '}{move.why}"
    names = [target.name, CHAMPION] if target.environment.champion and not is_draft(folder) else [target.name]
    return [Promotion(target.pipeline, name, read_manifest(folder)[MODEL], words) for name in names]


def tell_mlflow(root: Path, targets: Iterable[Target], seconds: float = PATIENCE) -> list[str]:
    """Move the aliases of some environments; return what to say, MLflow's troubles included: they stop nobody."""
    wanted: list[Promotion] = []
    for target in targets:
        with suppress(ReleaseStoreError, ReleaseError):  # what cannot be read from here keeps its aliases
            wanted += promotions(target)
    try:
        return promote(wanted, tracking_uri(root), seconds) if wanted else []
    except StoreError as error:
        return [f"MLflow's aliases are behind: {error}. `make run TRACK=only` brings them later"]


def tell_all(root: Path) -> None:
    """Move every alias that is behind, of the environments that can be reached from here."""
    targets = []
    for name in read_environments(root):
        for pipeline in pipelines_to_ship(root):
            with suppress(InputError):
                targets.append(find_target(root, pipeline, name, name))
    for words in tell_mlflow(root, targets, seconds=0):
        print(f"run: {words}")
