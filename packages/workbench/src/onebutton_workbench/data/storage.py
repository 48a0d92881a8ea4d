"""Keep data and models in DVC's remote: choose it, send to it, fetch from it, and find what it lacks.

The work of `make remote`, `push` and `pull`, and of OB304 in `make status`.

The remote stands in `.dvc/config`; it is any that DVC knows. Keys to it come from the environment (`AWS_ACCESS_KEY_ID`,
`AWS_PROFILE` and the rest that every program for S3 reads; `AWS_ENDPOINT_URL` for a server that is not Amazon's) and are never
written to a file.
"""

from __future__ import annotations

import json
import logging
import re
import subprocess
from collections.abc import Iterator
from configparser import ConfigParser
from configparser import Error as ConfigError
from dataclasses import dataclass
from pathlib import Path
from posixpath import dirname, join, normpath
from typing import Any
from urllib.parse import urlsplit

from onebutton_contracts.dvc_files import FINGERPRINTS, parse_yaml
from onebutton_contracts.errors import InputError, require
from onebutton_workbench.environment import call
from onebutton_workbench.findings import Finding
from onebutton_workbench.git import at_commit, names, shortened
from onebutton_workbench.lineage.tracked_data import Tracked, tracked
from onebutton_workbench.workspace import ROOT, dvc_files

NAME = "storage"
PROBE = "0" * 32  # a digest that no file has: asking for it shows whether the remote answers
MEND = "`make push` on the machine that has it; what no stage makes needs `dvc add` first"
UNSET = "no remote is set. `make remote URL=s3://bucket/folder` sets one"
KEYS = "AWS_ACCESS_KEY_ID, AWS_SECRET_ACCESS_KEY and AWS_PROFILE"
SCHEMES = ("s3", "gs", "azure", "ssh", "oss", "webdav", "webdavs", "webhdfs", "hdfs", "gdrive")  # what DVC can write to
URL = re.compile(rf"(?:{'|'.join(SCHEMES)})://[^\s/]\S*|/.*")
LACKING = re.compile(r"requires '(?P<package>dvc-\w+)' to be installed")  # as DVC says it of a scheme
UNSAVED = "Can't remove the following unsaved files"  # how DVC spares data that its cache does not hold
# What DVC and its clients say of a key, and of a connection. What they say of all else is clear enough.
REFUSED = (
    r"Unable to locate credentials|NoCredentials|Partial credentials|ProfileNotFound|config profile|access key"
    r"|InvalidAccessKeyId|InvalidToken|ExpiredToken|SignatureDoesNotMatch|signature we calculated"
    r"|Access ?Denied|Forbidden|\b403\b|Permission ?denied|PermissionError"
)
CUT = (
    r"(?i)could not connect|cannot connect|disconnect|connect(ion)? .*(refused|reset|closed|aborted)|timed? ?out"
    r"|EndpointConnection|name or service not known|getaddrinfo|ClosedError|ClientPayload|incomplete"
)
REASONS = {
    REFUSED: f"it refuses the key that is set, or none is set. Look at {KEYS}, or ask its owner",
    UNSAVED: "data of yours without another copy is in the way. Move it away, or `dvc add` it, and press again",
    CUT: "it cannot be reached, or the connection was cut: look at the network and, for S3, AWS_ENDPOINT_URL; "
    "press again, what arrived stays",
}
# How DVC begins to list what is neither here nor there.
MISSING = ("Missing cache files", "Checkout failed for following targets")


class UnreachableError(InputError):
    """The remote gave no answer, so what it holds is not known; the message says why."""


@dataclass(frozen=True)
class Remote:
    """Where DVC keeps data."""

    name: str
    url: str  # `s3://…` or another that DVC knows, or a folder
    shared: bool  # whether others can have it too: it is not inside this checkout

    def __str__(self) -> str:
        """The address, and what it is worth to others."""
        return self.url if self.shared else f"{self.url} (a folder in this checkout, not shared)"


def call_dvc(*arguments: str, root: Path) -> subprocess.CompletedProcess[str]:
    """Call DVC and return what became of it; it waits while another call holds the repository."""
    return call("dvc", "--wait-for-lock", *arguments, folder=root)


