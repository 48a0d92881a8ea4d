"""Refuse packages that a company may not build on: OB302.

Read are the metadata of what is installed, for every name in `uv.lock`. What says nothing of its licence, or is allowed in spite
of it, stands with the reason under `[tool.onebutton.licenses]` in the root's pyproject.toml.
"""

from __future__ import annotations

import re
import sys
from collections.abc import Iterable
from importlib import metadata
from pathlib import Path

from onebutton_contracts.errors import run_stage
from onebutton_workbench.findings import Finding, tell
from onebutton_workbench.lineage.fingerprint import locked_versions
from onebutton_workbench.workspace import ROOT, members, read_toml

# Copyleft that reaches over the network, source that is not open, use that is not free. The plain GPL is no finding: it binds who
# passes programs on, and a team that does so asks its lawyers anyway.
DENIED = re.compile(
    r"\bBUSL|\bBSL-1\.1|Business Source|\bAGPL|Affero|\bSSPL|Server Side Public|Elastic License|Elastic-2|Commons Clause"
    r"|PolyForm|\bCC-BY-NC|Non-?Commercial|Proprietary|\bCommercial\b|All rights reserved",
    re.IGNORECASE,
)


def licenses(distribution: metadata.Distribution) -> str:
    """Read under which licence a distribution says to be; empty when it does not say.

    The SPDX expression counts most, then the classifiers, then the first line of the field that people fill in freely.
    """
    facts = distribution.metadata
    if expression := facts.get_all("License-Expression"):
        return str(expression[0])
    classifiers = [text.split(" :: ")[-1] for text in facts.get_all("Classifier") or [] if text.startswith("License")]
    stated = [name for name in classifiers if name != "OSI Approved"]
    free = [line.strip() for text in facts.get_all("License") or [] for line in text.splitlines() if line.strip()]
    return " AND ".join(stated) or "".join(free[:1]).removeprefix("UNKNOWN")


def is_denied(expression: str) -> bool:
    """Whether no way of reading an expression is free of what is denied: of `A OR B` one may choose."""
    return all(DENIED.search(choice) for choice in re.split(r"\s+OR\s+", expression))


def check(names: Iterable[str], reasons: dict[str, str]) -> tuple[list[Finding], list[str]]:
    """Look at some distributions.

    Args:
        names: what the lock names.
        reasons: why some are allowed whatever they say.

    Returns:
        What must go, and the names that are not installed here and were not looked at.
    """
    findings, unseen = [], []
    for name in sorted(set(names) - set(reasons)):
        try:
            said = licenses(metadata.distribution(name))
        except metadata.PackageNotFoundError:
            unseen.append(name)
            continue
        if not said or is_denied(said):
            words = f"{name} is under {said!r}, which a company that forks this may not accept" if said else ""
            words = words or f"{name} does not say under which licence it is"
            mend = "another package; or its name and the reason under [tool.onebutton.licenses] in pyproject.toml"
            findings.append(Finding("OB302", "uv.lock", words, mend))
    return findings, unseen


def lint(root: Path = ROOT) -> int:
    """Print what must go; a part of `make lint`."""
    reasons = read_toml(root / "pyproject.toml")["tool"].get("onebutton", {}).get("licenses", {})
    own = {member.name for member in members(root)}  # a member is nobody else's, and may say nothing
    locked = set(locked_versions((root / "uv.lock").read_text(encoding="utf-8"))) - own
    findings, unseen = check(locked, reasons)
    not_seen = f"; {len(unseen)} are for other groups or platforms and were not looked at" if unseen else ""
    return tell(findings, f"every installed package of the lock may be built on{not_seen}")


if __name__ == "__main__":
    run_stage(lambda: sys.exit(lint()))
