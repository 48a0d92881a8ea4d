"""Where releases and the history of an environment are kept: a folder, or storage at Amazon, Google, Microsoft or alike.

    <store>/<pipeline>/<version>/         a sealed release, which never changes
    <store>/<pipeline>/history/           what was in service when, one object for each move: see `history`
    <store>/<pipeline>/store.id           tells this store from others, whatever its path

Keys come from the environment, such as `AWS_ACCESS_KEY_ID` and `AWS_ENDPOINT_URL`, `GOOGLE_APPLICATION_CREDENTIALS`, or
`AZURE_STORAGE_ACCOUNT_KEY`; profiles in `~/.aws` are not read. A process that is forked after its parent used a store hangs in
it, so a server's parent uses none.
"""

import contextlib
import fcntl
import hashlib
import os
import shutil
from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path

from obstore.exceptions import AlreadyExistsError, BaseError, PermissionDeniedError, UnauthenticatedError
from obstore.store import LocalStore, MemoryStore, ObjectStore, from_url

from onebutton_serving.sealed import MANIFEST, ReleaseError, ServingError, check, check_version, read_manifest

STORE_ID = "store.id"
_KEY_REFUSED = ("SignatureDoesNotMatch", "InvalidAccessKeyId", "AccessDenied", "403 Forbidden")


class ReleaseStoreError(ServingError):
    """A release store cannot be read or written; the message says which and why."""


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
        """Connect to nothing yet; the store is a folder, or `s3://bucket/folder`, `gs://…`, `az://…`."""
        self._root, self._pipeline = url, pipeline
        self.folder = Path(url) / pipeline if is_folder(url) else None
        self.url = str(self.folder) if self.folder else f"{url.rstrip('/')}/{pipeline}"
        self._opened: ObjectStore | None = None

    def read(self, name: str) -> bytes | None:
        """Return a small file; None when there is none."""
        with self._told():
            try:
                return bytes(self._open().get(name).bytes())
            except FileNotFoundError as error:
                if "NoSuchBucket" in str(error):
                    raise
                return None

    def identity(self) -> dict[str, str]:
        """Return whose releases these are, a short digest of where they are, and the id that the first deployment gave the store.

        By these a server says which history it follows. Everybody who reaches it can read them, so no path is told.
        """
        where = str(Path(self._root).resolve()) if self.folder else self._root
        digest = hashlib.sha256(where.encode()).hexdigest()[:16]
        known = (self.read(STORE_ID) or b"").decode(errors="replace").strip()
        return {"pipeline": self._pipeline, "folder": digest, "store": known}

    def create(self, name: str, content: bytes) -> bool:
        """Put a small file where there is none yet, whole and on the disk; say whether it was put."""
        with self._told():
            try:
                self._open(make=True).put(name, content, mode="create")
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
        with self._told():
            return sorted(one["path"] for page in self._open().list(below or None) for one in page)

    def releases(self) -> list[str]:
        """List the versions that are sealed here: they have a manifest, which is put last."""
        parts = [name.split("/") for name in self.names()]
        return [version for version, *rest in parts if rest == [MANIFEST]]

    def publish(self, folder: Path) -> None:
        """Take a sealed release in, its manifest last: without that it does not count. One that is here stays as it is."""
        if self.read(f"{folder.name}/{MANIFEST}") is not None:
            return
        names = [*read_manifest(folder), MANIFEST]
        with self._told():
            for name in names:
                self._open(make=True).put(f"{folder.name}/{name}", folder / name)
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
        with self._told():
            cache.mkdir(parents=True, exist_ok=True)
            with (cache / ".lock").open("w") as lock:
                fcntl.flock(lock, fcntl.LOCK_EX)
                try:
                    check(target)
                except ReleaseError:
                    self._download(version, target)
        return target

    def _download(self, version: str, target: Path) -> None:
        draft = target.with_name(f".{version}.draft")
        shutil.rmtree(draft, ignore_errors=True)
        draft.mkdir()
        for name in self.names(version):
            file = draft / name.removeprefix(f"{version}/")
            file.parent.mkdir(parents=True, exist_ok=True)
            with file.open("wb") as stream:
                stream.writelines(self._open().get(name))
        shutil.rmtree(target, ignore_errors=True)
        draft.rename(target)

    def _open(self, *, make: bool = False) -> ObjectStore:
        if self.folder:  # reading makes no folder: one that is not there is empty
            return LocalStore(self.folder, mkdir=True) if make or self.folder.is_dir() else MemoryStore()
        if self._opened is None:
            insecure = os.environ.get("AWS_ENDPOINT_URL", "").startswith("http://")
            self._opened = from_url(
                self.url,
                client_options={"connect_timeout": "2s", "timeout": "60s", "allow_http": insecure},
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
            raise ReleaseStoreError(f"{self.url}: {_in_words(error)}") from None


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
