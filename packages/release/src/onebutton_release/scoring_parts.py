"""Keep scored rows beside OUT, part by part, so that the next press, or another machine, asks only for what is missing.

    <OUT>.parts/part-000012-<sha256>.parquet  rows with their answers
    <OUT>.parts/input-000000-<sha256>.parquet a CSV of the input, as parquet
    <OUT>.parts/*.draft                       what a crash left half-written; nobody reads it

The digest is of the release and the input, the name and the content together: a part that is damaged, that belongs elsewhere, or
whose machine lost its power before the disk had all of it, counts for nothing. It gets its name by a rename, when it is whole.
"""

from __future__ import annotations

import contextlib
import fcntl
import hashlib
import re
import secrets
from collections.abc import Callable, Iterator
from pathlib import Path

from onebutton_contracts.errors import InputError

_OURS = re.compile(r"lock|(part|input|out)-[0-9a-f-]+\.(parquet|draft)")


class Parts:
    """The folder of finished parts, held until the program ends, however it ends."""

    def __init__(self, out: Path, identity: str, *, shared: bool = False) -> None:
        """Open the folder, or make it.

        Args:
            out: the file that the parts are for.
            identity: what they are made of: parts of anything else count for nothing.
            shared: whether others may hold it too, who ask for this as well.

        Raises:
            InputError: somebody scores into it right now.
            OSError: it cannot be written.
        """
        self.folder = out.with_name(f"{out.name}.parts")
        self._identity = identity
        self.folder.mkdir(exist_ok=True)
        self._lock = (self.folder / "lock").open("w")
        try:
            fcntl.flock(self._lock, fcntl.LOCK_NB | (fcntl.LOCK_SH if shared else fcntl.LOCK_EX))
        except BlockingIOError:
            self.close()
            message = f"somebody scores into {out} right now. Press again when that is done"
            raise InputError(message) from None
        if not shared:
            self._unlink(".draft")

    def find(self, stem: str) -> Path | None:
        """Return the place of a file that is kept, whole and ours."""
        kept = self.folder.glob(f"{stem}-*.parquet")
        return next((path for path in kept if path.name == self._name(stem, path)), None)

    def make(self, stem: str, write: Callable[[Path], object]) -> Path:
        """Keep a file that is written to a draft first, and return its place."""
        with self.draft(stem) as draft:
            write(draft)
            return draft.replace(self.folder / self._name(stem, draft))

    def remove(self) -> None:
        """Remove all that was kept, and nothing that is not ours."""
        self._unlink()
        self.close()
        with contextlib.suppress(OSError):  # something else lies in it
            self.folder.rmdir()

    def close(self) -> None:
        """Let others in."""
        self._lock.close()

    @contextlib.contextmanager
    def draft(self, stem: str) -> Iterator[Path]:
        """Give a place to write something to that is not finished: one that no other program has."""
        draft = self.folder / f"{stem}-{secrets.token_hex(4)}.draft"
        try:
            yield draft
        finally:
            draft.unlink(missing_ok=True)

    def _unlink(self, ending: str = "") -> None:
        for path in self.folder.iterdir():
            if _OURS.fullmatch(path.name) and path.name.endswith(ending):
                path.unlink()

    def _name(self, stem: str, content: Path) -> str:
        digest = hashlib.sha256(f"{self._identity}\n{stem}\n".encode())
        with content.open("rb") as stream:
            hashlib.file_digest(stream, lambda: digest)
        return f"{stem}-{digest.hexdigest()}.parquet"
