"""Which modules of the workspace, and which third-party packages, a module reaches. grimp reads the imports.

Nothing is executed. What stands under `if TYPE_CHECKING:` never runs, so it does not count. An import by a name that is put
together while the program runs cannot be read: the rule OB104 refuses it in code behind a stage.
"""

import ast
import sys
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from importlib import invalidate_caches
from pathlib import Path

import grimp
from grimp.exceptions import SourceSyntaxError

from onebutton_contracts.errors import InputError, require
from onebutton_workbench.workspace import member_paths


@dataclass(frozen=True)
class Imports:
    """The imports of a workspace."""

    files: Mapping[str, Path]  # the file of every module, by its name; no module is what lies in no package
    graph: grimp.ImportGraph  # a module imports the packages around it, too, as Python runs them first
    unreadable: Mapping[str, InputError]  # packages that could not be read, with the first fault in each

    def reached(self, entries: Iterable[str]) -> tuple[set[str], set[str]]:
        """Follow the imports of modules, directly or not.

        Args:
            entries: as `python -m` takes them: of a package its `__main__` runs.

        Returns:
            The modules of the workspace, entries included; the top-level names of third-party packages.

        Raises:
            InputError: an entry is no module of the workspace, or one is in a package that cannot be read.
        """
        found: set[str] = set()
        for entry in entries:
            unknown = f"{entry} is not a module of this workspace, so nobody can say when its stage must rerun"
            require(entry in self.files, unknown)
            start = f"{entry}.__main__" if f"{entry}.__main__" in self.files else entry
            found |= {start} | (self.graph.find_upstream_modules(start) if start in self.graph.modules else set())
        for package in sorted({name.partition(".")[0] for name in found} & self.unreadable.keys()):
            raise self.unreadable[package]
        outside = {name for name in found if self.graph.is_module_squashed(name)}
        return found & self.files.keys(), outside - sys.stdlib_module_names


@cache
def read_imports(root: Path) -> Imports:
    """Read the imports of every member.

    A package with a syntax error is left out and remembered, so that it stops only those that reach it. No cache is kept on disk:
    grimp's own goes by the time of a file, and takes a change for known when another set of packages was read in between.
    """
    sources = [root / member / "src" for member in member_paths(root)]
    files = {
        ".".join(file.relative_to(source).with_suffix("").parts).removesuffix(".__init__"): file
        for source in sources
        for file in source.glob("*/**/*.py")
    }
    packages = {name.partition(".")[0] for name in files}
    unreadable: dict[str, InputError] = {}
    try:
        graph = _build(packages, sources)
    except (SourceSyntaxError, UnicodeError):
        for name, file in sorted(files.items()):
            try:
                parse(file)
            except InputError as error:
                unreadable.setdefault(name.partition(".")[0], error)
        graph = _build(packages - unreadable.keys(), sources)
    known = graph.modules
    for name in known & files.keys():
        if (parent := name.rpartition(".")[0]) in known:
            graph.add_import(importer=name, imported=parent)
    modules = {name: file for name, file in files.items() if name in known or name.partition(".")[0] in unreadable}
    return Imports(modules, graph, unreadable)


def _build(packages: Collection[str], sources: Sequence[Path]) -> grimp.ImportGraph:
    """Let grimp read the packages of this workspace, even while one of that name from another place is imported."""
    imported = {name: sys.modules.pop(name) for name in packages if name in sys.modules}
    sys.path[:0] = map(str, sources)
    invalidate_caches()
    try:
        return grimp.build_graph(
            *packages, include_external_packages=True, exclude_type_checking_imports=True, cache_dir=None
        )
    finally:
        del sys.path[: len(sources)]
        sys.modules.update(imported)


def parse(file: Path) -> ast.Module:
    """Parse a file; refuse one with a syntax error by its line."""
    try:
        return ast.parse(file.read_bytes(), filename=str(file))
    except (SyntaxError, ValueError) as error:  # ValueError: a null byte
        where, what = getattr(error, "lineno", 1), getattr(error, "msg", error)
        raise InputError(f"{file}:{where}: {what}, so nobody can say what it imports. Mend the line") from None


def name_of(node: ast.AST) -> str:
    """Name what is used, called or imported, without what stands before a dot."""
    return str(getattr(node, "attr", getattr(node, "id", getattr(node, "name", ""))))
