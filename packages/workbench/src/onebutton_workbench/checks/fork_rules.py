"""Refuse what a company that forks this could not build on, or would find broken.

| id | rule |
|---|---|
| OB302 | every package of `uv.lock` that is installed is under a licence that binds nobody |
| OB305 | no page links into a pipeline from outside of it, as a team may remove that |
| OB421 | every package of `uv.lock` is a member, or comes with a hash from a host that `package-hosts` lists |

What says nothing of its licence, or is allowed in spite of it, stands with the reason under `[tool.onebutton.licenses]` in the
root's pyproject.toml.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping
from importlib import metadata
from pathlib import Path
from posixpath import dirname, join, normpath

from onebutton_release.sbom import licenses
from onebutton_workbench.bootstrap import RELOCK, from_elsewhere
from onebutton_workbench.checks.rules import hold
from onebutton_workbench.files import read_texts
from onebutton_workbench.findings import Finding
from onebutton_workbench.git import listed
from onebutton_workbench.lineage.fingerprint import locked_versions
from onebutton_workbench.workspace import ROOT, members, read_toml

# Copyleft that reaches over the network, source that is not open, use that is not free. The plain GPL is no finding: it binds who
# passes programs on, and a team that does so asks its lawyers anyway.
DENIED = re.compile(
    r"\bBUSL|\bBSL-1\.1|Business Source|\bAGPL|Affero|\bSSPL|Server Side Public|Elastic License|Elastic-2|Commons Clause"
    r"|PolyForm|\bCC-BY-NC|Non-?Commercial|Proprietary|\bCommercial\b|All rights reserved",
    re.IGNORECASE,
)
LINK = re.compile(r"\]\(<?([^)#\s>]+)|^ *\[[^\]]+\]:\s+<?([^#\s>]+)", re.MULTILINE)
INTO_PIPELINE = re.compile(r"(pipelines/[^/]+)(/|$)")


def is_denied(expression: str) -> bool:
    """Whether no way of reading an expression is free of what is denied: of `A OR B` one may choose."""
    return all(DENIED.search(choice) for choice in re.split(r"\s+OR\s+", expression))


def check_licenses(names: Iterable[str]) -> Iterator[Finding]:
    """Look at some distributions."""
    for name in sorted(names):
        try:
            said = licenses(metadata.metadata(name))
        except metadata.PackageNotFoundError:
            continue  # for another platform, or of a group that is not installed
        if not said or is_denied(said):
            words = f"is under {said!r}, which a company that forks this may not accept"
            mend = "another package; or its name and the reason under [tool.onebutton.licenses] in pyproject.toml"
            yield Finding(
                "OB302", "uv.lock", f"{name} {words if said else 'does not say under which licence it is'}", mend
            )


def check_links(pages: Mapping[str, str]) -> Iterator[Finding]:
    """Find every link in pages, by their path, that leads into a pipeline that the page is not part of."""
    for path, text in pages.items():
        for link in LINK.finditer(text):
            target = normpath(join(dirname(path), link[1] or link[2]))
            into = INTO_PIPELINE.match(target)
            if into and not path.startswith(f"{into[1]}/"):
                line = text[: link.start()].count("\n") + 1
                words = f"links to {target}, so the link is dead when {into[1]} is removed"
                yield Finding(
                    "OB305", f"{path}:{line}", words, f"write `{target}` without a link, or link to a page of docs/"
                )


def check_locked(root: Path = ROOT) -> list[Finding]:
    """Hold every package of the lock to the rule on licences."""
    reasons = read_toml(root / "pyproject.toml")["tool"].get("onebutton", {}).get("licenses", {})
    own = {member.name for member in members(root)}  # a member is nobody else's, and may say nothing
    locked = set(locked_versions((root / "uv.lock").read_text(encoding="utf-8")))
    return list(check_licenses(locked - own - set(reasons)))


def check_all(root: Path = ROOT) -> list[Finding]:
    """Hold the lock and every page to the rules."""
    texts = [(root / name).read_text(encoding="utf-8") for name in ("uv.lock", "pyproject.toml")]
    found = (one.split(": ", 1) for one in from_elsewhere(*texts))
    hosts = [Finding("OB421", place, words, RELOCK) for place, words in found]
    return [*hosts, *check_locked(root), *check_links(read_texts(root, listed(root, "*.md")))]


if __name__ == "__main__":
    hold(check_all, "every installed package may be built on, and no page links into a pipeline from outside of it")
