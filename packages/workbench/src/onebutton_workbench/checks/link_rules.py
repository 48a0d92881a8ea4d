"""Refuse links into a pipeline from outside of it: OB305. A team that removes the samples must find no dead link."""

from __future__ import annotations

import re
import sys
from collections.abc import Mapping
from pathlib import Path, PurePosixPath
from posixpath import normpath

from onebutton_contracts.errors import run_stage
from onebutton_workbench.files import read_texts
from onebutton_workbench.findings import Finding, tell
from onebutton_workbench.git import names
from onebutton_workbench.workspace import ROOT, drafts

LINK = re.compile(r"\]\(<?([^)#\s>]+)|^ *\[[^\]]+\]:\s+<?([^#\s>]+)", re.MULTILINE)


def check(pages: Mapping[str, str]) -> list[Finding]:
    """Find every link that leads from a page into a pipeline that the page is not part of.

    Args:
        pages: texts in Markdown, by their paths relative to the root.
    """
    findings = []
    for path, text in pages.items():
        for link in LINK.finditer(text):
            target = normpath((PurePosixPath(path).parent / (link[1] or link[2])).as_posix())
            kind, _, rest = target.partition("/")
            pipeline = f"pipelines/{rest.partition('/')[0]}/"
            if kind == "pipelines" and rest and not path.startswith(pipeline):
                place = f"{path}:{text.count(chr(10), 0, link.start()) + 1}"
                words = f"links to {target}, so the link is dead when {pipeline[:-1]} is removed"
                findings.append(
                    Finding("OB305", place, words, f"write `{target}` without a link, or link to a page of docs/")
                )
    return findings


def lint(root: Path = ROOT) -> int:
    """Print every such link; a part of `make lint`."""
    listed = names(
        "ls-files", "-z", "--cached", "--others", "--exclude-standard", "--deduplicate", "--", "*.md", folder=root
    )
    return tell(check(read_texts(root, listed)), "no page links into a pipeline from outside of it", drafts(root))


if __name__ == "__main__":
    run_stage(lambda: sys.exit(lint()))
