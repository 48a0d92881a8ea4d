"""Find files that were changed since their stage read or wrote them: `dvc.lock` holds the digest of each."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from onebutton_contracts.errors import InputError


def _stages(folder: Path) -> dict[str, Any]:
    import yaml

    file = folder / "dvc.lock"
    try:
        return dict(yaml.safe_load(file.read_text(encoding="utf-8"))["stages"])
    except OSError:
        message = f"{file} is missing: the pipeline was never run to its end. `make run` does it"
    except (yaml.YAMLError, TypeError, KeyError):
        message = f"{file} is damaged. `git checkout {file}` brings it back, `make run` writes it again"
    raise InputError(message)


def locked_sizes(folder: Path) -> dict[str, int]:
    """Return the size in bytes of every output, as `dvc.lock` has it; nothing where there is none."""
    if not (folder / "dvc.lock").is_file():
        return {}
    return {
        out["path"]: out["size"] for stage in _stages(folder).values() for out in stage.get("outs", []) if "size" in out
    }


def changed_files(folder: Path) -> list[str]:
    """Name every file that differs from what its stage read or wrote.

    Files that are not here, such as data in a fresh clone, are left out: a gate that needs them says so.

    Raises:
        InputError: there is no `dvc.lock`, or it is damaged.
    """
    found = dict(_read(folder))
    return [f"{path} is not what the stage {stage} {verb}" for path, (stage, verb) in sorted(found.items())]


def _read(folder: Path) -> Iterator[tuple[str, tuple[str, str]]]:
    digests: dict[str, str] = {}
    stages = _stages(folder)
    for side, verb in (("deps", "read"), ("outs", "wrote")):  # who wrote it last: that is the one to name
        for name, stage in stages.items():
            for entry in stage.get(side, []):
                path = entry["path"]
                if path.startswith(".code/") or not (folder / path).is_file():
                    continue  # fingerprints are compared by `make status`
                if path not in digests:
                    digests[path] = hashlib.md5((folder / path).read_bytes()).hexdigest()  # noqa: S324  DVC's own
                if digests[path] != entry["md5"]:
                    yield path, (name, verb)
