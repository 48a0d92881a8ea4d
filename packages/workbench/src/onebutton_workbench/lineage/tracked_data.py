"""Data that no stage makes: git holds a `.dvc` file with its digest, and DVC keeps the data itself."""

from __future__ import annotations

import hashlib
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
    """Read every `.dvc` file that git has or is about to have; what they name outside the checkout is left out.

    Raises:
        InputError: one cannot be read, or this is no checkout.
    """
    found = []
    for file in listed(root, "*.dvc"):
        content = read_yaml(root / file)
        for out in content.get("outs") or []:
            path = posixpath.normpath(posixpath.join(posixpath.dirname(file), content.get("wdir") or "", out["path"]))
            if not path.startswith(("/", "../")) and "://" not in out["path"]:
                found.append(Tracked(file, path, str(out.get("md5", "")) if out.get("hash") == "md5" else ""))
    return found


def signature(path: Path) -> str:
    """Write down, without reading what is in it, what of a file or a folder changes when its content does."""
    found = [file for file in path.rglob("*") if not file.is_dir()] if path.is_dir() else [path]
    facts = [(file.relative_to(path).as_posix(), file.stat()) for file in sorted(found)]
    lines = [f"{name} {fact.st_mtime_ns} {fact.st_size} {fact.st_ino}" for name, fact in facts]
    return hashlib.sha256("\n".join(lines).encode(errors="surrogateescape")).hexdigest()[:16]
