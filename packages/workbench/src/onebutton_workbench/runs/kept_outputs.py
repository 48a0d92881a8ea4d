"""Keep the small results that are in git when a stage fails that would make them anew: DVC removes them before it runs.

DVC's own `persist: true` keeps them too, but such a stage is never taken from DVC's cache: going back to
parameters of before would train again what was trained already.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator
from contextlib import contextmanager
from pathlib import Path

from onebutton_workbench.lineage.stages import dvc_files, read_plan


def small_results(root: Path, without: Collection[str] = ()) -> list[Path]:
    """List what the stages write into git: outputs that DVC does not cache; some pipelines left out."""
    files = (file for file in dvc_files(root) if file.parent.name not in without)
    return [file.parent / path for file in files for stage in read_plan(file).stages for path in stage.in_git]


@contextmanager
def kept(root: Path, without: Collection[str] = ()) -> Iterator[None]:
    """Write back afterwards what was there before and is gone; whatever was made anew stays."""
    before = {path: path.read_bytes() for path in small_results(root, without) if path.is_file()}
    try:
        yield
    finally:
        for path, content in before.items():
            if not path.exists():
                path.parent.mkdir(parents=True, exist_ok=True)
                path.write_bytes(content)
