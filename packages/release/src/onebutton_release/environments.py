"""Where a model can be put into service: `deploy/environments.toml` says for each environment what it is and whom to ask."""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import field
from pathlib import Path
from typing import Annotated, NamedTuple

from pydantic import Field
from pydantic.dataclasses import dataclass

from onebutton_contracts.errors import InputError
from onebutton_contracts.parameters import STRICT, load_parameters
from onebutton_tracking.commit import git

FILE = Path("deploy/environments.toml")
EVERYBODY = "*"
ACTORS = ("GITHUB_TRIGGERING_ACTOR", "GITHUB_ACTOR", "GITLAB_USER_LOGIN")  # where a CI says who pushed
Text = Annotated[str, Field(min_length=1)]


@dataclass(frozen=True, config=STRICT, kw_only=True)
class Environment:
    """One environment.

    Attributes:
        store: `s3://bucket/folder`, `gs://…`, `az://…`, or a folder; a relative one is inside this checkout.
        on_call: whom to call when a model misbehaves.
        runbook: the page for that moment.
        may_deploy: names, as `git config user.email` or GitHub's name of the person who deploys; `*` is everybody.
        servers: for each pipeline the addresses of the servers that must report a new release; `*` is for those not named.
        after: the environment in which a release must have been in service before it may come here; empty when none.
        image: whether its servers run an image of the release, as on Kubernetes: none follows the history, the rollout is what
            confirms a release.
        champion: whether the model in service here is the one that challengers are compared with.
        laptop: for trying things: its folder is made when it is missing, its servers may be off, and drafts and work
            that is not committed may be released. Where it names no server, each pipeline's is on a port of its own: `port_of`.
    """

    store: Text
    on_call: Text
    runbook: Text = "docs/runbook.md"
    may_deploy: Annotated[tuple[Text, ...], Field(min_length=1)]
    servers: Mapping[str, tuple[Text, ...]] = field(default_factory=dict)
    after: str = ""
    image: bool = False
    champion: bool = False
    laptop: bool = False


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
    if len(champions) > 1:
        message = f"{FILE}: {' and '.join(champions)} both say champion: a challenger is compared with one"
        raise InputError(message)
    return found


class Person(NamedTuple):
    """Who is at work, as `may_deploy` names them, and who says so: `CI`, `git` or `login`."""

    name: str
    known_by: str


def who() -> Person:
    """Name the person at work: in CI who pushed or ran it again; else git's address, else the login.

    It is what the history shows, and no lock: what keeps others out is who has the keys to the release store.
    """
    if os.environ.get("CI"):
        actor = next((name for key in ACTORS if (name := os.environ.get(key))), "")
        return Person(actor or "somebody", "CI")
    if mail := git("config", "user.email", folder=Path.cwd()).strip():
        return Person(mail, "git")
    return Person(os.environ.get("USER") or "somebody", "login")


def check_allowed(name: str, environment: Environment, person: Person) -> None:
    """Refuse who is not on the environment's list."""
    if EVERYBODY not in environment.may_deploy and person.name not in environment.may_deploy:
        known = ", ".join(environment.may_deploy)
        message = f"{person.name} may not deploy to {name}: {known} may. On call: {environment.on_call}"
        raise InputError(message)
