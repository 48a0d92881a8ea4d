"""Where a model goes: a pipeline's part of an environment."""

from __future__ import annotations

import os
import tomllib
import zlib
from dataclasses import dataclass
from pathlib import Path

from onebutton_contracts.errors import InputError
from onebutton_release.environments import EVERYBODY, FILE, Environment, read_environments
from onebutton_serving.history import in_service
from onebutton_serving.identity import Identity, folder_digest
from onebutton_serving.release_store import STORE_ID, ReleaseStore, is_folder

CACHE = Path(".releases/cache")  # copies of releases of a store that is no folder
FIRST, COUNT = 8100, 700  # ports that are made from a name; 8000, 8080 and 8888 are what other programs take


@dataclass(frozen=True)
class Target:
    """A pipeline's part of an environment.

    Attributes:
        name: of the environment.
        url: where the environment's release store is: `s3://bucket/folder`, or a folder of this machine.
        store: where the pipeline's releases and their history are.
        root: of the repo.
        pipeline: its name.
    """

    name: str
    environment: Environment
    url: str
    store: ReleaseStore
    root: Path
    pipeline: str

    @property
    def folder(self) -> Path:
        """The folder of the pipeline."""
        return self.root / "pipelines" / self.pipeline

    @property
    def servers(self) -> tuple[str, ...]:
        """The servers that must report a release; on a laptop that names none, the one that `make serve` starts."""
        servers = self.environment.servers
        named = servers.get(self.pipeline, servers.get(EVERYBODY, ()))
        if named or not self.environment.laptop:
            return named
        return (f"http://127.0.0.1:{port_of(self.folder)}",)

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


def port_of(pipeline: Path) -> int:
    """Return the port of a pipeline's server on a laptop: what its `release.toml` declares, else one made from its name."""
    try:
        port = tomllib.loads((pipeline / "release.toml").read_text(encoding="utf-8")).get("port")
    except (OSError, ValueError):  # who reads all of the file says what is wrong
        port = None
    return port if isinstance(port, int) and port else FIRST + zlib.crc32(pipeline.name.encode()) % COUNT


def pipelines_to_ship(root: Path) -> list[str]:
    """Name every pipeline that has a `release.toml`."""
    return sorted(path.parent.name for path in root.glob("pipelines/*/release.toml"))


def pipeline_named(name: str, root: Path) -> str:
    """Find a pipeline; without a name the only one there is."""
    there = sorted(path.parent.name for path in root.glob("pipelines/*/dvc.yaml"))
    return _chosen("pipeline", name, there[0] if len(there) == 1 else "", there)


def find_target(root: Path, pipeline: str, wanted: str, otherwise: str) -> Target:
    """Open a pipeline's part of an environment.

    Args:
        root: of the repo.
        pipeline: as typed; empty for the only one there is.
        wanted: the environment as typed; may be empty.
        otherwise: the environment to take then; where it does not exist, the only one there is.

    Raises:
        InputError: there is no such pipeline or environment, or its release store is not there.
    """
    environments = read_environments(root)
    known = [*environments]
    name = _chosen("environment", wanted, known[0] if len(known) == 1 else otherwise, known)
    found = pipeline_named(pipeline, root)
    url = environments[name].store
    if is_folder(url):
        url = str(_folder_of(name, environments[name], root))
    return Target(name, environments[name], url, ReleaseStore(url, found), root, found)


def _chosen(what: str, typed: str, usual: str, known: list[str]) -> str:
    """Return what was typed, or what is meant when nothing was."""
    name = typed or usual
    if name not in known:
        problem = f"there is no {what} {typed!r}" if typed else f"say which {what}"
        value = "ENV" if what == "environment" else "PIPELINE"
        message = f"{problem}. {value} can be: {', '.join(known) or '(none yet)'}"
        raise InputError(message)
    return name


def _folder_of(name: str, environment: Environment, root: Path) -> Path:
    """Return the folder that is an environment's release store, which must be there, and not go with a hosted runner."""
    folder = root / environment.store
    if folder.resolve().is_relative_to(root.resolve()) and os.environ.get("GITHUB_ACTIONS") == "true":
        message = (
            f"{name} keeps releases in {environment.store}, inside a checkout that GitHub throws away: nothing would be "
            f"deployed. Name a release store in {FILE} that stays, such as s3://bucket/releases"
        )
        raise InputError(message)
    if environment.laptop:
        folder.mkdir(parents=True, exist_ok=True)
    if not folder.is_dir():
        message = f"{name} keeps releases in {folder}, which is not there, so nothing can be deployed. Mount it, or mend {FILE}"
        raise InputError(message)
    return folder


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
