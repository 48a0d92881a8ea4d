"""Turn a fresh fork into the team's: name, owner and address, wherever the repo says them. The work of `make adopt`.

The libraries keep their names, as any library does that a team uses and another maintains, so that upgrades merge.
"""

from __future__ import annotations

import tomllib
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path

from onebutton_contracts.errors import InputError
from onebutton_workbench.files import read_texts, write_texts
from onebutton_workbench.git import call, check_clean, git, names
from onebutton_workbench.members.identity import (
    Identity,
    adopted,
    check_name,
    check_owner,
    home_of,
    identity_of,
    logged,
    readdressed,
    upstream_identity,
)
from onebutton_workbench.members.manifest import MANIFEST, Manifest, parse_manifest, read_manifest, with_value
from onebutton_workbench.members.remove import remove
from onebutton_workbench.members.upstream import fetch, find_baseline
from onebutton_workbench.workspace import members

PATIENCE = 30.0  # seconds that upstream has for an answer: adoption works without one


def project_name(texts: Mapping[str, str]) -> str:
    """Read the name of the root project."""
    return str(tomllib.loads(texts["pyproject.toml"])["project"]["name"])


def locked_names(texts: Mapping[str, str]) -> set[str]:
    """Read the names of the distributions that are used here, the root project left out."""
    return {package["name"] for package in tomllib.loads(texts["uv.lock"])["package"]} - {project_name(texts)}


def plan(texts: Mapping[str, str], after: Identity, commit: str) -> dict[str, str]:
    """Compute every text that an adoption changes.

    Args:
        texts: of every file in git, by path.
        after: whose repo it becomes.
        commit: of upstream, that is in here.

    Returns:
        The texts that differ; none when the repo is adopted so already.
    """
    manifest = parse_manifest(texts[MANIFEST])
    before = replace(identity_of(manifest), name=project_name(texts))
    upstream = upstream_identity(manifest.upstream)
    new = {path: adopted(path, text, before, after) for path, text in texts.items()}
    new = {path: readdressed(path, text, upstream, after) for path, text in new.items()}  # what came in since
    if before != after:
        came_from = f"<{manifest.url}>" + (f" at {commit[:7]}" if commit else "")
        new["CHANGELOG.md"] = logged(new["CHANGELOG.md"], after, came_from)
    for table, key, text in (
        ("upstream", "commit", commit),
        ("team", "name", after.name),
        ("team", "owner", after.owner),
        ("team", "url", after.url),
    ):
        new[MANIFEST] = with_value(new[MANIFEST], table, key, text)
    return {path: text for path, text in new.items() if text != texts[path]}


def baseline(root: Path, url: str) -> tuple[str, str]:
    """Find the upstream commit that is in here.

    Returns:
        The commit, and a remark where upstream did not answer: then a fork takes its own newest commit for it, and a repo
        of a single commit, which was made from a template, none.
    """
    try:
        return find_baseline(root, fetch(root, url, PATIENCE), "").commit, ""
    except InputError as error:
        forked = len(git("rev-list", "--max-count=2", "HEAD", folder=root).split()) > 1
        remark = f"NOT RUN: asking upstream which of its commits is in here: {error}. `make upgrade` asks again"
        return git("rev-parse", "HEAD", folder=root) if forked else "", remark


def home(root: Path, manifest: Manifest, name: str, owner: str) -> str:
    """Find the address of the team's repo: the one that was found before, unless that was a guess; else that of `origin`."""
    upstream = upstream_identity(manifest.upstream)
    if manifest.home not in {"", home_of("", manifest.name, manifest.owner, upstream)}:
        return manifest.home
    origin = call("config", "--get", "remote.origin.url", folder=root).stdout.strip()
    return home_of(origin, name, owner, upstream)


def describe(before: Mapping[str, str], after: Mapping[str, str]) -> list[str]:
    """List each changed file with the lines that it did not have before."""
    width = max(map(len, after), default=0)
    lines = []
    for path in sorted(after):
        old = set(before[path].splitlines())
        new = [line for line in after[path].splitlines() if line not in old]
        lines += [f"  {'' if number else path:<{width}}  {line.strip()}" for number, line in enumerate(new)]
    return lines


def sample_pipelines(root: Path, manifest: Manifest, choice: str) -> list[str]:
    """List the pipelines that leave with an adoption.

    Args:
        root: of the repo.
        manifest: of the repo.
        choice: as typed; `remove` takes every pipeline out.

    Raises:
        InputError: the choice is another, or the repo was adopted before: its pipelines may be the team's by now.
    """
    if not choice:
        return []
    if choice != "remove":
        message = (
            f"SAMPLES={choice} is not understood: SAMPLES=remove takes the sample pipelines out, without it they stay"
        )
        raise InputError(message)
    here = [member.path.name for member in members(root) if member.is_pipeline]
    if manifest.name:
        message = (
            f"this is {manifest.name} already, so its pipelines may be yours and none is taken out. "
            f"`make remove MEMBER={','.join(here) or 'name'}` takes out those that you name"
        )
        raise InputError(message)
    return here


def adopt(root: Path, name: str, owner: str, samples: str = "") -> int:
    """Change every file that says whose repo this is, and print each.

    Args:
        root: of the repo.
        name: that the project gets.
        owner: who is asked to review.
        samples: `remove` takes the sample pipelines out as well.

    Raises:
        InputError: a value is refused, or something is not committed; nothing was changed.
    """
    manifest = read_manifest(root)
    leaving = sample_pipelines(root, manifest, samples)
    upstream = upstream_identity(manifest.upstream)
    texts = read_texts(root, names("ls-files", "-z", folder=root))
    check_name(name, upstream, locked_names(texts))
    check_owner(owner, upstream)
    after = Identity(name, owner, home(root, manifest, name, owner))
    if not plan(texts, after, manifest.commit):
        print(f"adopt: this is {name} of {owner} already; nothing was changed")
        return 0
    check_clean(root, "adopt")
    if leaving:
        remove(",".join(leaving), root)
        texts = read_texts(root, [path for path in texts if (root / path).is_file()])
    commit, remark = (manifest.commit, "") if manifest.commit else baseline(root, manifest.url)
    changed = plan(texts, after, commit)
    write_texts(root, changed)
    print(*describe(texts, changed), sep="\n")
    if remark:
        print(f"adopt: {remark}")
    print(
        f"adopt: this is {name} of {owner} now, cloned from {after.url}: {len(changed)} files changed, none committed.",
        f"Next: `make check`, then `git commit --all --message 'chore: adopt as {name}'`. `make upgrade` brings what upstream",
        "does from now on (the libraries keep their names, so that it merges), `make remove` takes out what you do not need.",
        sep="\n",
    )
    return 0
