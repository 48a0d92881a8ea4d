"""A release store in S3. Keys come from the environment, as with all that speaks S3: `AWS_ACCESS_KEY_ID`, `AWS_ENDPOINT_URL`."""

from __future__ import annotations

import contextlib
import fcntl
import getpass
import json
import os
import secrets
import shutil
import socket
import time
from collections.abc import Iterator
from pathlib import Path, PurePosixPath
from typing import Any

import boto3  # type: ignore[import-untyped]
from botocore.config import Config  # type: ignore[import-untyped]
from botocore.exceptions import (  # type: ignore[import-untyped]
    BotoCoreError,
    ClientError,
    NoCredentialsError,
    PartialCredentialsError,
)

from onebutton_serving.errors import ReleaseStoreError
from onebutton_serving.sealed import MANIFEST, ReleaseError, check, check_version, read_manifest

HELD = 900.0  # seconds after which a lock no longer counts: its holder was killed
SETTLED = 0.5  # seconds after which another that came at the same moment has written, too
LOCK, HISTORY = "lock.json", "deployments"
_TAKEN = {"PreconditionFailed", "ConditionalRequestConflict", "412", "409"}
_ABSENT = {"NoSuchKey", "404"}
_WORDS = {
    "NoSuchBucket": "there is no such bucket",
    "AccessDenied": "the key that is set may not do this",
    "403": "the key that is set is refused",
    "InvalidAccessKeyId": "the key that is set is refused",
    "SignatureDoesNotMatch": "the key that is set is refused",
}


