"""Bring what is in service into MLflow as aliases: each environment's name, and `champion`. The work of `make run TRACK=only`."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from onebutton_contracts.errors import InputError
from onebutton_release.environments import read_environments
from onebutton_release.target import Target, find_target
from onebutton_serving.history import Move, in_service
from onebutton_serving.loading import MODEL
from onebutton_serving.release_store import ReleaseStoreError
from onebutton_serving.schema import is_draft
from onebutton_serving.sealed import ReleaseError, read_manifest
from onebutton_tracking.lookup import CHAMPION
from onebutton_tracking.promotion import Promotion, promote
from onebutton_tracking.store import StoreError, tracking_uri

PATIENCE = 20.0  # seconds for MLflow: a deployment does not wait for it any longer


def promotions(target: Target, move: Move) -> Iterator[Promotion]:
    """List the aliases that a move stands for.

    Raises:
        ReleaseError: the release is damaged.
    """
    folder = target.fetch(move.after)
    words = f"{move.who}, {move.at}, {move.action} of {move.after}" + (f": {move.why}" if move.why else "")
    names = [target.name, CHAMPION] if target.environment.champion and not is_draft(folder) else [target.name]
    for name in names:
        yield Promotion(target.pipeline, name, read_manifest(folder)[MODEL], words)


def tell_mlflow(targets: list[Target], seconds: float = PATIENCE) -> list[str]:
    """Move the aliases of some environments; return what to say, MLflow's troubles included: they stop nobody."""
    wanted = []
    for target in targets:
        try:
            move = in_service(target.store)
            wanted += list(promotions(target, move)) if move else []
        except (ReleaseStoreError, ReleaseError) as error:
            return [f"MLflow's aliases stay as they are: {error}"]
    if not wanted:
        return []
    try:
        return promote(wanted, tracking_uri(targets[0].root), seconds)
    except StoreError as error:
        return [f"MLflow's aliases are behind: {error}. `make run TRACK=only` brings them later"]


def all_targets(root: Path) -> list[Target]:
    """List every pipeline in every environment that can be reached from here; those that cannot are left out."""
    found = []
    environments = read_environments(root)
    for pipeline in sorted(path.parent.name for path in root.glob("pipelines/*/release.toml")):
        for name in environments:
            try:
                target = find_target(root, pipeline, name, name, environments)
                if in_service(target.store):
                    found.append(target)
            except (InputError, ReleaseStoreError):
                continue
    return found


def tell_all(root: Path) -> None:
    """Move every alias that is behind."""
    for words in tell_mlflow(all_targets(root), seconds=0):
        print(f"run: {words}")