def configured(root: Path) -> Remote | None:
    """Read which remote DVC uses; None when none is set.

    Raises:
        InputError: the configuration cannot be read.
    """
    settings = ConfigParser(interpolation=None)
    try:
        settings.read([root / ".dvc/config", root / ".dvc/config.local"], encoding="utf-8")
    except (ConfigError, ValueError) as error:
        raise InputError(
            f".dvc/config cannot be read: {' '.join(str(error).split())}. `git restore .dvc/config` mends it"
        ) from None
    name = settings.get("core", "remote", fallback="")
    url = settings.get(f"'remote \"{name}\"'", "url", fallback="")
    if not url or "://" in url:
        return Remote(name, url, shared=True) if url else None
    folder = (root / ".dvc" / url).resolve()
    return Remote(name, str(folder), shared=not folder.is_relative_to(root.resolve()))


def why(output: str) -> str:
    """Say in one line why DVC or a client of S3 failed: with what mends it where that is known, else in its own last words."""
    if lacking := LACKING.search(output):
        package = lacking["package"]
        return f"DVC needs {package} for it. `make add PACKAGE={package} MEMBER=workbench` brings it"
    for pattern, words in REASONS.items():
        if re.search(pattern, output):
            return words
    lines = [line.strip() for line in output.splitlines() if line.strip()]
    errors = [line.removeprefix("ERROR: ") for line in lines if line.startswith("ERROR")]
    return (errors or lines or ["it does not say why"])[-1]


def absent(remote: Remote, digests: set[str], root: Path) -> set[str]:
    """Ask a remote which of these it does not have; a folder's digest ends in `.dir`, and counts only with every file in it.

    Raises:
        UnreachableError: it does not answer, or refuses the key.
    """
    from dvc.repo import Repo

    patience = {"connect_timeout": 5, "read_timeout": 20} if remote.url.startswith("s3://") else {}
    if not patience and "://" not in remote.url and not Path(remote.url).is_dir():
        raise UnreachableError(f"the folder {remote.url} is not there")
    logging.disable()  # some clients print every attempt with a traceback; what counts is raised
    try:
        with Repo(str(root), config={"remote": {remote.name: patience}} if patience else None) as repo:
            storage = repo.cloud.get_remote_odb(remote.name)
            return {digest for digest in digests if not _has(storage, digest)}
    except Exception as error:  # noqa: BLE001  each client has errors of its own; all mean no answer
        raise UnreachableError(why(f"{type(error).__name__}: {error}")) from None
    finally:
        logging.disable(logging.NOTSET)


def _has(storage: Any, digest: str) -> bool:
    path = storage.oid_to_path(digest)
    try:
        storage.fs.info(path)  # not `exists`, which some clients answer with False when they cannot tell
        if not digest.endswith(".dir"):
            return True
        with storage.fs.open(path, "rb") as stream:
            return all(_has(storage, entry["md5"]) for entry in json.load(stream))
    except FileNotFoundError:
        return False


def silence(remote: Remote, root: Path) -> str:
    """Say why a remote does not answer; empty where it does."""
    try:
        absent(remote, {PROBE}, root)
    except UnreachableError as reason:
        return str(reason)
    return ""


def push(root: Path = ROOT, pipeline: str = "") -> None:
    """Send data and models to the remote; what arrived stays, whatever happens after.

    Raises:
        InputError: there is no remote, it refuses, or some of the data is not here.
    """
    remote = configured(root)
    if remote is None:
        raise InputError(UNSET)
    unsent = _transfer("push", remote, root, pipeline)  # DVC only warns of what it cannot send
    words = "some data that dvc.lock names is not here, so it was not sent; the rest was. `make run` makes it"
    require(not unsent, words)


