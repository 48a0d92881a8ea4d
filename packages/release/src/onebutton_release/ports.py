"""The port of each pipeline's own server on a laptop, so that several can be served side by side."""

from __future__ import annotations

import tomllib
import zlib
from pathlib import Path

from onebutton_contracts.errors import InputError

FIRST, COUNT = 8100, 700  # ports that are made from a name; 8000, 8080 and 8888 are what other programs take


def ports(root: Path) -> dict[str, int]:
    """Give each pipeline a port: the one that its `release.toml` declares, else one made from its name.

    A name always makes the same port. Where two make the same, or one that another pipeline declares, the later in the alphabet
    takes the next that is free.

    Raises:
        InputError: two pipelines declare the same port.
    """
    names = sorted(path.parent.name for path in root.glob("pipelines/*/dvc.yaml"))
    found: dict[str, int] = {}
    for name in names:
        port = _declared(root / "pipelines" / name / "release.toml")
        if port in found.values():
            other = next(known for known, taken in found.items() if taken == port)
            message = (
                f"{other} and {name} both say `port = {port}` in release.toml: their servers cannot both run on it"
            )
            raise InputError(message)
        if port:
            found[name] = port
    for name in names:
        if name not in found:
            taken = {*found.values()}
            start = zlib.crc32(name.encode()) % COUNT
            found[name] = next(port for at in range(COUNT) if (port := FIRST + (start + at) % COUNT) not in taken)
    return found


def _declared(file: Path) -> int:
    """Return the port that a `release.toml` declares, 0 when none; a file that is wrong is told by who reads all of it."""
    try:
        port = tomllib.loads(file.read_text(encoding="utf-8")).get("port", 0)
    except (OSError, ValueError):
        return 0
    return port if isinstance(port, int) else 0
