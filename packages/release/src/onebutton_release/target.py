"""Where a model goes: a pipeline's part of an environment."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from onebutton_contracts.errors import InputError
from onebutton_release.environments import CACHE, Environment, choose, pipeline_named, read_environments, store_of
from onebutton_release.ports import ports
from onebutton_serving.history import in_service
from onebutton_serving.identity import Identity, folder_digest
from onebutton_serving.release_store import STORE_ID, ReleaseStore, is_folder


@dataclass(frozen=True)
class Target:
    """A pipeline's part of an environment.

    Attributes:
        name: of the environment.
        store: where its releases and their history are.
        root: of the repo.
        pipeline: its name.
    """

    name: str
    environment: Environment
    store: ReleaseStore
    root: Path
    pipeline: str

    @property
    def servers(self) -> tuple[str, ...]:
        """The servers that must report a release; on a laptop that names none, the one that `make serve` starts."""
        named = self.environment.servers_of(self.pipeline)
        return (
            named if named or not self.environment.laptop else (f"http://127.0.0.1:{ports(self.root)[self.pipeline]}",)
        )

    @property
    def url(self) -> str:
        """Where the environment's release store is: `s3://bucket/folder`, or a folder of this machine."""
        where = self.environment.store
        return str(self.root / where) if is_folder(where) else where

    @property
    def identity(self) -> Identity:
        """What a server of ours says of itself.

        On a laptop it has the same folder. Elsewhere a folder may be mounted under another path, so the store's own id counts.
        """
        if self.environment.laptop:
            return Identity(self.pipeline, folder=folder_digest(self.url))
        return Identity(self.pipeline, store=(self.store.read(STORE_ID) or b"").decode(errors="replace").strip())

    def fetch(self, version: str) -> Path:
        """Return a folder on this machine that holds one of the releases."""
        return self.store.fetch(version, self.root / CACHE / self.name / self.pipeline)


def find_target(
    root: Path, pipeline: str, wanted: str, otherwise: str, environments: Mapping[str, Environment] | None = None
) -> Target:
    """Open a pipeline's part of an environment.

    Args:
        root: of the repo.
        pipeline: as typed; empty for the only one there is.
        wanted: the environment as typed; may be empty.
        otherwise: the environment to take then.
        environments: all of them; read when not given.

    Raises:
        InputError: there is no such pipeline or environment, or its release store is not there.
    """
    environments = environments or read_environments(root)
    name = choose(environments, wanted, otherwise)
    found = pipeline_named(pipeline, root)
    return Target(name, environments[name], store_of(name, environments[name], found, root), root, found)


def release_in_service(root: Path, pipeline: str, environment: str) -> Path:
    """Return a folder on this machine with the release that is in service; production's where no environment is named.

    Raises:
        InputError: there is no such pipeline, environment, store or release.
        ReleaseStoreError: the release store cannot be read.
    """
    target = find_target(root, pipeline, environment, "production")
    move = in_service(target.store)
    if move is None:
        name = target.name
        message = f"no release of {target.pipeline} is in service in {name}. `make deploy ENV={name}` puts one there"
        raise InputError(message)
    return target.fetch(move.after)
