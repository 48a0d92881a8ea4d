"""Where releases and the history of an environment are kept: a folder, or storage at Amazon, Google, Microsoft or alike.

    <store>/<pipeline>/<version>/         a sealed release, which never changes
    <store>/<pipeline>/history/           what was in service when, one object for each move: see `history`
    <store>/<pipeline>/store.id           tells this store from others, whatever its path

Keys come from the environment, such as `AWS_ACCESS_KEY_ID` and `AWS_ENDPOINT_URL`, `GOOGLE_APPLICATION_CREDENTIALS`, or
`AZURE_STORAGE_ACCOUNT_KEY`; profiles in `~/.aws` are not read. A process that is forked after its parent used a store hangs in
it, so a server's parent uses none.
"""

from __future__ import annotations

import contextlib
import fcntl
import os
import secrets
import shutil
from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path, PurePosixPath

from obstore.exceptions import AlreadyExistsError, BaseError, PermissionDeniedError, UnauthenticatedError
from obstore.store import LocalStore, ObjectStore, from_url

from onebutton_serving.errors import ReleaseStoreError
from onebutton_serving.sealed import MANIFEST, ReleaseError, check, check_version, read_manifest

__all__ = ["STORE_ID", "ReleaseStore", "ReleaseStoreError", "is_folder"]
STORE_ID = "store.id"
_KEY_REFUSED = ("SignatureDoesNotMatch", "InvalidAccessKeyId", "AccessDenied", "403 Forbidden")


def is_folder(url: str) -> bool:
    """Whether a release store is a folder that this machine sees."""
    return "://" not in url


