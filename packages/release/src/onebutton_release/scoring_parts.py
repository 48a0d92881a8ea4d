"""Keep what the model answered beside OUT, part by part, so that the next press asks only for what is missing.

    <OUT>.parts/identity.json                 what they are made of: release, input, boundaries, versions of the tools
    <OUT>.parts/part-000012-<sha256>.parquet  the answers to a part
    <OUT>.parts/input-000000-<sha256>.parquet a CSV of the input, as parquet
    <OUT>.parts/*.draft                       what a crash left half-written; nobody reads it

The digest is of the identity, the name and the content together: a part that is damaged, that belongs elsewhere, or whose
machine lost its power before the disk had all of it, is made again. Each comes to its name by a rename, when it is whole.
"""

from __future__ import annotations

import fcntl
import hashlib
import io
import json
import os
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import polars as pl

from onebutton_contracts.errors import InputError

IDENTITY, LOCK = "identity.json", "lock"
_KEPT = re.compile(r"(?P<stem>(part|input)-\d{6})-(?P<digest>[0-9a-f]{64})\.parquet")


class Parts:
    """The folder of finished parts, held by one program at a time; the system lets go of it however the program ends."""

    def __init__(self, out: Path, identity: Mapping[str, Any]) -> None:
        """Open the folder, or make it.

        Args:
            out: the file that the parts are for.
            identity: what they are made of, as JSON holds it.

        Raises:
            InputError: somebody scores into it right now, or it holds something else.
            OSError: it cannot be written.
        """
        self.folder = out.with_name(f"{out.name}.parts")
        self._text = json.dumps(identity, indent=1, sort_keys=True) + "\n"
        self.folder.mkdir(exist_ok=True)
        self._lock = (self.folder / LOCK).open("w")
        try:
            fcntl.flock(self._lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
            self._check(identity)
            for draft in self.folder.glob("*.draft"):
                draft.unlink()
            self._write(IDENTITY, self._text.encode())
        except BlockingIOError:
            self.close()
            message = f"somebody scores into {out} right now. Press again when that is done"
            raise InputError(message) from None
        except BaseException:
            self.close()
            raise
        found = (_KEPT.fullmatch(path.name) for path in self.folder.iterdir())
        self._kept = {match["stem"]: self.folder / match[0] for match in found if match}

    def _check(self, identity: Mapping[str, Any]) -> None:
        remedy = f"Remove {self.folder}, or name another OUT"
        try:
            there = json.loads((self.folder / IDENTITY).read_text(encoding="utf-8"))
        except FileNotFoundError:
            strange = sorted(
                path.name for path in self.folder.iterdir() if path.name != LOCK and path.suffix != ".draft"
            )
            if strange:
                message = f"{self.folder} is where finished parts go, and it holds {strange[0]}. {remedy}"
                raise InputError(message) from None
            return
        except ValueError:
            there = {}
        wanted = json.loads(self._text)
        if there != wanted:
            differ = [name for name in identity if there.get(name) != wanted[name]]
            message = f"{self.folder} holds parts of another press: {', '.join(differ)} differ. {remedy}"
            raise InputError(message)

    def load(self, stem: str) -> pl.DataFrame | None:
        """Return the answers to a part; None when they are missing or damaged."""
        path = self._kept.get(stem)
        if path is None:
            return None
        try:
            content = path.read_bytes()
        except OSError:
            return None
        return pl.read_parquet(io.BytesIO(content)) if path == self._place(stem, content) else None

    def keep(self, stem: str, answers: pl.DataFrame) -> None:
        """Write the answers to a part.

        Raises:
            OSError: it cannot be written.
        """
        stream = io.BytesIO()
        answers.write_parquet(stream, compression="lz4", statistics=False)
        content = stream.getvalue()
        self._write(self._place(stem, content).name, content)

    def find(self, stem: str) -> Path | None:
        """Return the place of a file that is kept and whole."""
        path = self._kept.get(stem)
        return path if path is not None and path == self._place(stem, path) else None

    def draft(self, stem: str) -> Path:
        """Return a place to write something to that is not finished."""
        return self.folder / f"{stem}.draft"

    def adopt(self, stem: str, draft: Path) -> Path:
        """Keep a draft that is finished, and return its place."""
        return draft.replace(self._place(stem, draft))

    def remove(self) -> None:
        """Remove all that was kept, and nothing that is not ours."""
        for path in self.folder.iterdir():
            if path.suffix == ".draft" or path.name in {IDENTITY, LOCK} or _KEPT.fullmatch(path.name):
                path.unlink()
        self.close()
        if not any(self.folder.iterdir()):
            self.folder.rmdir()

    def close(self) -> None:
        """Let others in."""
        self._lock.close()

    def _place(self, stem: str, content: bytes | Path) -> Path:
        digest = hashlib.sha256(f"{self._text}{stem}\n".encode())
        if isinstance(content, bytes):
            digest.update(content)
        else:
            with content.open("rb") as stream:
                hashlib.file_digest(stream, lambda: digest)
        return self.folder / f"{stem}-{digest.hexdigest()}.parquet"

    def _write(self, name: str, content: bytes) -> None:
        draft = self.folder / f"{name}.draft"
        draft.write_bytes(content)
        draft.replace(self.folder / name)


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
