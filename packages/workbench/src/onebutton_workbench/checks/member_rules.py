"""Hold members to who may need whom, by what their own `pyproject.toml` declares, and their modules to one direction.

OB401, OB402, OB403, OB404, OB405 and OB406: `docs/checks/` has a page for each.
"""

import json
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any

import grimp
from grimp.exceptions import SourceSyntaxError

from onebutton_workbench.findings import Finding
from onebutton_workbench.workspace import Member, members, read_toml

# Contracts and models stand alone; a server needs models and nothing else, which keeps its image small.
BOTTOM: Mapping[str, frozenset[str]] = {
    "onebutton-contracts": frozenset(),
    "onebutton-models": frozenset(),
    "onebutton-serving": frozenset({"onebutton-models"}),
}
TOOLS, MLFLOW = "onebutton-workbench", "mlflow"
CACHE = ".grimp_cache"
MEND = "take it out of `dependencies`, or move what both need into a package that both declare"


def check_needs(workspace: Sequence[Member]) -> Iterator[Finding]:
    """Hold what every member declares to the rules."""
    by_name = {member.name: member for member in workspace}
    graph = grimp.ImportGraph()  # of distributions: what one declares, it imports
    for member in workspace:
        graph.add_module(member.name)
        for need in member.requires - {member.name}:  # a member may name itself for its own extras
            graph.add_import(importer=member.name, imported=need)
    for member in workspace:
        place = f"{member.path}/pyproject.toml"
        for words in _forbidden(member, by_name):
            yield Finding("OB401", place, words, MEND)
        needs = sorted(graph.find_modules_directly_imported_by(member.name))
        ways = [graph.find_shortest_chain(need, member.name) or () for need in needs]
        way = min(filter(None, ways), key=len, default=())
        if way and member.name == min(way):  # said once, not once for each member on it
            circle = " -> ".join((member.name, *way))
            words = f"needs itself: {circle}, so none of them can be used or tested without the others"
            yield Finding("OB402", place, words, MEND)
        reaches = MLFLOW in graph.modules and graph.find_shortest_chain(member.name, MLFLOW)
        if member.is_pipeline and reaches:
            cost = "so they would need its server, and two places would hold the truth"
            words = f"its stages reach MLflow: {' -> '.join(reaches)}, {cost}"
            yield Finding("OB403", place, words, "take it out: `make run` brings what DVC recorded to MLflow")


def _forbidden(member: Member, by_name: Mapping[str, Member]) -> Iterator[str]:
    """Say of each member that this one declares and may not why it may not."""
    allowed = BOTTOM.get(member.name, frozenset(by_name))
    for need in sorted((member.requires & by_name.keys()) - {member.name}):
        if by_name[need].is_pipeline:
            yield f"declares the pipeline {need}, so a change of that pipeline would change what others build on"
        elif need == TOOLS:
            yield f"declares {need}, so the repo's own tools would ship with it"
        elif need not in allowed:
            but = f"no member but {', '.join(sorted(allowed))}" if allowed else "no member"
            yield f"declares {need}, and what all others build on may need {but}"


def check_modules(member: Member, root: Path) -> Iterator[Finding]:
    """Hold the imports within a member to the rules. What no layer names is below all layers, where imports go as they like."""
    source = root / member.path / "src"
    if not (source / member.module / "__init__.py").is_file():
        return
    try:
        graph = grimp.build_graph(member.module, cache_dir=str(root / CACHE))
    except SourceSyntaxError:
        return  # ruff names it
    packages = [name for name in graph.modules if len(graph.find_children(name)) > 1]
    for importer, imported in sorted({pair for package in packages for pair in graph.nominate_cycle_breakers(package)}):
        path = source / importer.replace(".", "/")
        file = path / "__init__.py" if path.is_dir() else path.with_suffix(".py")
        words = f"{importer} imports {imported}, which needs it in turn, so neither can be read or tested alone"
        yield Finding("OB404", file.relative_to(root).as_posix(), words, "move what both need into a module below them")

    declared = read_toml(root / member.path / "pyproject.toml").get("tool", {}).get("onebutton", {}).get("layers", [])
    rest = {name.rpartition(".")[2] for name in graph.find_children(member.module)}.difference(*declared)
    layers = [grimp.Layer(*layer, independent=True) for layer in declared]
    layers += [grimp.Layer(*rest, independent=False)] if rest else []
    illegal = graph.find_illegal_dependencies_for_layers(layers, containers={member.module}) if declared else ()
    routes = (route for one in illegal for route in one.routes)
    for chain in sorted(" -> ".join((min(route.heads), *route.middle, min(route.tails))) for route in routes):
        words = f"{chain} goes up or across the layers, so the one below can no longer be changed without the one above"
        yield Finding("OB405", f"{member.path}/pyproject.toml", words, "move what both need below them, or pass it in")


def check_imports(member: Member, root: Path) -> Iterator[Finding]:
    """Hold the imports of a member to what it declares, and that to its imports: deptry compares them, within this process."""
    from deptry.cli import cli  # type: ignore[import-untyped]

    folder = root / member.path
    with tempfile.NamedTemporaryFile(suffix=".json") as file:
        options = ["--config", f"{folder / 'pyproject.toml'}", "--json-output", file.name]
        with suppress(SystemExit):  # deptry ends so, whatever it found
            cli.main([f"{folder / 'src'}", *options], standalone_mode=False)
        found: list[dict[str, Any]] = json.loads(Path(file.name).read_bytes())
    for one in found:
        where, error = one["location"], one["error"]
        line = f":{where['line']}" if where["line"] else ""
        place = f"{Path(where['file']).relative_to(root).as_posix()}{line}"
        words, mend = f"{error['message']} ({error['code']})", "its pyproject.toml: `make add` writes a line"
        yield Finding("OB406", place, words, mend)


def check_all(root: Path) -> Iterator[Finding]:
    """Hold every member to every rule."""
    workspace = members(root)
    yield from check_needs(workspace)
    for member in (one for one in workspace if (root / one.path / "src").is_dir()):
        yield from check_modules(member, root)
        yield from check_imports(member, root)
