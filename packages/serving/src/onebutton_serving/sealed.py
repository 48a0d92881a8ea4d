"""A sealed release: a folder that never changes, because `MANIFEST.sha256` holds the digest of every file in it.

The manifest is in the format of `sha256sum`, so `sha256sum --check MANIFEST.sha256` checks a release where nothing of ours is
installed. The standard library alone: rolling back at night must not wait for imports.
"""

import hashlib
import re
from pathlib import Path

MANIFEST = "MANIFEST.sha256"
VERSION = re.compile(r"\d{8}-[0-9a-f]{8}")  # the day of the commit, and the start of a digest of its results
_LINE = re.compile(r"(?P<digest>[0-9a-f]{64})  (?P<name>[^/\0][^\0]*)")


class ServingError(Exception):
    """Something of a server, or of what it serves, that a person can mend: told in one line, never with a traceback."""

    for_people = True  # a button ends with the message alone


class ReleaseError(ServingError):
    """A release cannot be used; the message says which, why, and what to do."""


def check_version(version: str) -> str:
    """Return a version that may become part of a path: a history must not be able to name a folder elsewhere.

    Raises:
        ReleaseError: it is none.
    """
    if not VERSION.fullmatch(version):
        raise ReleaseError(f"{version!r} is no version of a release, such as 20260101-0123abcd")
    return version


def digest_of(path: Path) -> str:
    """Return the SHA-256 of a file."""
    with path.open("rb") as stream:
        return hashlib.file_digest(stream, "sha256").hexdigest()


def seal(folder: Path) -> None:
    """Write the manifest over every file of a release, and make them read-only.

    Raises:
        ReleaseError: a file's name would not fit a line, or it is a link: that could change without its digest.
    """
    lines = []
    for path in _files(folder):
        name = path.relative_to(folder).as_posix()
        if path.is_symlink() or "\n" in name:
            raise ReleaseError(f"{name}: a link, or a name of two lines, cannot be sealed")
        lines.append(f"{digest_of(path)}  {name}\n")
        path.chmod(0o444)
    draft = folder / f"{MANIFEST}.draft"
    draft.write_text("".join(lines), encoding="utf-8")
    draft.chmod(0o444)
    draft.replace(folder / MANIFEST)


def read_manifest(folder: Path) -> dict[str, str]:
    """Return the digest of each file by its name.

    Raises:
        ReleaseError: there is no manifest, or it is damaged.
    """
    try:
        lines = (folder / MANIFEST).read_text(encoding="utf-8").splitlines()
    except (OSError, UnicodeDecodeError) as error:
        raise ReleaseError(
            f"release {folder.name}: {MANIFEST} cannot be read ({error}), so it was never sealed or is damaged"
        ) from None
    found = [_LINE.fullmatch(line) for line in lines]
    digests = {match["name"]: match["digest"] for match in found if match}
    if not digests or len(digests) != len(lines) or any(".." in Path(name).parts for name in digests):
        raise ReleaseError(f"release {folder.name}: {MANIFEST} is damaged")
    return digests


def check(folder: Path) -> None:
    """Refuse a release that is not what was sealed.

    Raises:
        ReleaseError: a file is missing, changed or was added; the message names up to three.
    """
    digests = read_manifest(folder)
    here = {path.relative_to(folder).as_posix() for path in _files(folder)}
    faults = [f"{name} was added" for name in sorted(here - {*digests})]
    for name, digest in digests.items():
        try:
            if digest_of(folder / name) != digest:
                faults.append(f"{name} was changed")
        except OSError:
            faults.append(f"{name} is missing")
    if faults:
        raise ReleaseError(f"release {folder.name} is damaged: {', '.join(faults[:3])}")


def _files(folder: Path) -> list[Path]:
    found = (path for path in folder.rglob("*") if path.is_symlink() or path.is_file())
    return sorted(path for path in found if path.name not in {MANIFEST, f"{MANIFEST}.draft"})
