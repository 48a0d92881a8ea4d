"""Where a member is named outside its own folder: the lists that tools go by, its owner, the report over all pipelines.

Everything here is a function of texts, so that all of a change is known before a file is touched.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from onebutton_contracts.errors import InputError
from onebutton_workbench.files import edit_yaml
from onebutton_workbench.workspace import Member, distribution

PYPROJECT, OWNERS, REPORT = "pyproject.toml", ".github/CODEOWNERS", "dvc.yaml"
FILES = (PYPROJECT, OWNERS, REPORT)


def registered(texts: Mapping[str, str], member: Member, others: Sequence[Member]) -> dict[str, str]:
    """Write a member into every list that names members.

    Args:
        texts: of `FILES`, by path.
        member: the new one.
        others: those that stand already.

    Returns:
        The texts with it; those of other files are left out.

    Raises:
        InputError: a list is not where it should be.
    """
    pipelines = {other.module for other in others if other.is_pipeline}
    return {
        PYPROJECT: _edit_toml(texts[PYPROJECT], lambda root: _add(root, member, pipelines)),
        OWNERS: _with_owner(texts[OWNERS], member),
        REPORT: _edit_report(texts[REPORT], member, _insert) if member.is_pipeline else texts[REPORT],
    }


def unregistered(texts: Mapping[str, str], member: Member) -> dict[str, str]:
    """Take a member out of every list that names members; arguments and result are those of `registered`."""
    line = re.compile(rf"^/{re.escape(member.path.as_posix())}/.*\n", re.MULTILINE)
    return {
        PYPROJECT: _edit_toml(texts[PYPROJECT], lambda root: _take_out(root, member)),
        OWNERS: line.sub("", texts[OWNERS]),
        REPORT: _edit_report(texts[REPORT], member, _remove) if member.is_pipeline else texts[REPORT],
    }


def _edit_toml(text: str, change: Callable[[Any], None]) -> str:
    """Change a TOML text; comments and layout stay."""
    import tomlkit

    root = tomlkit.parse(text)
    try:
        change(root)
    except KeyError as missing:
        message = f"{PYPROJECT} lacks {missing}, one of the lists in which a member is named. Nothing was changed"
        raise InputError(message) from None
    return tomlkit.dumps(root)


def _add(root: Any, member: Member, pipelines: set[str]) -> None:
    import tomlkit

    tool, contracts = root["tool"], _contracts(root)
    if not member.is_pipeline:
        here = tomlkit.parse("name = { workspace = true }")
        tool["uv"]["sources"][member.name] = here["name"]
        tool["deptry"]["package_module_name_map"][member.name] = member.module
        for table in (tool["uv"]["sources"], tool["deptry"]["package_module_name_map"]):
            _sort_last(table)
    for names, name in _lists(tool, contracts, member):
        _insert(names, name)
    _insert(tool["mypy"]["files"], member.path.parts[0])
    floors = contracts["layers"]["layers"]
    if not member.is_pipeline:
        place = max(0, len(floors) - 2)  # above the ground floor, which imports no other member
    elif pipelines & set(_rooms(floors[0])):
        place = 0
    else:
        floors.insert(0, member.module)
        return
    floors[place] = " | ".join(sorted([*_rooms(floors[place]), member.module]))


def _take_out(root: Any, member: Member) -> None:
    tool, contracts = root["tool"], _contracts(root)
    for table in (tool["uv"]["sources"], tool["deptry"]["package_module_name_map"]):
        table.pop(member.name, None)
    for names, name in _lists(tool, contracts, member):
        _remove(names, name)
    folder = member.path.parts[0]
    if not any(path.startswith(f"{folder}/") for path in tool["mypy"]["mypy_path"]):
        _remove(tool["mypy"]["files"], folder)  # mypy refuses a folder without Python
    for group in root.get("dependency-groups", {}).values():
        for line in [line for line in group if isinstance(line, str) and distribution(line) == member.name]:
            group.remove(line)
    floors = contracts["layers"]["layers"]
    for place in reversed(range(len(floors))):
        rooms = _rooms(floors[place])
        if member.module in rooms:
            left = [room for room in rooms if room != member.module]
            if left:
                floors[place] = " | ".join(left)
            else:
                del floors[place]


def _contracts(root: Any) -> dict[str, Any]:
    return {contract["id"]: contract for contract in root["tool"]["importlinter"]["contracts"]}


def _lists(tool: Any, contracts: Mapping[str, Any], member: Member) -> list[tuple[Any, str]]:
    """List every list that a member of its kind belongs to, and what it is called there."""
    lists = [
        tool["coverage"]["run"]["source_pkgs"],
        tool["importlinter"]["root_packages"],
        contracts["cycles"]["ancestors"],
        contracts["workbench"]["source_modules"],
    ]
    if member.is_pipeline:
        lists.append(contracts["stages"]["source_modules"])
    return [(tool["mypy"]["mypy_path"], f"{member.path.as_posix()}/src"), *((names, member.module) for names in lists)]


def _rooms(floor: str) -> list[str]:
    return [room.strip() for room in floor.split("|")]


def _insert(names: Any, name: str) -> None:
    """Put a name where the alphabet has it; one that stands there already stays alone."""
    if name not in names:
        names.insert(sum(str(other) < name for other in names), name)


def _remove(names: Any, name: str) -> None:
    if name in names:
        names.remove(name)


def _sort_last(table: Any) -> None:
    """Move the entry that was added last to where the alphabet has it."""
    *names, last = table
    later = {name: table[name] for name in names if name > last}
    for name, content in later.items():
        del table[name]
        table[name] = content


def _edit_report(text: str, member: Member, change: Callable[[Any, str], None]) -> str:
    """Let the report over all pipelines depend on a pipeline's metrics, or no longer."""

    def edit(content: Any) -> None:
        for stage in content.get("stages", {}).values():
            deps = stage.get("deps", [])
            if stage.get("cmd", "").startswith("python -m onebutton_evaluation.report"):
                change(deps, f"{member.path.as_posix()}/metrics.json")

    return edit_yaml(text, edit)


def _with_owner(text: str, member: Member) -> str:
    """Add a line for a member, with the owner of what no other line names."""
    path = f"/{member.path.as_posix()}/"
    everything = re.search(r"^\*(\s+)(\S.*)$", text, re.MULTILINE)
    if everything is None or re.search(rf"^{re.escape(path)}\s", text, re.MULTILINE):
        return text
    width = max(len(everything[1]) + 1, len(path) + 1)
    return f"{text.rstrip()}\n{path:<{width}}{everything[2]}\n"
