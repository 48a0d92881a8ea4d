"""Remember that a pipeline's results are in MLflow, so that `make run` with nothing new spends no seconds on importing it.

`make run TRACK=only` does not read this and asks MLflow itself: there a run may have been deleted, or an older backup restored.
"""

from __future__ import annotations

import hashlib
import json
from dataclasses import asdict, dataclass
from pathlib import Path

from onebutton_tracking.store import shown

VIEW = "onebutton"  # what a link to the table of runs names, whose columns a tag of the experiment lists


@dataclass(frozen=True)
class Marker:
    """A run that MLflow was seen to hold, whole and once: of which `dvc.lock`, and what its tags said of the sources."""

    lock_digest: str
    run_id: str
    experiment_id: str
    dirty: bool
    sources: str


def _file(folder: Path, uri: str) -> Path:
    return _place(folder.parents[1], uri) / f"{folder.name}.json"


def _place(root: Path, uri: str) -> Path:
    """Name the folder of a store's markers, in DVC's temporary folder."""
    return root / ".dvc/tmp/onebutton-mlflow" / hashlib.sha256(shown(uri).encode()).hexdigest()[:12]


def seen_experiments(root: Path, uri: str) -> dict[str, str]:
    """List the experiments that a store was seen to hold, by pipeline."""
    files = sorted(_place(root, uri).glob("*.json"))
    found = {file.stem: recall(root / "pipelines" / file.stem, uri) for file in files}
    return {name: marker.experiment_id for name, marker in found.items() if marker}


def remember(folder: Path, uri: str, marker: Marker) -> None:
    """Write down what was seen of a pipeline."""
    path = _file(folder, uri)
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(asdict(marker)), encoding="utf-8")


def recall(folder: Path, uri: str) -> Marker | None:
    """Return what was last seen of a pipeline in a store; None when there is nothing, or it cannot be read."""
    try:
        return Marker(**json.loads(_file(folder, uri).read_text(encoding="utf-8")))
    except (OSError, ValueError, TypeError):
        return None
