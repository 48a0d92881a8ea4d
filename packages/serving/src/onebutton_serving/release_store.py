"""Where releases, the pointer and the history of an environment are kept: a folder, or a folder in S3.

    <store>/<pipeline>/<version>/         a sealed release, which never changes
    <store>/<pipeline>/pointer.json       which release is in service
    <store>/<pipeline>/store.id           tells this store from others, whatever its path
    <store>/<pipeline>/deployments.jsonl  how it came to be, one line each (in S3: deployments/, one object each)

The standard library alone, until a release store is in S3.
"""

from __future__ import annotations

import contextlib
import fcntl
import json
import os
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Protocol

from onebutton_serving.errors import ReleaseStoreError
from onebutton_serving.sealed import MANIFEST, check_version

__all__ = ["POINTER", "STORE_ID", "FolderStore", "ReleaseStore", "ReleaseStoreError", "open_store"]
POINTER = "pointer.json"
STORE_ID = "store.id"


class ReleaseStore(Protocol):
    """One pipeline's part of an environment's release store."""

    url: str

    def read(self, name: str) -> bytes | None:
        """Return a small file; None when there is none."""

    def write(self, name: str, content: bytes) -> None:
        """Put a small file instead of the old one: a reader sees either, whole."""

    def stamp(self, name: str) -> str:
        """Return what changes when a file changes; empty when there is none. Cheap, for asking often."""

    def releases(self) -> list[str]:
        """List the versions that are sealed here."""

    def fetch(self, version: str, cache: Path) -> Path:
        """Return a folder on this machine that holds a release; a copy in `cache` where the release store is elsewhere.

        Raises:
            ReleaseError: what is asked for is no version.
        """

    def lacks(self, version: str, copy: Path) -> str:
        """Say what the release store itself no longer has of a release that `fetch` returned; empty when it has all of it."""

    def publish(self, folder: Path) -> None:
        """Take a sealed release in, whole or not at all; one that is here stays as it is."""

    def append(self, sequence: int, line: bytes) -> None:
        """Add a line to the history; one of the same sequence number is not added twice."""

    def history(self) -> list[bytes]:
        """Return the lines of the history, oldest first."""

    def hold(self) -> contextlib.AbstractContextManager[None]:
        """Keep others from moving the pointer meanwhile."""


def open_store(url: str, pipeline: str) -> ReleaseStore:
    """Open a pipeline's part of a release store.

    Args:
        url: `s3://bucket/folder`, or a folder.
        pipeline: a name that is a folder there.

    Raises:
        ReleaseStoreError: boto3 is not installed, and the release store is in S3.
    """
    if url.startswith("s3://"):
        try:
            from onebutton_serving.s3 import S3Store
        except ImportError as error:
            message = (
                f"{url}: this installation cannot speak S3 ({error}): it lacks the extra `s3` of onebutton-serving"
            )
            raise ReleaseStoreError(message) from None
        return S3Store(f"{url.rstrip('/')}/{pipeline}")
    return FolderStore(Path(url) / pipeline)


class FolderStore:
    """A folder on this machine, or one that machines share."""

    def __init__(self, folder: Path) -> None:
        """Remember the folder; it is made by the first write."""
        self.folder, self.url = folder, str(folder)

    def read(self, name: str) -> bytes | None:
        """Return a small file; None when there is none."""
        try:
            return (self.folder / name).read_bytes()
        except (FileNotFoundError, NotADirectoryError):
            return None
        except OSError as error:
            raise self._error(error) from None

    def write(self, name: str, content: bytes) -> None:
        """Put a small file instead of the old one, and on the disk before this returns."""
        draft = self.folder / f".{name}.{os.getpid()}"
        try:
            self.folder.mkdir(parents=True, exist_ok=True)
            with draft.open("wb") as stream:
                stream.write(content)
                stream.flush()
                os.fsync(stream.fileno())
            draft.replace(self.folder / name)
        except OSError as error:
            raise self._error(error) from None
        finally:
            with contextlib.suppress(OSError):
                draft.unlink(missing_ok=True)

    def stamp(self, name: str) -> str:
        """Return inode, time and size: `write` makes a new file each time."""
        try:
            found = (self.folder / name).stat()
        except OSError:
            return ""
        return f"{found.st_ino}-{found.st_mtime_ns}-{found.st_size}"

    def releases(self) -> list[str]:
        """List the folders with a manifest."""
        return sorted(path.parent.name for path in self.folder.glob(f"*/{MANIFEST}"))

    def fetch(self, version: str, cache: Path) -> Path:  # noqa: ARG002  nothing is copied
        """Return the folder itself."""
        return self.folder / check_version(version)

    def lacks(self, version: str, copy: Path) -> str:  # noqa: ARG002  the copy is the release itself
        """Say nothing: what `fetch` returns is no copy."""
        return ""

    def publish(self, folder: Path) -> None:
        """Copy a release beside where it will be, then rename it: it is there whole or not at all."""
        target = self.folder / folder.name
        if (target / MANIFEST).is_file():
            return
        draft = self.folder / f".{folder.name}.{os.getpid()}"
        try:
            self.folder.mkdir(parents=True, exist_ok=True)
            shutil.copytree(folder, draft)
            draft.rename(target)
        except OSError as error:
            raise self._error(error) from None
        finally:
            shutil.rmtree(draft, ignore_errors=True)

    def append(self, sequence: int, line: bytes) -> None:
        """Add a line in one write; a line that a crash tore is closed first, so that the next one stays readable."""
        known = [entry for entry in self.history() if _sequence(entry) == sequence]
        if known:
            return
        path = self.folder / "deployments.jsonl"
        try:
            with path.open("ab") as stream:
                torn = path.stat().st_size and not path.read_bytes().endswith(b"\n")
                stream.write((b"\n" if torn else b"") + line + b"\n")
                stream.flush()
                os.fsync(stream.fileno())
        except OSError as error:
            raise self._error(error) from None

    def history(self) -> list[bytes]:
        """Return the lines of `deployments.jsonl`."""
        return [line for line in (self.read("deployments.jsonl") or b"").splitlines() if line]

    @contextlib.contextmanager
    def hold(self) -> Iterator[None]:
        """Lock a file; the system lets go of it when the program ends, however it ends."""
        with contextlib.ExitStack() as stack:  # what goes wrong meanwhile is no fault of the release store
            try:
                self.folder.mkdir(parents=True, exist_ok=True)
                stream = stack.enter_context((self.folder / ".lock").open("w"))
                fcntl.flock(stream, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                message = f"{self.url}: somebody deploys or rolls back right now. Press again when they are done"
                raise ReleaseStoreError(message) from None
            except OSError as error:
                raise self._error(error) from None
            yield

    def _error(self, error: OSError) -> ReleaseStoreError:
        return ReleaseStoreError(f"{self.url}: {error.strerror or error}")


def _sequence(line: bytes) -> int:
    try:
        return int(json.loads(line)["sequence"])
    except (ValueError, KeyError, TypeError):
        return -1
