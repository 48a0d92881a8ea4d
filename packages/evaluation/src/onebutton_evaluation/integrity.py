"""Find files that were changed since their stage read or wrote them: `dvc.lock` holds the digest of each."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

from onebutton_contracts.dvc_files import read_stages

VERBS = {"deps": "read", "outs": "wrote"}  # the sides of a stage


def changed_files(folder: Path) -> list[str]:
    """Name every file that differs from what its stage read or wrote.

    Files that are not here, such as data in a fresh clone, are left out: a gate that needs them says so.

    Raises:
        InputError: there is no `dvc.lock`, or it is damaged.
    """
    found = changed(
        read_stages(folder / "dvc.lock"),
        lambda path: (folder / path).read_bytes() if (folder / path).is_file() else None,
    )
    return [f"{path} is not what the stage {stage} {verb}" for path, (stage, verb) in sorted(found.items())]


def changed(
    stages: Mapping[str, Any], read: Callable[[str], bytes | None], sides: Sequence[str] = tuple(VERBS)
) -> dict[str, tuple[str, str]]:
    """Find the files that differ from their digests in a `dvc.lock`.

    Args:
        stages: as the lock has them.
        read: returns the content of a file, or None where it is not there.
        sides: `deps`, `outs` or both.

    Returns:
        By path the stage, and whether it read or wrote the file otherwise.
    """
    digests: dict[str, str | None] = {}
    found: dict[str, tuple[str, str]] = {}
    for side in sides:
        for name, stage in stages.items():
            for entry in stage.get(side, []):
                path = entry["path"]
                if path.startswith(".code/"):
                    continue  # fingerprints are compared by `make status`
                if path not in digests:
                    content = read(path)
                    digests[path] = None if content is None else hashlib.md5(content).hexdigest()  # noqa: S324  DVC's own
                if digests[path] not in {None, entry["md5"]}:
                    found[path] = (name, VERBS[side])
    return found
