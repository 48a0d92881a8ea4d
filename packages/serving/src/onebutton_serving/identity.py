"""Which history a server follows, as it says at `/v1/model`: so nobody takes the server of another pipeline or folder for theirs.

No path is told, because everybody who reaches a server can read it: a folder is told by its digest.
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from pathlib import Path
from typing import Any


@dataclass(frozen=True)
class Identity:
    """What a server serves.

    Attributes:
        pipeline: whose model.
        folder: `folder_digest` of its release store; empty when unknown, as where a store is mounted under several paths.
        store: the id that the first deployment gave the release store; empty when unknown.
    """

    pipeline: str
    folder: str = ""
    store: str = ""

    def instead_of(self, ours: Identity) -> str:
        """Say what is served instead of ours; empty when it may be ours. What one of both does not know is not compared."""
        words = f"serves pipeline {self.pipeline}"
        if self.folder and ours.folder and self.folder != ours.folder:
            return f"{words} from ANOTHER FOLDER"
        if self.pipeline != ours.pipeline:
            return f"{words}, not {ours.pipeline}"
        if self.store and ours.store and self.store != ours.store:
            return f"{words} from ANOTHER RELEASE STORE"
        return ""


def folder_digest(url: str) -> str:
    """Return a short digest of where a release store is, `s3://bucket/folder` or a folder: two stores of one machine differ."""
    where = url if "://" in url else str(Path(url).resolve())
    return hashlib.sha256(where.encode()).hexdigest()[:16]


def read_identity(answer: Any) -> Identity | None:
    """Read what `/v1/model` answered; None with a server of one fixed release, which follows nothing.

    Raises:
        KeyError, TypeError: it is no answer of a server of ours.
    """
    follows = answer["follows"]
    return None if follows is None else Identity(**{name: str(text) for name, text in follows.items()})
