"""Data that no stage makes: git holds a `.dvc` file with its digest, and DVC keeps the data itself."""

import posixpath
from dataclasses import dataclass
from pathlib import Path

from onebutton_contracts.dvc_files import read_yaml
from onebutton_workbench.git import listed


@dataclass(frozen=True)
class Tracked:
    """A file or a folder that a `.dvc` file names; paths are relative to the root."""

    file: str  # the `.dvc` file
    path: str  # the data
    md5: str  # DVC's digest of it; empty where the `.dvc` is of a time in which DVC computed another


def tracked(root: Path) -> list[Tracked]:
    """Read every `.dvc` file that git has or is about to have; what they name outside the checkout is left out."""
    found = []
    for file in listed(root, "*.dvc"):
        content = read_yaml(root / file)
        for out in content.get("outs") or []:
            path = posixpath.normpath(posixpath.join(posixpath.dirname(file), content.get("wdir") or "", out["path"]))
            if not path.startswith(("/", "../")) and "://" not in out["path"]:
                found.append(Tracked(file, path, str(out.get("md5", "")) if out.get("hash") == "md5" else ""))
    return found
