"""Hold members to who may need whom, by what their own `pyproject.toml` declares, and their modules to one direction.

That a member imports nothing but what it declares is deptry's work; these rules say what it may declare.

| id | rule |
|---|---|
| OB401 | nobody declares a pipeline or the workbench, and those at the bottom declare no more than they may |
| OB402 | no two members need each other, directly or through others |
| OB403 | no pipeline reaches MLflow through what it declares |
| OB404 | no two modules of a member import each other, directly or through others |
| OB405 | imports within a member go down the layers that it declares |
"""

from __future__ import annotations

import sys
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from onebutton_contracts.errors import run_stage
from onebutton_workbench.findings import Finding, tell
from onebutton_workbench.workspace import ROOT, Member, drafts, members, read_toml

# Contracts and models stand alone; a server needs models and nothing else, which keeps its image small.
BOTTOM: Mapping[str, frozenset[str]] = {
    "onebutton-contracts": frozenset(),
    "onebutton-models": frozenset(),
    "onebutton-serving": frozenset({"onebutton-models"}),
}
TOOLS = "onebutton-workbench"
MLFLOW = "mlflow"
CACHE = ".grimp_cache"
PAGES_SAY = "take it out of `dependencies`, or move what both need into a package that both declare"


def check_needs(workspace: Sequence[Member]) -> list[Finding]:
    """Hold what every member declares to the rules."""
    by_name = {member.name: member for member in workspace}
    return [
        finding
        for member in workspace
        for finding in (*_forbidden(member, by_name), *_cycle(member, by_name), *_reaches_mlflow(member, by_name))
    ]


def _forbidden(member: Member, by_name: Mapping[str, Member]) -> Iterator[Finding]:
    allowed = BOTTOM.get(member.name, frozenset(by_name))
    for need in sorted((member.requires & by_name.keys()) - {member.name}):
        if by_name[need].is_pipeline:
            words = f"declares the pipeline {need}, so a change of that pipeline would change what others build on"
        elif need == TOOLS:
            words = f"declares {need}, so the repo's own tools would ship with it"
        elif need not in allowed:
            words = f"declares {need}, and what all others build on may need {_listed(allowed)}"
        else:
            continue
        yield Finding("OB401", _declared(member), words, PAGES_SAY)


def _listed(names: frozenset[str]) -> str:
    return f"no member but {', '.join(sorted(names))}" if names else "no member"


def _cycle(member: Member, by_name: Mapping[str, Member]) -> Iterator[Finding]:
    way = way_to(member.name, member, by_name)
    if way and member.name == min(way):  # said once, not once for each member on it
        words = f"needs itself: {' -> '.join(way)}, so none of them can be used or tested without the others"
        yield Finding("OB402", _declared(member), words, PAGES_SAY)


def _reaches_mlflow(member: Member, by_name: Mapping[str, Member]) -> Iterator[Finding]:
    way = way_to(MLFLOW, member, by_name) if member.is_pipeline else ()
    if way:
        words = f"its stages reach MLflow: {' -> '.join(way)}, so they would need its server, and two places would hold the truth"
        yield Finding("OB403", _declared(member), words, "take it out: `make run` brings what DVC recorded to MLflow")


def way_to(name: str, member: Member, by_name: Mapping[str, Member]) -> tuple[str, ...]:
    """Find the shortest way from a member to a distribution through what members declare; empty when there is none."""
    seen = {member.name}
    waiting: list[tuple[str, ...]] = [(member.name,)]
    while waiting:
        way = waiting.pop(0)
        for need in sorted(by_name[way[-1]].requires):
            if need == name and (need != member.name or len(way) > 1):  # a member may name itself for its own extras
                return (*way, need)
            if need in by_name and need not in seen:
                seen.add(need)
                waiting.append((*way, need))
    return ()


def _declared(member: Member) -> str:
    return f"{member.path.as_posix()}/pyproject.toml"


def check_modules(member: Member, root: Path) -> list[Finding]:
    """Hold the imports within a member to the rules."""
    import grimp
    from grimp.exceptions import SourceSyntaxError

    if not (root / member.path / "src" / member.module / "__init__.py").is_file():
        return []
    try:
        graph = grimp.build_graph(member.module, cache_dir=str(root / CACHE))
    except SourceSyntaxError as error:
        place = f"{Path(error.filename).relative_to(root).as_posix()}:{error.lineno}"
        return [Finding("OB404", place, "a syntax error, so nobody can say what its member imports", "the line")]
    packages = sorted(name for name in graph.modules if len(graph.find_children(name)) > 1)
    cycles = sorted({pair for package in packages for pair in graph.nominate_cycle_breakers(package)})
    found = [
        Finding(
            "OB404",
            _file(importer, member, root),
            f"{importer} imports {imported}, which needs it in turn, so neither can be read, tested or imported alone",
            "move what both need into a module below them",
        )
        for importer, imported in cycles
    ]
    layers = read_toml(root / member.path / "pyproject.toml").get("tool", {}).get("onebutton", {}).get("layers", [])
    return found + _against_layers(graph, member, layers) if layers else found


def _file(module: str, member: Member, root: Path) -> str:
    path = member.path / "src" / module.replace(".", "/")
    return (path / "__init__.py" if (root / path).is_dir() else path.with_suffix(".py")).as_posix()


def _against_layers(graph: Any, member: Member, declared: Sequence[Sequence[str]]) -> list[Finding]:
    """Find imports upwards or sideways. What no layer names is the lowest of them, where imports go as they like."""
    from grimp import Layer

    named = {name for layer in declared for name in layer}
    rest = {child.rpartition(".")[2] for child in graph.find_children(member.module)} - named
    layers = [Layer(*layer, independent=True) for layer in declared]
    layers += [Layer(*rest, independent=False)] if rest else []
    illegal = graph.find_illegal_dependencies_for_layers(layers, containers={member.module})
    chains = sorted(" -> ".join(_chain(route)) for one in illegal for route in one.routes)
    return [
        Finding(
            "OB405",
            _declared(member),
            f"{chain} goes up or across the layers, so the one below can no longer be changed without the one above",
            "move what both need below them, or pass it in",
        )
        for chain in chains
    ]


def _chain(route: Any) -> tuple[str, ...]:
    return (min(route.heads), *route.middle, min(route.tails))


def check_all(root: Path = ROOT) -> list[Finding]:
    """Hold every member to every rule."""
    workspace = members(root)
    return check_needs(workspace) + [finding for member in workspace for finding in check_modules(member, root)]


def lint() -> int:
    """Print what breaks a rule; a part of `make lint`."""
    return tell(check_all(), "every member needs only what it may", drafts())


if __name__ == "__main__":
    run_stage(lambda: sys.exit(lint()))
