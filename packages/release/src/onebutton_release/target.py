"""Where a model goes: a pipeline's part of an environment."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from onebutton_release.environments import CACHE, Environment, choose, pipeline_named, place_of, read_environments
from onebutton_serving.places import Place


@dataclass(frozen=True)
class Target:
    """A pipeline's part of an environment.

    Attributes:
        name: of the environment.
        place: where its releases, pointer and history are.
        root: of the repo.
        pipeline: its name.
    """

    name: str
    environment: Environment
    place: Place
    root: Path
    pipeline: str

    @property
    def servers(self) -> tuple[str, ...]:
        """The servers that must report a release."""
        return self.environment.servers_of(self.pipeline)

    def fetch(self, version: str) -> Path:
        """Return a folder on this machine that holds one of the releases."""
        return self.place.fetch(version, self.root / CACHE / self.name / self.pipeline)


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
        InputError: there is no such pipeline or environment, or its place is not there.
    """
    environments = environments or read_environments(root)
    name = choose(environments, wanted, otherwise)
    found = pipeline_named(pipeline, root)
    return Target(name, environments[name], place_of(name, environments[name], found, root), root, found)
