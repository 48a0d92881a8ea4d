"""Remember that a pipeline's results are in MLflow, so that `make run` with nothing new spends no seconds on importing it.

`make run TRACK=only` does not read this and asks MLflow itself: there a run may have been deleted, or an older backup restored.
"""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass
from pathlib import Path

MARKER = Path(".code/tracked.json")  # ignored by git: it is about this clone


@dataclass(frozen=True)
class Marker:
    """A run that MLflow was seen to hold, whole and once.

    Attributes:
        uri: of the store, without a password.
        lock_digest: of the `dvc.lock`.
        dirty: whether its sources were in no commit.
        sources: their digest.
    """

    uri: str
    lock_digest: str
    run_id: str
    dirty: bool
    sources: str


def remember(folder: Path, marker: Marker) -> None:
    """Write a marker into a pipeline's folder."""
    path = folder / MARKER
    path.parent.mkdir(exist_ok=True)
    path.write_text(json.dumps(asdict(marker)), encoding="utf-8")


def recall(folder: Path, uri: str, lock_digest: str) -> Marker | None:
    """Return the marker of these results in this store; None when there is none, or it cannot be read."""
    try:
        marker = Marker(**json.loads((folder / MARKER).read_text(encoding="utf-8")))
    except (OSError, ValueError, TypeError):
        return None
    return marker if (marker.uri, marker.lock_digest) == (uri, lock_digest) else None
