"""Every member stands in the lists of the root's pyproject.toml by which tools check it; one left out would go unchecked."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from onebutton_workbench.lineage.stages import read_stages
from onebutton_workbench.workspace import ROOT, Member, members, pipelines, read_toml


def left_out(pyproject: dict[str, Any], workspace: Sequence[Member]) -> list[str]:
    """Say for every member which line the root's pyproject.toml lacks."""
    return [f"{member.path}: {words}" for member in workspace for words in _missing(pyproject["tool"], member)]


def _missing(tool: dict[str, Any], member: Member) -> Iterator[str]:
    linter = tool["importlinter"]
    contracts = {contract["id"]: contract for contract in linter["contracts"]}
    floors = [[name.strip() for name in floor.split("|")] for floor in contracts["layers"]["layers"]]
    unseen = "or nobody checks what it imports"
    if member.module not in linter["root_packages"]:
        yield f'add "{member.module}" to root_packages of [tool.importlinter], {unseen}'
    if member.module not in contracts["cycles"]["ancestors"]:
        yield f'add "{member.module}" to ancestors of the contract "cycles", or its modules may import each other'
    if member.module not in contracts["workbench"]["forbidden_modules"]:
        if member.module not in contracts["workbench"]["source_modules"]:
            yield f'add "{member.module}" to source_modules of the contract "workbench", or it may import the workbench'
        if member.is_pipeline and member.module not in floors[0]:
            first = " | ".join([*floors[0], member.module])
            yield f'write "{first}" as the first of the layers, or a pipeline may import another'
        elif not any(member.module in floor for floor in floors):
            yield f'add "{member.module}" to a line of the layers, {unseen}'
    if member.is_pipeline and member.module not in contracts["stages"]["source_modules"]:
        yield f'add "{member.module}" to source_modules of the contract "stages", or its stages may import MLflow'
    if f"{member.path.as_posix()}/src" not in tool["mypy"]["mypy_path"]:
        yield f'add "{member.path.as_posix()}/src" to mypy_path of [tool.mypy], or its types count as Any'
    if member.module not in tool["coverage"]["run"]["source_pkgs"]:
        yield f'add "{member.module}" to source_pkgs of [tool.coverage.run], or its untested lines go unseen'


def test_every_member_is_checked_by_import_linter_mypy_and_coverage() -> None:
    found = left_out(read_toml(ROOT / "pyproject.toml"), members())
    assert not found, "\n".join(["in pyproject.toml:", *found])


def test_the_report_depends_on_the_metrics_of_every_pipeline() -> None:
    (report,) = (stage for stage in read_stages(ROOT / "dvc.yaml") if stage.name == "report")
    assert [dep for dep in report.deps if dep.startswith("pipelines/")] == [
        f"pipelines/{name}/metrics.json" for name in pipelines()
    ]


def test_a_package_that_nobody_listed_is_found_with_the_lines_to_add() -> None:
    ghost = Member(Path("packages/ghost"), "onebutton-ghost")
    assert left_out(read_toml(ROOT / "pyproject.toml"), [ghost]) == [
        'packages/ghost: add "onebutton_ghost" to root_packages of [tool.importlinter], or nobody checks what it imports',
        'packages/ghost: add "onebutton_ghost" to ancestors of the contract "cycles", or its modules may import each other',
        'packages/ghost: add "onebutton_ghost" to source_modules of the contract "workbench", or it may import the workbench',
        'packages/ghost: add "onebutton_ghost" to a line of the layers, or nobody checks what it imports',
        'packages/ghost: add "packages/ghost/src" to mypy_path of [tool.mypy], or its types count as Any',
        'packages/ghost: add "onebutton_ghost" to source_pkgs of [tool.coverage.run], or its untested lines go unseen',
    ]


def test_a_pipeline_that_nobody_listed_is_found_beside_the_others_so_that_none_imports_another() -> None:
    found = left_out(read_toml(ROOT / "pyproject.toml"), [Member(Path("pipelines/ghost"), "ghost")])
    assert any('| ghost" as the first of the layers, or a pipeline may import another' in line for line in found)
    assert any('to source_modules of the contract "stages", or its stages may import MLflow' in line for line in found)