def pull(root: Path = ROOT, pipeline: str = "") -> None:
    """Fetch data and models from the remote; what arrived stays, whatever happens after.

    Raises:
        InputError: the remote refuses, or lacks what no stage makes.
    """
    remote = configured(root)
    if remote is None:
        print(f"pull: nothing to fetch, {UNSET}")
    elif lacking := _transfer("pull", remote, root, pipeline):
        named = {line.strip().rstrip("/") for line in lacking.splitlines()}  # each on a line of its own
        gone = shortened([one.path for one in _added(root, pipeline) if one.path in named])
        sends = "what it has is here now. `make push` where it was added sends it"
        require(not gone, f"{remote.url} does not have {gone}, and no stage makes that; {sends}")
        print("pull: what it has is here now. It does not have all that dvc.lock names: `make run` makes the rest")


def _transfer(button: str, remote: Remote, root: Path, pipeline: str) -> str:
    """Press DVC's button of the same name; return what it says where something is neither here nor there."""
    print(f"{button}: {'to' if button == 'push' else 'from'} {remote}", flush=True)
    done = call_dvc(button, *targets(root, pipeline), root=root)
    said = done.stdout + done.stderr
    missing = any(words in said for words in MISSING)
    refused = done.returncode and (not missing or why(said) in REASONS.values())
    require(not refused, f"{remote.url}: {why(said)}")
    if not missing:
        print(f"{button}: done. {' '.join(done.stdout.split())}")
    return said if missing else ""


def targets(root: Path, pipeline: str) -> list[str]:
    """Name what DVC sends or fetches for a pipeline: what its stages write, and data that no stage makes; nothing for all."""
    files = sorted({one.file for one in _added(root, pipeline)})
    return [f"pipelines/{pipeline}/dvc.yaml", *files] if pipeline else []


def _added(root: Path, pipeline: str) -> list[Tracked]:
    folder = f"pipelines/{pipeline}/" if pipeline else ""
    return [one for one in tracked(root) if one.file.startswith(folder)]


def choose(url: str = "", root: Path = ROOT) -> None:
    """Write a remote into `.dvc/config`, or say which is there when no URL was typed.

    Raises:
        InputError: the URL is no remote that DVC can write to, or holds a key.
    """
    if url:
        parts = urlsplit(url)
        keyless = not (parts.password or parts.query)
        require(keyless, f"a URL with a key in it would be committed. Keys stay in the environment: {KEYS}")
        known = f"s3://bucket/folder (or {', '.join(SCHEMES[1:])}) or an absolute folder"
        require(URL.fullmatch(url), f"URL can be {known}, not {url!r}. Nothing was changed")
        done = call_dvc("remote", "add", "--quiet", "--force", "--default", NAME, url, root=root)
        require(not done.returncode, f"nothing was changed: {why(done.stdout + done.stderr)}")
    remote = configured(root)
    if remote is None:
        raise InputError(UNSET)
    print(f"remote: {remote}")
    if remote.shared:
        reason = silence(remote, root)
        print(f"remote: NOT RUN, it was not asked: {reason}" if reason else "remote: it answers")
    if url:
        print("remote: Next: make push, then commit .dvc/config")


def check_remote(root: Path, remote: Remote) -> Iterator[Finding]:
    """Find data that a commit names and the remote does not have.

    Raises:
        UnreachableError: the remote does not answer, so it is not known.
        InputError: a committed file cannot be read.
    """
    in_git = set(names("ls-tree", "-r", "-t", "-z", "--name-only", "HEAD", folder=root))
    held = {one.path: (one.md5, one.file) for one in tracked(root) if one.file in in_git and one.md5}
    for lock in (file.with_name("dvc.lock").relative_to(root).as_posix() for file in dvc_files(root)):
        stages = parse_yaml(at_commit("HEAD", lock, root) or "{}", lock).get("stages") or {}
        for entry in (one for stage in stages.values() for one in [*stage.get("outs", []), *stage.get("deps", [])]):
            path = normpath(join(dirname(lock), entry["path"]))
            if path not in in_git and f"/{FINGERPRINTS}" not in f"/{path}":
                held.setdefault(path, (str(entry.get("md5", "")), lock))
    gone = absent(remote, {digest for digest, _ in held.values()}, root)
    for path, (digest, file) in held.items():
        if digest in gone:
            words = f"{path} is not on {remote.url}, so it is lost with the machine that has it"
            yield Finding("OB304", file, words, MEND)