class S3Store:
    """One pipeline's part of an environment's release store, as objects below a prefix."""

    def __init__(self, url: str) -> None:
        """Connect to nothing yet.

        Args:
            url: `s3://bucket/folder/pipeline`.
        """
        self.url = url
        self._bucket, _, prefix = url.removeprefix("s3://").partition("/")
        self._prefix = f"{prefix.strip('/')}/"
        settings = Config(
            connect_timeout=2,
            read_timeout=10,
            retries={"total_max_attempts": 2},
            request_checksum_calculation="when_required",  # other makers' S3 know no newer ones
            response_checksum_validation="when_required",
        )
        region = os.environ.get("AWS_REGION") or os.environ.get("AWS_DEFAULT_REGION") or "us-east-1"
        try:
            self._client: Any = boto3.Session().client("s3", config=settings, region_name=region)
        except (BotoCoreError, ValueError) as error:
            raise self._error(error) from None

    def read(self, name: str) -> bytes | None:
        """Return a small object; None when there is none."""
        with self._told():
            try:
                content: bytes = self._call("get_object", name)["Body"].read()
            except ClientError as error:
                if _code(error) in _ABSENT:
                    return None
                raise
            return content

    def write(self, name: str, content: bytes) -> None:
        """Put a small object instead of the old one: S3 does so whole."""
        with self._told():
            self._call("put_object", name, Body=content)

    def stamp(self, name: str) -> str:
        """Return an object's ETag; empty when there is none."""
        with self._told():
            try:
                return str(self._call("head_object", name)["ETag"])
            except ClientError as error:
                if _code(error) in _ABSENT:
                    return ""
                raise

    def releases(self) -> list[str]:
        """List the versions that have a manifest, which is uploaded last."""
        with self._told():
            paths = [PurePosixPath(name) for name in self._names()]
        return sorted(path.parts[0] for path in paths if path.name == MANIFEST and len(path.parts) == 2)  # noqa: PLR2004

    def fetch(self, version: str, cache: Path) -> Path:
        """Copy a release beside where it will be in the cache, then rename it; a good copy is used again.

        Of several workers that share the cache one copies, and the others wait for it. Whether the copy is whole is for
        `load_release` to say, as with a folder.
        """
        target = cache / check_version(version)
        with contextlib.suppress(ReleaseError):
            check(target)
            return target
        try:
            cache.mkdir(parents=True, exist_ok=True)
            with (cache / ".lock").open("w") as lock:
                fcntl.flock(lock, fcntl.LOCK_EX)
                with contextlib.suppress(ReleaseError):
                    check(target)
                    return target
                self._download(version, target)
        except OSError as error:
            message = f"{cache}: {error.strerror or error}, so {version} could not be copied here"
            raise ReleaseStoreError(message) from None
        return target

    def _download(self, version: str, target: Path) -> None:
        draft = target.with_name(f".{version}.{secrets.token_hex(4)}")
        try:
            draft.mkdir()
            with self._told():
                for name in self._names(f"{version}/"):
                    path = PurePosixPath(name).relative_to(version)
                    if ".." in path.parts:
                        continue
                    file = draft.joinpath(*path.parts)
                    file.parent.mkdir(parents=True, exist_ok=True)
                    with file.open("wb") as stream:
                        shutil.copyfileobj(self._call("get_object", name)["Body"], stream)
            shutil.rmtree(target, ignore_errors=True)
            draft.rename(target)
        finally:
            shutil.rmtree(draft, ignore_errors=True)

    def lacks(self, version: str, copy: Path) -> str:
        """Compare the objects with a copy: its manifest, and the names of its files."""
        with self._told():
            names = {name.removeprefix(f"{version}/") for name in self._names(f"{version}/")}
        if self.read(f"{version}/{MANIFEST}") != (copy / MANIFEST).read_bytes():
            return f"release {version}: {self.url} holds another {MANIFEST} than the copy on this machine, or none"
        if missing := sorted({*read_manifest(copy)} - names):
            return f"release {version}: {', '.join(missing[:3])} is missing in {self.url}"
        return ""

    def publish(self, folder: Path) -> None:
        """Upload a sealed release, its manifest last: without that it does not count."""
        version = folder.name
        if self.stamp(f"{version}/{MANIFEST}"):
            return
        files = [path for path in sorted(folder.rglob("*")) if path.is_file() and path.name != MANIFEST]
        with self._told():
            for path in [*files, folder / MANIFEST]:
                with path.open("rb") as stream:
                    self._call("put_object", f"{version}/{path.relative_to(folder).as_posix()}", Body=stream)

    def append(self, sequence: int, line: bytes) -> None:
        """Write one object for a line; one that is there stays as it is."""
        name = f"{HISTORY}/{sequence:06d}.json"
        if not self.stamp(name):
            with self._told():
                self._put_new(name, line)

    def history(self) -> list[bytes]:
        """Return the content of the objects below `deployments/`, in the order of their numbers."""
        with self._told():
            names = sorted(self._names(f"{HISTORY}/"))
        return [content.strip() for name in names if (content := self.read(name))]

    @contextlib.contextmanager
    def hold(self) -> Iterator[None]:
        """Write a lock object, and remove it at the end; one that was left behind counts for `HELD` seconds.

        Where S3 ignores `If-None-Match` (some small ones do, AWS does not) the lock is read again after a moment: of two who come
        together the one who wrote last has it.

        Raises:
            ReleaseStoreError: somebody holds it.
        """
        token = secrets.token_hex(8)
        mine = json.dumps({"who": _who(), "until": time.time() + HELD, "token": token}).encode()
        with self._told():
            if self.stamp(LOCK) or not self._put_new(LOCK, mine):
                self._take_over(mine)
            if self._put_new(LOCK, mine):
                time.sleep(SETTLED)
            if token.encode() not in (self.read(LOCK) or b""):
                message = f"{self.url}: somebody began to deploy or roll back at the same moment. Press again when they are done"
                raise ReleaseStoreError(message)
        try:
            yield
        finally:
            with contextlib.suppress(ReleaseStoreError), self._told():  # what was done stands; the lock ends by itself
                if token.encode() in (self.read(LOCK) or b""):
                    self._call("delete_object", LOCK)

    def _take_over(self, mine: bytes) -> None:
        """Replace a lock that no longer counts, unless somebody else is quicker."""
        stamp = self.stamp(LOCK)
        try:
            held = json.loads(self.read(LOCK) or b"{}")
            who, until = str(held["who"]), float(held["until"])
        except (ValueError, KeyError, TypeError):
            who, until = "somebody", 0.0
        left = until - time.time()
        if left <= 0:
            if self._put_if(LOCK, mine, IfMatch=stamp) if stamp else self._put_new(LOCK, mine):
                return
            who, left = "somebody", HELD
        message = (
            f"{self.url}: {who} deploys or rolls back right now. Press again when they are done; "
            f"if they were killed, their lock ends in {left / 60:.0f} minutes"
        )
        raise ReleaseStoreError(message)

    def _put_new(self, name: str, content: bytes) -> bool:
        """Write an object unless there is one; say whether it was written."""
        return self._put_if(name, content, IfNoneMatch="*")

    def _put_if(self, name: str, content: bytes, **condition: str) -> bool:
        try:
            self._call("put_object", name, Body=content, **condition)
        except ClientError as error:
            if _code(error) in _TAKEN:
                return False
            raise
        return True

    def _call(self, operation: str, name: str, **more: Any) -> Any:
        return getattr(self._client, operation)(Bucket=self._bucket, Key=self._prefix + name, **more)

    def _names(self, below: str = "") -> list[str]:
        pages = self._client.get_paginator("list_objects_v2").paginate(Bucket=self._bucket, Prefix=self._prefix + below)
        keys = [str(item["Key"]) for page in pages for item in page.get("Contents", ())]
        return [key.removeprefix(self._prefix) for key in keys if not key.endswith("/")]

    @contextlib.contextmanager
    def _told(self) -> Iterator[None]:
        try:
            yield
        except (ClientError, BotoCoreError) as error:
            raise self._error(error) from None

    def _error(self, error: Exception) -> ReleaseStoreError:
        if isinstance(error, ClientError):
            words = (
                _WORDS.get(_code(error)) or f"S3 answers {_code(error)}: {error.response['Error'].get('Message', '')}"
            )
        elif isinstance(error, NoCredentialsError | PartialCredentialsError):
            words = "no key is set: AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY"
        else:
            words = f"it cannot be reached: {error}"
        return ReleaseStoreError(f"{self.url}: {' '.join(words.split())}")


def _who() -> str:
    try:
        user = getpass.getuser()
    except (KeyError, OSError):  # a container's user may have no name
        user = f"user {os.getuid()}"
    return f"{user} on {socket.gethostname()}"


def _code(error: ClientError) -> str:
    return str(error.response["Error"].get("Code", ""))
