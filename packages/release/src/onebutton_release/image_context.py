"""What an image is built from, in one small folder: the lock, the members that the server consists of, and one release.

The folder says all that a builder must know, so `docker build` in it makes the same image without one argument.
"""

from __future__ import annotations

import re
import shutil
import tomllib
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from onebutton_contracts.errors import InputError
from onebutton_serving.schema import read_schema
from onebutton_serving.sealed import ReleaseError, check
from onebutton_tracking.commit import git

DOCKERFILE = Path("deploy/serving/Dockerfile")
SERVER = "onebutton-serving"
ARGUMENTS = "ARG PIPELINE VERSION REVISION SOURCE"  # of the Dockerfile; they get their values here
PARTS = ("pyproject.toml", "README.md", "src")  # of a member


@dataclass(frozen=True)
class Facts:
    """What the labels of an image say.

    Attributes:
        pipeline: whose release it holds.
        version: of the release.
        revision: the commit whose server and lock are in it, `-dirty` behind it where something was not committed.
        source: the address of the repository; empty when it has none that others can open.
        epoch: the time of that commit, in seconds since 1970; every file of the image has it.
    """

    pipeline: str
    version: str
    revision: str
    source: str
    epoch: int

    @property
    def name(self) -> str:
        """The name of the image on this machine."""
        return f"onebutton-{self.pipeline}:{self.version}".lower()


def read_facts(root: Path, release: Path) -> Facts:
    """Find out what the labels must say.

    Raises:
        ReleaseError: the release is not what was sealed.
    """
    check(release)
    commit, _, seconds = git("log", "-1", "--format=%H %ct", folder=root).strip().partition(" ")
    changed = git("status", "--porcelain", "--", "packages", "pyproject.toml", "uv.lock", str(DOCKERFILE), folder=root)
    source = web_address(git("remote", "get-url", "origin", folder=root).strip())
    return Facts(
        read_schema(release).pipeline, release.name, commit + ("-dirty" if changed else ""), source, int(seconds or 0)
    )


def web_address(remote: str) -> str:
    """Turn git's address of a remote into one for people, without the name and token that may stand in it."""
    if found := re.fullmatch(r"[\w.-]+@([\w.-]+):(.+)", remote):  # git@github.com:owner/name.git
        remote = f"https://{found[1]}/{found[2]}"
    parts = urlsplit(remote)
    if parts.scheme not in {"http", "https", "ssh"} or not parts.hostname:
        return ""
    return f"https://{parts.hostname}{parts.path.removesuffix('.git')}"


def members_of_the_server(lock: Path) -> list[Path]:
    """List the folders of the workspace members that the server needs, as the lock says."""
    packages: dict[str, Any] = {one["name"]: one for one in tomllib.loads(lock.read_text(encoding="utf-8"))["package"]}
    wanted, folders = [SERVER], {}
    while wanted:
        package = packages[wanted.pop()]
        folder = package["source"].get("editable")
        if folder and folder not in folders:
            folders[folder] = Path(folder)
            wanted += [one["name"] for one in package.get("dependencies", ()) if one["name"] in packages]
    return sorted(folders.values())


def write_context(root: Path, release: Path, facts: Facts, folder: Path) -> None:
    """Lay out the folder that an image is built from.

    Args:
        root: of the repo.
        release: sealed.
        facts: for the labels.
        folder: where to put it; it must not be there yet, or be empty.

    Raises:
        InputError: the folder holds something, or the release changed while it was copied.
    """
    if folder.exists() and any(folder.iterdir()):
        message = f"{folder} is not empty: name a folder that is not there yet"
        raise InputError(message)
    folder.mkdir(parents=True, exist_ok=True)
    for name in ("pyproject.toml", "uv.lock"):
        shutil.copyfile(root / name, folder / name)
    for member in members_of_the_server(root / "uv.lock"):
        (folder / member).mkdir(parents=True)
        for part in PARTS:
            source, target = root / member / part, folder / member / part
            if source.is_dir():
                shutil.copytree(source, target, ignore=shutil.ignore_patterns("__pycache__"))
            else:
                shutil.copyfile(source, target)
    sealed = folder / "release" / release.name
    shutil.copytree(release, sealed)
    recipe = (root / DOCKERFILE).read_text(encoding="utf-8")
    values = f"PIPELINE={facts.pipeline} VERSION={facts.version} REVISION={facts.revision} SOURCE={facts.source}"
    (folder / "Dockerfile").write_text(recipe.replace(ARGUMENTS, f"ARG {values}"), encoding="utf-8")
    for path in [
        folder,
        *folder.rglob("*"),
    ]:  # whatever the umask of who builds: readable by the server, its owner's to clear
        path.chmod(0o755 if path.is_dir() else 0o444 if sealed in path.parents else 0o644)
    try:
        check(sealed)
    except ReleaseError as error:
        raise InputError(str(error)) from None
