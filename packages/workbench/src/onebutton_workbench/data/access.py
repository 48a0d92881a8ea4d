"""Try what is elsewhere: has, or has not and whom to ask. A part of `make doctor`.

That is every source of data that the contracts name, the remote, and every environment with its servers.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from onebutton_contracts.contract import load_contract
from onebutton_contracts.errors import InputError
from onebutton_contracts.sources import pinned_source
from onebutton_release.environments import FILE, Environment, read_environments
from onebutton_release.servers import ask
from onebutton_release.target import find_target
from onebutton_serving.history import in_service
from onebutton_serving.release_store import ReleaseStoreError
from onebutton_workbench.data.storage import PROBE, UNSET, UnreachableError, absent, configured
from onebutton_workbench.workspace import pipelines


@dataclass(frozen=True)
class Access:
    """Whether one source can be read from here."""

    source: str
    has: bool
    words: str  # what was seen; when it was not read why, whom to ask, and what works meanwhile


def try_sources(root: Path) -> Iterator[Access]:
    """Read every source that a contract of a pipeline names, and compare its SHA-256."""
    for file in sorted(root.glob("pipelines/*/contracts/*.odcs.yaml")):
        pipeline = file.parents[1].name
        name = f"source {pipeline}/{file.name.removesuffix('.odcs.yaml')}"
        try:
            contract = load_contract(file)
        except InputError as error:
            yield Access(name, has=False, words=f"{error}. `make lint` says more")
            continue
        if "sourceDistribution" not in contract.properties:
            continue  # made by a stage, or kept in the remote
        try:
            pinned_source(contract)
            yield Access(name, has=True, words=f"has, in {contract.properties['sourceDistribution']}")
        except InputError as error:
            whom = f"Ask {contract.owner}{f': {contract.access}' if contract.access else ''}"
            yield Access(name, has=False, words=f"has not: {error}. {whom}.{meanwhile(root, pipeline)}")


def try_remote(root: Path) -> Access:
    """Ask the remote, when it is shared."""
    remote = configured(root)
    if remote is None:
        return Access("storage", has=False, words=UNSET)
    if not remote.shared:
        return Access("storage", has=True, words=f"{remote}; `make remote URL=s3://…` shares data")
    try:
        absent(remote, {PROBE}, root)
    except UnreachableError as error:
        works = "".join(meanwhile(root, name) for name in pipelines(root))
        words = f"has not, {remote}: {error}. Ask its owner, whom .github/CODEOWNERS names.{works}"
        return Access("storage", has=False, words=words)
    return Access("storage", has=True, words=f"has, {remote} answers")


def try_environments(root: Path) -> Iterator[Access]:
    """Look into every release store that models are deployed to, and ask every server there."""
    try:
        environments = read_environments(root)
    except InputError as error:
        yield Access("environments", has=False, words=f"{error}. docs/deploy.md explains every key")
        return
    for name, environment in environments.items():
        if environment.laptop and not (root / environment.store).exists():
            words = f"{environment.store} will be made by the first `make deploy`"
            yield Access(f"environment {name}", has=True, words=words)
            continue
        for pipeline in pipelines(root):
            yield _try_environment(name, environment, pipeline, root)


def _try_environment(name: str, environment: Environment, pipeline: str, root: Path) -> Access:
    subject, whom = f"environment {name}", f"On call: {environment.on_call}"
    try:
        target = find_target(root, pipeline, name, name, {name: environment})
        move = in_service(target.store)
        reports = [ask(address, target.identity) for address in target.servers]
    except (InputError, ReleaseStoreError) as error:
        return Access(subject, has=False, words=f"has not: {error}. {whom}. {FILE} says where it is")
    seen = f"has {environment.store}, {pipeline} {move.after if move else 'not deployed yet'}"
    missing = [f"{one.address} {one.foreign or 'does not answer'}" for one in reports if one.foreign or one.silent]
    if missing and not environment.laptop:
        return Access(subject, has=False, words=f"{seen}, but {' and '.join(missing)}. {whom}")
    return Access(subject, has=True, words=seen + ("; `make serve` starts its server" if missing else ""))


def meanwhile(root: Path, pipeline: str) -> str:
    """Say what works without access; nothing when the pipeline has no dummy data."""
    has_dummy = (root / "pipelines" / pipeline / "dummy.yaml").is_file()
    return f" Meanwhile `make run DATA=dummy PIPELINE={pipeline}` works" if has_dummy else ""
