"""Data that no stage makes: git holds a `.dvc` file with its digest, and DVC keeps the data itself."""

from __future__ import annotations

import hashlib
import json
import os
import posixpath
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from onebutton_workbench.files import read_yaml
from onebutton_workbench.git import names

FOLDER = ".dir"  # how the digest of a folder ends


@dataclass(frozen=True)
class Tracked:
    """A file or a folder that a `.dvc` file names; paths are relative to the root.

    Attributes:
        file: the `.dvc` file.
        path: the data.
        md5: DVC's digest of it; empty where the `.dvc` is of a time in which DVC computed another.
    """

    file: str
    path: str
    md5: str


def tracked(root: Path, *, new: bool = False) -> list[Tracked]:
    """Read every `.dvc` file in git that is here; what it names outside the checkout is left out.

    Args:
        root: of the checkout.
        new: whether those count that are not added yet.

    Raises:
        InputError: one cannot be read, or this is no checkout.
    """
    which = ("--cached", "--others", "--exclude-standard") if new else ("--cached",)
    listed = names("ls-files", "-z", *which, "--deduplicate", "--", "*.dvc", folder=root)
    return [one for file in listed if (root / file).is_file() for one in _read(file, root)]


def _read(file: str, root: Path) -> Iterable[Tracked]:
    content = read_yaml(root / file)
    for out in content.get("outs") or []:
        path = posixpath.normpath(posixpath.join(posixpath.dirname(file), content.get("wdir") or "", out["path"]))
        if not path.startswith(("/", "../")) and "://" not in out["path"]:
            yield Tracked(file, path, str(out.get("md5", "")) if out.get("hash") == "md5" else "")


def digest_of_file(file: Path) -> str:
    """Digest a file as DVC does."""
    with file.open("rb") as stream:
        return hashlib.file_digest(stream, "md5").hexdigest()


def digest_of_list(digests: dict[str, str]) -> str:
    """Digest a folder as DVC does, which is the list of its files with their digests.

    Args:
        digests: of each file, by its path in the folder.
    """
    listed = [{"md5": digests[path], "relpath": path} for path in sorted(digests)]
    return hashlib.md5(json.dumps(listed, sort_keys=True).encode()).hexdigest() + FOLDER  # noqa: S324  DVC's own hash


def files_in(folder: Path) -> dict[str, Path]:
    """List every file of a folder, however deep, by its path in it."""
    places = (Path(place, name) for place, _, found in os.walk(folder) for name in found)
    return {place.relative_to(folder).as_posix(): place for place in places}


def signature(path: Path) -> str:
    """Write down, without reading what is in it, what of a file or a folder changes when its content does."""
    found = files_in(path) if path.is_dir() else {"": path}
    facts = [(name, file.stat()) for name, file in sorted(found.items())]
    lines = [f"{name} {fact.st_mtime_ns} {fact.st_size} {fact.st_ino}" for name, fact in facts]
    return hashlib.sha256("\n".join(lines).encode(errors="surrogateescape")).hexdigest()[:16]
