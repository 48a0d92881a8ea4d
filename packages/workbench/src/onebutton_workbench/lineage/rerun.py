"""Which stages would rerun after a change: those whose code reaches a changed module, or whose inputs changed.

It is said from the names of files alone, so a comment counts too. `make run` looks at the meaning, and reruns less.
"""

from __future__ import annotations

import posixpath
from collections.abc import Container, Iterable, Mapping, Sequence
from pathlib import Path, PurePosixPath

from onebutton_workbench.lineage.imports import Module, direct_imports, find_modules, on_the_way, read_syntax
from onebutton_workbench.lineage.stages import Stage, read_stages


def stages_to_rerun(
    files: Sequence[str], root: Path, folders: Iterable[Path], reached: Iterable[Path]
) -> dict[str, str]:
    """Find the stages that changed files reach.

    Args:
        files: that changed, relative to the root.
        root: of the workspace.
        folders: of all members; each may have a `dvc.yaml`, as may the root.
        reached: the members that own one of the files or build on one that does; no other can import what changed.

    Returns:
        Each stage as DVC addresses it, such as `pipelines/flight_delays/dvc.yaml:train`, with the reason.

    Raises:
        InputError: a `dvc.yaml` or a module cannot be read.
    """
    if not files:
        return {}
    sources = tuple(f"{member.as_posix()}/src/" for member in reached)
    paths = {module.path.relative_to(root).as_posix(): module for module in find_modules(root).values()}
    candidates = {path: module for path, module in paths.items() if path.startswith(sources)}
    search = Search(root, changed_modules(files, candidates), set(candidates.values()))
    reasons = {}
    for folder in (Path(), *folders):
        if (root / folder / "dvc.yaml").is_file():
            for stage in read_stages(root / folder / "dvc.yaml"):
                why = changed_input(stage, folder, files) or changed_code(stage, search)
                if why:
                    reasons[f"{(folder / 'dvc.yaml').as_posix()}:{stage.name}"] = why
    return reasons


def changed_modules(files: Iterable[str], modules: Mapping[str, Module]) -> list[Module]:
    """Find the modules that changed files touch.

    Args:
        files: relative to the root.
        modules: those of the reached members, by their files.

    Returns:
        Of a module that is there, itself; of one that was deleted, and of data beside the code, the nearest package around it.
    """
    beside: dict[str, list[Module]] = {}
    for path, module in modules.items():
        beside.setdefault(posixpath.dirname(path), []).append(module)
    changed: set[Module] = set()
    for file in files:
        around = next((str(folder) for folder in PurePosixPath(file).parents if str(folder) in beside), "")
        changed.update([modules[file]] if file in modules else beside.get(around, []))
    return sorted(changed, key=lambda module: module.name)


class Search:
    """Looks for changed modules behind others, and remembers what it found: stages share most of what they import."""

    def __init__(self, root: Path, changed: Iterable[Module], candidates: Container[Module]) -> None:
        """Begin with what changed.

        Args:
            root: of the workspace.
            changed: the modules to look for.
            candidates: those that may reach one; nothing is read of any other.

        Raises:
            UnreadableModuleError: a changed module has a syntax error.
        """
        self.root, self.candidates = root, candidates
        self.found: dict[Module, Module | None] = {}
        for module in changed:
            read_syntax(module)
            self.found[module] = module

    def cause(self, modules: Iterable[Module]) -> Module | None:
        """Return a changed module that one of some modules is or reaches, directly or not; None when there is none.

        Raises:
            UnreadableModuleError: a module on the way has a syntax error.
        """
        importer: dict[Module, Module | None] = dict.fromkeys(modules)
        waiting = list(importer)
        while waiting:
            module = waiting.pop()
            if self.found.get(module):
                return self._remember(module, importer)
            if module in self.found or module not in self.candidates:
                continue
            new = direct_imports(module, self.root)[0] - importer.keys()
            more = sorted(new, key=lambda one: (bool(self.found.get(one)), one.name))
            importer |= dict.fromkeys(more, module)
            waiting += more  # what is known to reach one stands last, and is looked at first
        self.found |= dict.fromkeys(importer)
        return None

    def _remember(self, module: Module | None, importer: Mapping[Module, Module | None]) -> Module | None:
        """Write down for every module on the way what it reaches."""
        cause = self.found[module] if module else None
        while module:
            self.found[module] = cause
            module = importer[module]
        return cause


def changed_input(stage: Stage, folder: Path, files: Sequence[str]) -> str:
    """Say which file changed that a stage reads, or that says what it is."""
    for file in ("dvc.yaml", "params.yaml"):
        if (folder / file).as_posix() in files:
            return f"changed: {file}"
    for dep in stage.deps:
        path = posixpath.normpath((folder / dep).as_posix())
        if any(file in {path, f"{path}.dvc"} or file.startswith(f"{path}/") for file in files):
            return f"reads {dep}"
    return ""


def changed_code(stage: Stage, search: Search) -> str:
    """Say which changed module a stage runs or reaches."""
    modules = find_modules(search.root)
    cause = search.cause(module for entry in stage.modules for module in on_the_way(entry, modules))
    return f"runs {cause.name}" if cause else ""
