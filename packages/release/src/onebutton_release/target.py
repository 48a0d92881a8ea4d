"""Where a model goes: a pipeline's part of an environment."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from onebutton_release.environments import CACHE, Environment, choose, pipeline_named, read_environments, store_of
from onebutton_serving.release_store import ReleaseStore


@dataclass(frozen=True)
class Target:
    """A pipeline's part of an environment.

    Attributes:
        name: of the environment.
        store: where its releases, pointer and history are.
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
        """The servers that must report a release."""
        return self.environment.servers_of(self.pipeline)

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
