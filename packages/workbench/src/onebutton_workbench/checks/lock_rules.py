"""Refuse packages that a company which forks this could not build on.

OB302: `docs/checks/` has its page. Where packages come from every button asks before it installs one: OB421, in `bootstrap.py`.

What says nothing of its licence, or is allowed in spite of it, stands with the reason under `[tool.onebutton.licenses]` in the
root's pyproject.toml.
"""

import re
from collections.abc import Iterable, Iterator
from importlib import metadata
from pathlib import Path

from onebutton_release.sbom import licenses
from onebutton_workbench.findings import Finding
from onebutton_workbench.lineage.fingerprint import locked_versions
from onebutton_workbench.workspace import members, read_toml

# Copyleft that reaches over the network, source that is not open, use that is not free. The plain GPL is no finding: it binds who
# passes programs on, and a team that does so asks its lawyers anyway.
DENIED = re.compile(
    r"\bBUSL|\bBSL-1\.1|Business Source|\bAGPL|Affero|\bSSPL|Server Side Public|Elastic License|Elastic-2|Commons Clause"
    r"|PolyForm|\bCC-BY-NC|Non-?Commercial|Proprietary|\bCommercial\b|All rights reserved",
    re.IGNORECASE,
)


def is_denied(expression: str) -> bool:
    """Whether no way of reading an expression is free of what is denied: of `A OR B` one may choose."""
    return all(DENIED.search(choice) for choice in re.split(r"\s+OR\s+", expression))


def denied(names: Iterable[str]) -> Iterator[Finding]:
    """Look at some distributions."""
    mend = "another package; or its name and the reason under [tool.onebutton.licenses] in pyproject.toml"
    for name in sorted(names):
        try:
            said = licenses(metadata.metadata(name))
        except metadata.PackageNotFoundError:
            continue  # for another platform, or of a group that is not installed
        if not said:
            yield Finding("OB302", "uv.lock", f"{name} does not say under which licence it is", mend)
        elif is_denied(said):
            words = f"{name} is under {said!r}, which a company that forks this may not accept"
            yield Finding("OB302", "uv.lock", words, mend)


def check_licenses(root: Path) -> Iterator[Finding]:
    """Hold every package of the lock to the rule on licences; a member is nobody else's, and may say nothing."""
    reasons = read_toml(root / "pyproject.toml")["tool"].get("onebutton", {}).get("licenses", {})
    locked = locked_versions(root)
    yield from denied(locked.keys() - {member.name for member in members(root)} - reasons.keys())
