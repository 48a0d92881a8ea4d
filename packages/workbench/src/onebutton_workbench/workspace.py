"""The members of the workspace: what `[tool.uv.workspace]` in the root pyproject.toml lists."""

import re
import tomllib
from dataclasses import dataclass
from itertools import chain
from pathlib import Path
from typing import Any

from onebutton_contracts.errors import InputError, require

ROOT = Path(__file__).resolve().parents[4]


@dataclass(frozen=True)
class Member:
    """A package or a pipeline."""

    path: Path  # its folder, relative to the root
    name: str  # of its distribution, such as `onebutton-models`; spelt as `requires` spells it
    requires: frozenset[str] = frozenset()  # the names of the distributions that it declares, extras included
    # whether it is a pipeline still being tried out: its mistakes are told and stop nobody, and it cannot be deployed.
    # `draft = true` under `[tool.onebutton]` in its pyproject.toml says so.
    draft: bool = False
    # those of its tests, relative to the root, that read files of the whole repo, so that any change may break them.
    # `repo-tests = [...]` under `[tool.onebutton]` lists them.
    repo_tests: tuple[str, ...] = ()

    @property
    def is_pipeline(self) -> bool:
        """Pipelines are what stands in `pipelines/`."""
        return self.path.parts[0] == "pipelines"

    @property
    def module(self) -> str:
        """The package that it is imported as, such as `onebutton_models`."""
        return self.name.replace("-", "_")


def read_toml(path: Path) -> dict[str, Any]:
    """Read a TOML file; where it is none, the refusal names the line."""
    try:
        return tomllib.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise InputError(f"{path} cannot be read: {error}") from None


def member_paths(root: Path = ROOT) -> list[Path]:
    """List the folder of every member, relative to the root, in order."""
    patterns = read_toml(root / "pyproject.toml")["tool"]["uv"]["workspace"]["members"]
    return sorted({file.parent.relative_to(root) for one in patterns for file in root.glob(f"{one}/pyproject.toml")})


def members(root: Path = ROOT, within: str = "") -> list[Member]:
    """List every member, or those within a folder, in the order of their paths."""
    found = []
    for path in (path for path in member_paths(root) if path.is_relative_to(within)):
        content = read_toml(root / path / "pyproject.toml")
        project, ours = content.get("project", {}), content.get("tool", {}).get("onebutton", {})
        require("name" in project, f"{path}/pyproject.toml has no name under [project]")
        declared = [*project.get("dependencies", []), *chain(*project.get("optional-dependencies", {}).values())]
        requires = frozenset(map(distribution, declared))
        repo_tests = tuple(f"{path.as_posix()}/{test}" for test in ours.get("repo-tests", []))
        found.append(Member(path, distribution(project["name"]), requires, bool(ours.get("draft", False)), repo_tests))
    return found


def drafts(root: Path = ROOT) -> list[str]:
    """List the folders of the pipelines that are drafts, relative to the root: `pipelines/churn`."""
    return [member.path.as_posix() for member in members(root, "pipelines") if member.draft]


def unnamed_drafts(pipeline: str, root: Path = ROOT) -> list[str]:
    """Name the drafts, whose failures are told and stop nobody; none where somebody named a pipeline, which is then meant."""
    found = [] if pipeline else drafts(root)
    return [name for name in pipelines(root) if f"pipelines/{name}" in found]


def the_member(name: str, root: Path = ROOT) -> Member:
    """Return the one member of a name, a folder or a path: `onebutton-models`, `models` and `packages/models` are one."""
    workspace = members(root)
    found = [member for member in workspace if name in {member.name, member.path.name, member.path.as_posix()}]
    paths = ", ".join(member.path.as_posix() for member in found or workspace)
    wrong = f"there {'are several members' if found else 'is no member'} {name!r}" if name else "say which member"
    require(len(found) == 1, f"{wrong}. MEMBER can be: {paths}")
    return found[0]


def distribution(requirement: str) -> str:
    """Take the name out of a requirement: `onebutton-models` out of `onebutton-models[convert]>=1`."""
    match = re.match(r"[A-Za-z0-9._-]+", requirement.strip())
    return re.sub(r"[-_.]+", "-", match[0]).lower() if match else ""


def pipelines(root: Path = ROOT) -> list[str]:
    """List the names of the pipelines: the folders in `pipelines/` that have a `dvc.yaml`."""
    return sorted(path.parent.name for path in root.glob("pipelines/*/dvc.yaml"))


def dvc_files(root: Path = ROOT) -> list[Path]:
    """List every `dvc.yaml`: those of the pipelines, and one in the root, should a team have written one."""
    return [path for path in (root / "dvc.yaml", *sorted(root.glob("pipelines/*/dvc.yaml"))) if path.is_file()]


def the_pipeline(name: str, root: Path = ROOT) -> str:
    """Return the name of a pipeline; refuse one that is none with a list of those that are."""
    known = pipelines(root)
    wrong = f"there is no pipeline {name!r}" if name else "say which pipeline"
    require(name in known, f"{wrong}. PIPELINE can be: {', '.join(known) or '(none yet)'}")
    return name


def pipelines_named(name: str, root: Path = ROOT) -> list[str]:
    """List the pipeline of a name, or all of them where none was typed."""
    return [the_pipeline(name, root)] if name else pipelines(root)
