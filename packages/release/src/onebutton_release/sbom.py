"""The bill of materials of what serves a release, in CycloneDX: uv's own export of the serving member's locked packages."""

from __future__ import annotations

import json
import subprocess
from pathlib import Path

from onebutton_contracts.errors import InputError
from onebutton_tracking.commit import git_environment

SBOM = "sbom.cdx.json"
MEMBER = "onebutton-serving"


def bill_of_materials(root: Path) -> str:
    """List every distribution that the server is installed with, with its version and digests.

    The serial number and the time of the export are left out, so that the same lock gives the same bytes.

    Raises:
        InputError: uv cannot export it.
    """
    command = [
        "uv",
        "export",
        "--format",
        "cyclonedx1.5",
        "--package",
        MEMBER,
        "--no-dev",
        "--frozen",
        "--quiet",
    ]
    done = subprocess.run(command, cwd=root, env=git_environment(), capture_output=True, text=True, check=False)
    try:
        content = json.loads(done.stdout)
    except ValueError:
        said = done.stderr.strip().splitlines() or ["uv said nothing"]
        message = f"uv could not list what the server is made of: {said[-1]}"
        raise InputError(message) from None
    content.pop("serialNumber", None)
    content.get("metadata", {}).pop("timestamp", None)
    return json.dumps(content, indent=1) + "\n"
