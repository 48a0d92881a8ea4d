"""Where a model can be put into service: the environments of `deploy/environments.toml`, and a pipeline's part of one."""

import os
import tomllib
import zlib
from collections.abc import Mapping
from dataclasses import field
from pathlib import Path
from typing import Annotated, NamedTuple

from pydantic import Field
from pydantic.dataclasses import dataclass

from onebutton_contracts.errors import InputError, require
from onebutton_contracts.parameters import STRICT, load_parameters
from onebutton_serving.history import in_service
from onebutton_serving.release_store import ReleaseStore, is_folder
from onebutton_tracking.commit import git

FILE = Path("deploy/environments.toml")
EVERYBODY = "*"
ACTORS = ("GITHUB_TRIGGERING_ACTOR", "GITHUB_ACTOR", "GITLAB_USER_LOGIN")  # where a CI says who pushed
CACHE = Path(".releases/cache")  # copies of releases of a store that is no folder
FIRST, COUNT = 8100, 700  # ports that are made from a name; 8000, 8080 and 8888 are what other programs take
Text = Annotated[str, Field(min_length=1)]


@dataclass(frozen=True, config=STRICT, kw_only=True)
class Environment:
    """One environment; docs/deploy.md says more of each key."""

    store: Text  # `s3://bucket/folder`, `gs://…`, `az://…`, or a folder; a relative one is inside this checkout
    on_call: Text  # whom to call when a model misbehaves
    runbook: Text = "docs/runbook.md"  # the page for that moment
    may_deploy: Annotated[tuple[Text, ...], Field(min_length=1)]  # as `who` names people; `*` is everybody
    servers: Mapping[str, tuple[Text, ...]] = field(default_factory=dict)  # of each pipeline; `*`: of all others
    after: str = ""  # the environment in which a release must have been in service before it may come here
    image: bool = False  # its servers run an image: none follows the history, the rollout confirms a release
    champion: bool = False  # challengers are compared with the model in service here
    laptop: bool = False  # for trying things: servers may be off, drafts and work that is not committed may be released


@dataclass(frozen=True, config=STRICT)
class _File:
    environments: Annotated[Mapping[str, Environment], Field(min_length=1)]


def read_environments(root: Path) -> Mapping[str, Environment]:
    """Read every environment.

    Raises:
        InputError: the file is missing or says something unknown, or two environments say champion.
    """
    found = load_parameters(_File, root / FILE).environments
    champions = [name for name, one in found.items() if one.champion]
    both = f"{FILE}: {' and '.join(champions)} both say champion: a challenger is compared with one"
    require(len(champions) <= 1, both)
    return found


def who() -> tuple[str, str]:
    """Name the person at work, as `may_deploy` does, and who says so: `CI`, `git` or `login`.

    It is what the history shows, and no lock: what keeps others out is who has the keys to the release store.
    """
    if os.environ.get("CI"):
        actor = next((name for key in ACTORS if (name := os.environ.get(key))), "")
        return actor or "somebody", "CI"
    if mail := git("config", "user.email", folder=Path.cwd()).strip():
        return mail, "git"
    return os.environ.get("USER") or "somebody", "login"


class Target(NamedTuple):
    """A pipeline's part of an environment."""

    name: str  # of the environment
    environment: Environment
    url: str  # where the environment's release store is: `s3://bucket/folder`, or a folder of this machine
    store: ReleaseStore  # where the pipeline's releases and their history are
    root: Path  # of the repo
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
    def identity(self) -> Mapping[str, str]:
        """What a server of ours says that it follows.

        On a laptop it has the same folder. Elsewhere a folder may be mounted under another path, so the store's own id counts.
        """
        return self.store.identity() | {"store" if self.environment.laptop else "folder": ""}

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
    return _chosen("pipeline", "PIPELINE", name, "", there)


def find_target(root: Path, pipeline: str, wanted: str, otherwise: str) -> Target:
    """Open a pipeline's part of an environment.

    Args:
        root: of the repo.
        pipeline: as typed; empty for the only one there is.
        wanted: the environment as typed; empty for the only one there is, or else for `otherwise`.
        otherwise: as above.

    Raises:
        InputError: there is no such pipeline or environment, or its release store is not there.
    """
    environments = read_environments(root)
    name = _chosen("environment", "ENV", wanted, otherwise, [*environments])
    found, environment = pipeline_named(pipeline, root), environments[name]
    url = str(_folder_of(name, environment, root)) if is_folder(environment.store) else environment.store
    return Target(name, environment, url, ReleaseStore(url, found), root, found)


def _chosen(what: str, value: str, typed: str, otherwise: str, known: list[str]) -> str:
    """Return what was typed, or when nothing was the only one there is, or else `otherwise`."""
    name = typed or (known[0] if len(known) == 1 else otherwise)
    problem = f"there is no {what} {typed!r}" if typed else f"say which {what}"
    require(name in known, f"{problem}. {value} can be: {', '.join(known) or '(none yet)'}")
    return name


def _folder_of(name: str, environment: Environment, root: Path) -> Path:
    """Return the folder that is an environment's release store, which must be there, and not go with a hosted runner."""
    folder, fault = root / environment.store, ""
    if folder.resolve().is_relative_to(root.resolve()) and os.environ.get("GITHUB_ACTIONS") == "true":
        fault = f"inside a checkout that GitHub throws away. Name a release store in {FILE} that stays: s3://bucket/releases"
    elif environment.laptop:
        folder.mkdir(parents=True, exist_ok=True)
    elif not folder.is_dir():
        fault = f"which is not there. Mount it, or mend {FILE}"
    require(not fault, f"{name} keeps releases in {folder}, {fault}: nothing can be deployed")
    return folder


def release_in_service(root: Path, pipeline: str, environment: str) -> Path:
    """Return a folder on this machine with the release that is in service; production's where no environment is named.

    Raises:
        InputError: there is no such pipeline, environment, store or release.
        ReleaseStoreError: the release store cannot be read.
    """
    target = find_target(root, pipeline, environment, "production")
    if move := in_service(target.store):
        return target.fetch(move.after)
    none = f"no release of {target.pipeline} is in service in {target.name}"
    raise InputError(f"{none}. `make deploy ENV={target.name}` puts one there")
