"""Whose repo this is, in words: its name, its owner and its address, and every text that says them.

Everything here is a function of texts, so that all of a change is known before a file is touched.
"""

from __future__ import annotations

import re
from collections.abc import Collection
from dataclasses import dataclass

from onebutton_contracts.errors import InputError
from onebutton_workbench.members.manifest import MANIFEST, Manifest

KEPT = ("LICENSE", "CHANGELOG.md", MANIFEST, "uv.lock")  # law, history, and what has rules of its own
ANY_TEAM = "/*"
NAME = re.compile(r"[a-z][a-z0-9]*(-[a-z0-9]+)*")
OWNER = re.compile(r"@(?P<account>[A-Za-z0-9](-?[A-Za-z0-9]){0,38})(/[A-Za-z0-9][\w.-]*)?")
# with or without a user and a port: https://host/acme/data, ssh://git@host/acme/data; and git@host:acme/data
HOSTED = re.compile(r"(?:(?:https?|ssh|git)://(?:[^/@]*@)?([^/:]+)(?::\d+)?/|[^/@:]+@([^/:]+):)([\w./~-]+)")


@dataclass(frozen=True)
class Identity:
    """Whose repo this is.

    Attributes:
        name: of the root project.
        owner: `@org/team` or `@user`; `@org/*` stands for every team.
        url: the address to clone.
    """

    name: str
    owner: str
    url: str

    @property
    def account(self) -> str:
        """The organisation or user: `acme` of `@acme/data`."""
        return self.owner[1:].partition("/")[0]

    @property
    def repository(self) -> str:
        """Where it is on its host: `acme/data` of `https://github.com/acme/data`."""
        return self.url.partition("://")[2].partition("/")[2]


def upstream_identity(repository: str) -> Identity:
    """Return the identity that a fresh fork of a repository such as `owner/name` still has."""
    account, _, name = repository.partition("/")
    return Identity(name, f"@{account}{ANY_TEAM}", f"https://github.com/{repository}")


def identity_of(manifest: Manifest) -> Identity:
    """Say whose repo this is now: the team's, or still upstream's."""
    if manifest.owner:
        return Identity(manifest.name, manifest.owner, manifest.home)
    return upstream_identity(manifest.upstream)


def check_name(name: str, upstream: Identity, locked: Collection[str]) -> None:
    """Refuse what cannot be the name of the root project.

    Args:
        name: as typed.
        upstream: whose name is no longer to be had.
        locked: the distributions that are used here.

    Raises:
        InputError: it is no such name, or something else has it.
    """
    if not name:
        what = "NAME is missing: give your project's, as in NAME=acme"
    elif not NAME.fullmatch(name):
        what = f"NAME={name} is no name for a project: lower-case letters, digits and dashes, a letter first"
    elif name == upstream.name:
        what = f"NAME={name} is upstream's: give your own, as in NAME=acme"
    elif name in locked:
        what = f"NAME={name} is a package that is used here, and uv would take one for the other: give another"
    else:
        return
    message = f"{what}. Nothing was changed"
    raise InputError(message)


def check_owner(owner: str, upstream: Identity) -> None:
    """Refuse what GitHub could not ask for a review.

    Raises:
        InputError: it is neither `@org/team` nor `@user`, or it is upstream's.
    """
    match = OWNER.fullmatch(owner)
    if not owner:
        what = "OWNER is missing: who reviews, as in OWNER=@acme/data"
    elif not match:
        what = f"OWNER={owner} is no owner on GitHub: @org/team or @user"
    elif match["account"].lower() == upstream.account.lower():
        what = f"OWNER={owner} is upstream's: give your own, as in OWNER=@acme/data"
    else:
        return
    message = f"{what}. Nothing was changed"
    raise InputError(message)


def home_of(origin: str, name: str, owner: str, upstream: Identity) -> str:
    """Say where to clone this repo: where `origin` is, without the password in it; else where name and owner suggest."""
    hosted = HOSTED.fullmatch(origin.rstrip("/").removesuffix(".git"))
    if not hosted or hosted[3] == upstream.repository:
        return f"https://github.com/{Identity(name, owner, '').account}/{name}"
    return f"https://{hosted[1] or hosted[2]}/{hosted[3]}"


def adopted(path: str, text: str, before: Identity, after: Identity) -> str:
    """Write one identity over another in the text of a file."""
    if path == "uv.lock":
        return renamed_lock(text, before.name, after.name)
    if path == "pyproject.toml":
        text = renamed_project(text, before, after)
    if path == "README.md":
        text = re.sub(rf"\A# {re.escape(before.name)}$", f"# {after.name}", text, count=1, flags=re.MULTILINE)
    return readdressed(path, text, before, after)


def readdressed(path: str, text: str, before: Identity, after: Identity) -> str:
    """Say the new address and owner wherever a text says the old ones."""
    if path in KEPT:
        return text
    folder_before, folder_after = (one.repository.rpartition("/")[2] for one in (before, after))
    owners = re.escape(before.owner.removesuffix(ANY_TEAM)) + (r"/[\w-]+" if before.owner.endswith(ANY_TEAM) else "")
    repository = re.escape(before.repository)
    for old, new in (
        (rf"({repository}(?:\.git)?\s+(?:&&\s+)?cd ){re.escape(folder_before)}\b", rf"\g<1>{folder_after}"),
        (rf"{re.escape(before.url)}(?![\w-])", after.url),
        (rf"(?<![\w-]){repository}(?![\w-])", after.repository),
        (rf"(?<![\w.]){owners}(?![\w/-])", after.owner),
    ):
        text = re.sub(old, new, text)
    return text


def renamed_project(text: str, before: Identity, after: Identity) -> str:
    """Write a new name into the root pyproject.toml, and a description where upstream's still stands."""
    text = re.sub(rf'^name = "{re.escape(before.name)}"$', f'name = "{after.name}"', text, count=1, flags=re.MULTILINE)
    old = ".*" if before.owner.endswith(ANY_TEAM) else re.escape(_description(before.owner))
    new = f'description = "{_description(after.owner)}"'
    return re.sub(rf'^description = "{old}"$', new, text, count=1, flags=re.MULTILINE)


def _description(owner: str) -> str:
    return f"Data science of {owner}: trained, tracked and gated by buttons."


def renamed_lock(text: str, before: str, after: str) -> str:
    """Write a new name for the root project into uv.lock, as `uv lock` would, but without a network.

    Members and packages stand in the order of their names there, so both are moved.
    """
    head, *packages = text.split("\n[[package]]\n")
    members = re.search(r"^members = \[\n((?: {4}.*\n)+)\]$", head, re.MULTILINE)
    if members:
        lines = [f'    "{after}",\n' if line == f'    "{before}",\n' else line for line in members[1].splitlines(True)]
        head = head.replace(members[1], "".join(sorted(lines, key=lambda line: line.strip(' ",\n'))))
    own = f'name = "{before}"\n'
    renamed = [one.replace(own, f'name = "{after}"\n', 1) if one.startswith(own) else one for one in packages]
    ordered = sorted(renamed, key=lambda one: one.partition("\n")[0].removeprefix('name = "').removesuffix('"'))
    return "\n[[package]]\n".join([head, *(one.rstrip("\n") + "\n" for one in ordered)])


def logged(text: str, after: Identity, came_from: str) -> str:
    """Add a line about the adoption to the changes that are not released yet."""
    line = f"Adopted as {after.name} by {after.owner}, from {came_from}."
    return re.sub(r"^## Unreleased\n", f"## Unreleased\n\n{line}\n", text, count=1, flags=re.MULTILINE)