class ReleaseStore:
    """One pipeline's part of an environment's release store.

    Attributes:
        url: of this part, as a person would name it.
        folder: None where the releases are not files of this machine.
    """

    def __init__(self, url: str, pipeline: str) -> None:
        """Connect to nothing yet.

        Args:
            url: a folder, or `s3://bucket/folder`, `gs://…`, `az://…`.
            pipeline: a name that is a folder there.
        """
        self.folder = Path(url) / pipeline if is_folder(url) else None
        self.url = str(self.folder) if self.folder else f"{url.rstrip('/')}/{pipeline}"
        self._opened: ObjectStore | None = None

    def read(self, name: str) -> bytes | None:
        """Return a small file; None when there is none."""
        with self._told():
            store = self._there()
            try:
                return bytes(store.get(name).bytes()) if store else None
            except FileNotFoundError as error:
                if "NoSuchBucket" in str(error):
                    raise
                return None

    def create(self, name: str, content: bytes) -> bool:
        """Put a small file where there is none yet, whole and on the disk; say whether it was put."""
        with self._told():
            try:
                self._open().put(name, content, mode="create")
            except AlreadyExistsError:
                return False
            try:
                self._flush(name)
            except OSError:
                self._open().delete(name)  # what is not on the disk was not put
                raise
            return True

    def names(self, below: str = "") -> list[str]:
        """List the files below a folder, in order."""
        return sorted(self._listed(below))

    def stamp(self, below: str) -> str:
        """Return what changes when a file below a folder does; empty when there is none. Cheap, for asking often."""
        listed = self._listed(below)
        name = max(listed, default="")
        return f"{name} {listed[name]}" if name else ""

    def releases(self) -> list[str]:
        """List the versions that are sealed here: they have a manifest, which is put last."""
        paths = [PurePosixPath(name) for name in self._listed()]
        return sorted(path.parts[0] for path in paths if path.name == MANIFEST and len(path.parts) == 2)  # noqa: PLR2004

    def publish(self, folder: Path) -> None:
        """Take a sealed release in, its manifest last: without that it does not count. One that is here stays as it is."""
        if self.read(f"{folder.name}/{MANIFEST}") is not None:
            return
        names = [*read_manifest(folder), MANIFEST]
        with self._told():
            for name in names:
                self._open().put(f"{folder.name}/{name}", folder / name)
                self._flush(f"{folder.name}/{name}")

    def fetch(self, version: str, cache: Path) -> Path:
        """Return a folder on this machine that holds a release; a copy in `cache` where the release store is elsewhere.

        A good copy is used again. Of several workers that share the cache one copies, and the others wait for it. Whether it is
        whole is for `load_release` to say.

        Raises:
            ReleaseError: what is asked for is no version.
        """
        if self.folder:
            return self.folder / check_version(version)
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

    def lacks(self, version: str, copy: Path) -> str:
        """Say what the release store itself no longer has of a release that `fetch` returned; empty when it has all of it."""
        if self.read(f"{version}/{MANIFEST}") != (copy / MANIFEST).read_bytes():
            return f"release {version}: {self.url} holds another {MANIFEST} than the copy on this machine, or none"
        names = {name.removeprefix(f"{version}/") for name in self._listed(version)}
        if missing := sorted({*read_manifest(copy)} - names):
            return f"release {version}: {', '.join(missing[:3])} is missing in {self.url}"
        return ""

    def _download(self, version: str, target: Path) -> None:
        draft = target.with_name(f".{version}.{secrets.token_hex(4)}")
        try:
            draft.mkdir()
            for name in self._listed(version):
                path = PurePosixPath(name).relative_to(version)
                if ".." in path.parts:
                    continue
                file = draft / path
                file.parent.mkdir(parents=True, exist_ok=True)
                with self._told(), file.open("wb") as stream:
                    for part in self._open().get(name):
                        stream.write(part)
            shutil.rmtree(target, ignore_errors=True)
            draft.rename(target)
        finally:
            shutil.rmtree(draft, ignore_errors=True)

    def _listed(self, below: str = "") -> dict[str, str]:
        """Return what changes with each file, by its name."""
        with self._told():
            store = self._there()
            pages = store.list(below or None) if store else ()
            return {one["path"]: f"{one['e_tag']} {one['last_modified']}" for page in pages for one in page}

    def _there(self) -> ObjectStore | None:
        """Open the store for reading; None for a folder that is not there."""
        return self._open() if self.folder is None or self.folder.is_dir() else None

    def _open(self) -> ObjectStore:
        if self.folder:
            return LocalStore(self.folder, mkdir=True)
        if self._opened is None:
            self._opened = from_url(
                self.url,
                client_options={
                    "connect_timeout": "2s",
                    "timeout": "60s",
                    "allow_http": os.environ.get("AWS_ENDPOINT_URL", "").startswith("http://"),
                },
                retry_config={"max_retries": 2, "retry_timeout": timedelta(seconds=8)},
            )
        return self._opened

    def _flush(self, name: str) -> None:
        """Have what was put on the disk before the button says so: obstore leaves that to the system, and power may fail."""
        if self.folder:
            for path in (self.folder / name, (self.folder / name).parent):
                file = os.open(path, os.O_RDONLY)
                try:
                    os.fsync(file)
                finally:
                    os.close(file)

    @contextlib.contextmanager
    def _told(self) -> Iterator[None]:
        try:
            yield
        except (BaseError, ValueError, OSError) as error:
            message = f"{self.url}: {_in_words(error)}"
            raise ReleaseStoreError(message) from None


def _in_words(error: Exception) -> str:
    said = str(error)
    if "NoSuchBucket" in said:
        return "there is no such bucket"
    if "No space left" in said or "os error 28" in said:
        return "no space left on the disk. Make room, then press again: what is in service was not changed"
    if "169.254.169.254" in said or ("missing" in said.lower() and "key" in said.lower()):
        return "no key is set: AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY, or what your storage calls them"
    if isinstance(error, PermissionDeniedError | UnauthenticatedError) or any(word in said for word in _KEY_REFUSED):
        return "the key that is set is refused, or may not do this"
    if "error sending request" in said or "timed out" in said:
        said = f"it cannot be reached: {said}"
    return " ".join(said.partition("\n\nDebug source:")[0].split())
