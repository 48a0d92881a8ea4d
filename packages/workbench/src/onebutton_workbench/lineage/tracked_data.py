"""Data that no stage makes: git holds a `.dvc` file with its digest, and DVC keeps the data itself."""

import hashlib
from pathlib import Path
from posixpath import dirname, join, normpath
from typing import NamedTuple

from onebutton_contracts.dvc_files import read_yaml
from onebutton_workbench.git import listed


class Tracked(NamedTuple):
    """A file or a folder that a `.dvc` file names; paths are relative to the root."""

    file: str  # the `.dvc` file
    path: str  # the data
    md5: str  # DVC's digest of it; empty where the `.dvc` is of a time in which DVC computed another


def tracked(root: Path) -> list[Tracked]:
    """Read every `.dvc` file that git has or is about to have."""
    found = []
    for file in listed(root, "*.dvc"):
        for out in read_yaml(root / file).get("outs") or []:
            path = normpath(join(dirname(file), out["path"]))
            found.append(Tracked(file, path, out.get("md5", "") if out.get("hash") == "md5" else ""))
    return found


def md5_of(file: Path) -> str:
    """Digest a file as DVC does; `gone` where there is none."""
    return hashlib.md5(file.read_bytes()).hexdigest() if file.is_file() else "gone"  # noqa: S324  DVC's own hash
