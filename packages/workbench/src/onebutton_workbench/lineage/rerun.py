"""Which stages would rerun after a change: those whose code reaches a changed module, or whose inputs changed.

It is said from the names of files alone, so a comment counts too. `make run` looks at the meaning, and reruns less.
"""

from __future__ import annotations

import posixpath
from collections import defaultdict
from collections.abc import Sequence
from pathlib import Path, PurePosixPath

from onebutton_contracts.errors import InputError
from onebutton_workbench.lineage.imports import Imports, read_imports
from onebutton_workbench.lineage.stages import Stage, dvc_files, read_stages
from onebutton_workbench.workspace import drafts


def stages_to_rerun(files: Sequence[str], root: Path) -> dict[str, str]:
    """Find the stages that changed files reach.

    Args:
        files: that changed, relative to the root.
        root: of the workspace.

    Returns:
        Each stage as DVC addresses it, such as `pipelines/flight_delays/dvc.yaml:train`, with the reason.

    Raises:
        InputError: a `dvc.yaml`, or a module that a stage reaches, cannot be read. Of a draft that is the reason.
    """
    if not files:
        return {}
    imports, folders = read_imports(root), drafts(root)
    changed = _changed_modules(files, imports, root)
    reasons = {}
    for file in dvc_files(root):
        place = file.relative_to(root)
        try:
            for stage in read_stages(file):
                if why := _changed_input(stage, place.parent, files) or _changed_code(stage, changed, imports):
                    reasons[f"{place.as_posix()}:{stage.name}"] = why
        except InputError as error:
            if place.parent.as_posix() not in folders:
                raise
            reasons[place.as_posix()] = f"cannot be read: {str(error).replace(f'{root}/', '')}"
    return reasons


def _changed_modules(files: Sequence[str], imports: Imports, root: Path) -> set[str]:
    """Find the modules that changed files touch; of a deleted one, and of data beside the code, those in the nearest folder."""
    modules = {file.relative_to(root).as_posix(): name for name, file in imports.files.items()}
    beside: dict[str, set[str]] = defaultdict(set)
    for file, name in modules.items():
        beside[posixpath.dirname(file)].add(name)
    changed: set[str] = set()
    for file in files:
        around = next((str(folder) for folder in PurePosixPath(file).parents if str(folder) in beside), "")
        changed |= {modules[file]} if file in modules else beside[around]
    return changed


def _changed_input(stage: Stage, folder: Path, files: Sequence[str]) -> str:
    """Say which file changed that a stage reads, or that says what it is."""
    for file in ("dvc.yaml", "params.yaml"):
        if (folder / file).as_posix() in files:
            return f"changed: {file}"
    for dep in stage.deps:
        path = posixpath.normpath((folder / stage.wdir / dep).as_posix())
        if any(file in {path, f"{path}.dvc"} or file.startswith(f"{path}/") for file in files):
            return f"reads {dep}"
    return ""


def _changed_code(stage: Stage, changed: set[str], imports: Imports) -> str:
    """Say which changed module a stage runs or reaches."""
    try:
        reached = changed & imports.reached(stage.modules)[0]
    except KeyError:  # `make lint` refuses what is no module here
        return ""
    return f"runs {max(reached)}" if reached else ""
