"""A bill of materials in CycloneDX: uv's own export of locked packages, and the licence that each says it is under."""

from __future__ import annotations

import json
import subprocess
from importlib import metadata
from pathlib import Path
from typing import Any

from onebutton_contracts.errors import InputError
from onebutton_tracking.commit import git_environment

SBOM = "sbom.cdx.json"
MEMBER = "onebutton-serving"


def licenses(facts: metadata.PackageMetadata) -> str:
    """Read what a package says of its licence: an SPDX expression, else classifiers, else the first line of free text."""
    if expression := facts.get_all("License-Expression"):
        return str(expression[0])
    classifiers = [text.rpartition(" :: ")[2] for text in facts.get_all("Classifier", []) if text.startswith("License")]
    stated = " AND ".join(name for name in classifiers if name != "OSI Approved")
    free = [line.strip() for text in facts.get_all("License", []) for line in text.splitlines() if line.strip()]
    return stated or next(iter(free), "").removeprefix("UNKNOWN")


def bill_of_materials(root: Path, member: str = MEMBER) -> str:
    """List every distribution that a member is installed with, with its version, digests and licence.

    The serial number and the time of the export are left out, so that the same lock gives the same bytes. What is for another
    platform, and so not installed here, has no licence in it.

    Args:
        root: of the workspace.
        member: the server when left out; every member and tool when empty.
    """
    which = ["--package", member, "--no-dev"] if member else ["--all-packages", "--all-groups"]
    command = ["uv", "export", "--format", "cyclonedx1.5", *which, "--frozen", "--quiet"]
    done = subprocess.run(command, cwd=root, env=git_environment(), capture_output=True, text=True, check=False)
    try:
        content = json.loads(done.stdout)
    except ValueError:
        said = done.stderr.strip().splitlines() or ["uv said nothing"]
        message = f"uv could not list what {member or 'this repository'} is made of: {said[-1]}"
        raise InputError(message) from None
    content.pop("serialNumber", None)
    content.get("metadata", {}).pop("timestamp", None)
    for component in content.get("components", []):
        if stated := _stated(component["name"]):
            component["licenses"] = [stated]
    return json.dumps(content, indent=1) + "\n"


def _stated(name: str) -> dict[str, Any]:
    """Write a licence as CycloneDX wants it: an expression of SPDX, or whatever else a package calls it."""
    try:
        facts = metadata.metadata(name)
    except metadata.PackageNotFoundError:
        return {}
    text = licenses(facts)
    return {"expression": text} if "License-Expression" in facts else {"license": {"name": text}} if text else {}
