"""Keep scored rows beside OUT, part by part, so that the next press, or another machine, asks only for what is missing.

    <OUT>.parts/identity.json                 what they are made of: release, input, boundaries, versions of the tools
    <OUT>.parts/part-000012-<sha256>.parquet  rows with their answers
    <OUT>.parts/input-000000-<sha256>.parquet a CSV of the input, as parquet
    <OUT>.parts/*.draft                       what a crash left half-written; nobody reads it

The digest is of the identity, the name and the content together: a part that is damaged, that belongs elsewhere, or whose
machine lost its power before the disk had all of it, counts for nothing. Each comes to its name by a rename, when it is whole.
"""

from __future__ import annotations

import fcntl
import hashlib
import json
import os
import re
import secrets
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from onebutton_contracts.errors import InputError

IDENTITY, LOCK, DRAFT = "identity.json", "lock", ".draft"
_KEPT = re.compile(r"((part|input)-\d{6})-[0-9a-f]{64}\.parquet")


class Parts:
    """The folder of finished parts, held until the program ends, however it ends."""

    def __init__(self, out: Path, identity: Mapping[str, Any], *, shared: bool = False) -> None:
        """Open the folder, or make it.

        Args:
            out: the file that the parts are for.
            identity: what they are made of, as JSON holds it.
            shared: whether others may hold it too, who ask for this as well.

        Raises:
            InputError: somebody scores into it right now, or it holds something else.
            OSError: it cannot be written.
        """
        self.folder = out.with_name(f"{out.name}.parts")
        self._identity = identity
        self._text = json.dumps(identity, indent=1, sort_keys=True) + "\n"
        self.folder.mkdir(exist_ok=True)
        self._lock = (self.folder / LOCK).open("w")
        try:
            fcntl.flock(self._lock, fcntl.LOCK_NB | (fcntl.LOCK_SH if shared else fcntl.LOCK_EX))
            self._check()
            for draft in [] if shared else self.folder.glob(f"*{DRAFT}"):
                draft.unlink()
            draft = self.draft(IDENTITY)
            draft.write_text(self._text, encoding="utf-8")
            draft.replace(self.folder / IDENTITY)
        except BlockingIOError:
            self.close()
            message = f"somebody scores into {out} right now. Press again when that is done"
            raise InputError(message) from None
        except BaseException:
            self.close()
            raise
        self._kept: dict[str, list[Path]] = {}
        for path in self.folder.iterdir():
            if match := _KEPT.fullmatch(path.name):
                self._kept.setdefault(match[1], []).append(path)

    def _check(self) -> None:
        remedy = f"Remove {self.folder}, or name another OUT"
        wanted, there = json.loads(self._text), {}
        try:
            there = json.loads((self.folder / IDENTITY).read_text(encoding="utf-8"))
        except FileNotFoundError:
            names = sorted(path.name for path in self.folder.iterdir() if path.suffix != DRAFT)
            if strange := [name for name in names if name != LOCK and not _KEPT.fullmatch(name)]:
                message = f"{self.folder} is where finished parts go, and it holds {strange[0]}. {remedy}"
                raise InputError(message) from None
            return  # parts may have been copied here from other machines; each is held to its digest
        except ValueError:
            pass
        if differ := [name for name in self._identity if there.get(name) != wanted[name]]:
            message = f"{self.folder} holds parts of another press: {', '.join(differ)} differ. {remedy}"
            raise InputError(message)

    def kept(self, stem: str) -> list[Path]:
        """List what was kept under a name, whether it is whole and ours or not."""
        return self._kept.get(stem, [])

    def find(self, stem: str) -> Path | None:
        """Return the place of a file that is kept and whole."""
        return next((path for path in self.kept(stem) if path.name == self._name(stem, path)), None)

    def make(self, stem: str, write: Callable[[Path], object]) -> Path:
        """Keep a file that is written to a draft first, and return its place."""
        draft = self.draft(stem)
        write(draft)
        return draft.replace(self.folder / self._name(stem, draft))

    def remove(self) -> None:
        """Remove all that was kept, and nothing that is not ours."""
        for path in self.folder.iterdir():
            if path.suffix == DRAFT or path.name in {IDENTITY, LOCK} or _KEPT.fullmatch(path.name):
                path.unlink()
        self.close()
        if not any(self.folder.iterdir()):
            self.folder.rmdir()

    def close(self) -> None:
        """Let others in."""
        self._lock.close()

    def draft(self, stem: str) -> Path:
        """Return a place to write something to that is not finished: one that no other program has."""
        return self.folder / f"{stem}-{secrets.token_hex(4)}{DRAFT}"

    def _name(self, stem: str, content: Path) -> str:
        digest = hashlib.sha256(f"{self._text}{stem}\n".encode())
        with content.open("rb") as stream:
            hashlib.file_digest(stream, lambda: digest)
        return f"{stem}-{digest.hexdigest()}.parquet"


def settle(draft: Path, target: Path) -> None:
    """Put a finished draft in its place: on the disk first, then under its name, whole or not at all."""
    with draft.open("rb") as stream:
        os.fsync(stream.fileno())
    draft.replace(target)
    folder = os.open(target.parent, os.O_RDONLY)
    try:
        os.fsync(folder)
    finally:
        os.close(folder)
