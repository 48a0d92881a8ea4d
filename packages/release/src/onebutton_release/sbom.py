"""A bill of materials in CycloneDX: uv's own export of locked packages, and the licence that each says it is under."""

import json
import subprocess
from contextlib import suppress
from importlib import metadata
from pathlib import Path

from onebutton_contracts.errors import require
from onebutton_tracking.commit import git_environment

SBOM = "sbom.cdx.json"
SERVER = "onebutton-serving"


def licenses(facts: metadata.PackageMetadata) -> str:
    """Read what a package says of its licence: an SPDX expression, else classifiers, else the first line of free text."""
    if expression := facts.get_all("License-Expression"):
        return str(expression[0])
    classifiers = [text.rpartition(" :: ")[2] for text in facts.get_all("Classifier", []) if text.startswith("License")]
    stated = " AND ".join(name for name in classifiers if name != "OSI Approved")
    free = [line.strip() for text in facts.get_all("License", []) for line in text.splitlines() if line.strip()]
    return stated or next(iter(free), "").removeprefix("UNKNOWN")


def bill_of_materials(root: Path, member: str = SERVER) -> str:
    """List in CycloneDX, as uv exports it, every distribution that a member is installed with, and the licence of each.

    The serial number and the time of the export are left out, so that the same lock gives the same bytes. What is for another
    platform, and so not installed here, has no licence in it. An empty member stands for every member and tool.
    """
    which = ["--package", member, "--no-dev"] if member else ["--all-packages", "--all-groups"]
    command = ["uv", "export", "--format", "cyclonedx1.5", *which, "--frozen", "--quiet"]
    done = subprocess.run(command, cwd=root, env=git_environment(), capture_output=True, text=True, check=False)
    what = member or "this repository"
    require(not done.returncode, f"uv could not list what {what} is made of: {done.stderr.strip()[-200:]}")
    content = json.loads(done.stdout)
    content.pop("serialNumber", None)
    content["metadata"].pop("timestamp", None)
    for component in content.get("components", []):
        with suppress(metadata.PackageNotFoundError):
            facts = metadata.metadata(component["name"])
            if text := licenses(facts):  # an expression of SPDX, or whatever else a package calls it
                spdx = "License-Expression" in facts
                component["licenses"] = [{"expression": text} if spdx else {"license": {"name": text}}]
    return json.dumps(content, indent=1) + "\n"
