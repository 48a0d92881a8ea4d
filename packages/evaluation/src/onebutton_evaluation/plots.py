"""List the plots that the stages of a pipeline declare: no other is written or drawn, as nobody would know of it."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path
from typing import Any


def declared_plots(file: Path = Path("dvc.yaml")) -> dict[Path, dict[str, Any]]:
    """Read what a `dvc.yaml` says of each plot, such as its `title`, by its path."""
    import yaml

    stages = yaml.safe_load(file.read_text(encoding="utf-8"))["stages"] if file.is_file() else {}
    entries: Iterable[Any] = (entry for stage in stages.values() for entry in stage.get("plots", []))
    pairs = ((entry, {}) if isinstance(entry, str) else next(iter(entry.items())) for entry in entries)
    return {Path(path): said or {} for path, said in pairs}
