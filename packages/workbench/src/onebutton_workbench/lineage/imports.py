"""Follow imports: which modules of the workspace, and which third-party packages, a module reaches.

Imports are read, never executed: absolute, relative, `from package import module`, inside functions, `importlib.import_module`
with a literal name, a relative one too. What stands under `if TYPE_CHECKING:` never runs, so it does not count. A name that is
only known when the program runs cannot be followed: a comment on that line, `# reaches: package.module, package.other`, says what
it may be.
"""

from __future__ import annotations

import ast
import os
import re
import sys
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import cache, cached_property, lru_cache
from pathlib import Path

from onebutton_contracts.errors import InputError
from onebutton_workbench.workspace import member_paths

IMPORT_LEVEL = 4  # arguments of `__import__` before the one that makes it relative
BLOCKS = {"body", "orelse", "finalbody", "handlers", "cases"}  # where statements stand in a statement


@dataclass(frozen=True, eq=False)  # one for each file, so the same one is the equal one, which is quick to tell
class Module:
    """One file of Python.

    Attributes:
        name: as it is imported, such as `onebutton_models.scoring`.
    """

    name: str
    path: Path

    @cached_property
    def folder(self) -> Path:
        """Where it lies."""
        return self.path.parent

    @property
    def package(self) -> str:
        """The package that its relative imports start from."""
        return self.name if self.path.name == "__init__.py" else self.name.rpartition(".")[0]


class UnreadableModuleError(InputError):
    """A module with a syntax error; the message names file and line."""


@cache
def find_modules(root: Path) -> dict[str, Module]:
    """Index the modules of every member by name."""
    found = {}
    for member in member_paths(root):
        source = str(root / member / "src")
        for folder, _, files in os.walk(source):
            package = folder[len(source) + 1 :].replace(os.sep, ".")
            for file in files:
                if file.endswith(".py"):
                    name = ".".join(filter(None, [package, "" if file == "__init__.py" else file[:-3]]))
                    found[name] = Module(name, Path(folder, file))
    return found


@lru_cache(maxsize=1)
def read_source(module: Module) -> bytes:
    """Read a module's file."""
    return module.path.read_bytes()


@lru_cache(maxsize=1)  # trees are large: to keep them all takes Python's collector four times as long as parsing
def read_syntax(module: Module) -> ast.Module:
    """Parse a module, without the blocks that only type checkers see."""
    source = read_source(module)
    try:
        tree = ast.parse(source, filename=str(module.path))
    except (SyntaxError, ValueError) as error:  # ValueError: a null byte
        where, what = getattr(error, "lineno", 1), getattr(error, "msg", error)
        message = f"{module.path}:{where}: {what}, so nobody can say what it imports. Mend the line"
        raise UnreadableModuleError(message) from None
    return _DropTypeChecking().visit(tree) if b"TYPE_CHECKING" in source else tree


class _DropTypeChecking(ast.NodeTransformer):
    def visit_If(self, node: ast.If) -> ast.AST | list[ast.stmt]:
        self.generic_visit(node)
        names = {getattr(node.test, "id", None), getattr(node.test, "attr", None)}
        return node.orelse if "TYPE_CHECKING" in names else node


def imported_names(module: Module) -> Iterator[str]:
    """Yield every dotted name that a module asks for; of `from a import b` both `a` and `a.b`, as b may be a module."""
    for node in _statements(read_syntax(module)):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            yield from _import_from(module, node)
    for call in _dynamic_imports(module):
        yield from [literal] if (literal := _literal(module, call)) else (_declared(module, call) or [])


def _statements(tree: ast.AST) -> Iterator[ast.AST]:
    """Yield every statement, however deep; expressions, most of any tree, are passed over."""
    waiting = [tree]
    while waiting:
        node = waiting.pop()
        yield node
        for name in node._fields:
            if name in BLOCKS:
                waiting += getattr(node, name)


def unfollowed_imports(module: Module) -> list[int]:
    """List the lines that import a name which only running the program would tell, without saying what it may be."""
    calls = _dynamic_imports(module)
    return sorted(call.lineno for call in calls if not _literal(module, call) and _declared(module, call) is None)


def _import_from(module: Module, node: ast.ImportFrom) -> Iterator[str]:
    start = node.module or ""
    if node.level:
        parents = module.package.split(".")
        start = ".".join([*parents[: len(parents) - node.level + 1], *filter(None, [node.module])])
    yield start
    yield from (f"{start}.{alias.name}" for alias in node.names)


def _dynamic_imports(module: Module) -> list[ast.Call]:
    names = {"import_module", "__import__"}
    if not any(name.encode() in read_source(module) for name in names):
        return []
    calls = (node for node in ast.walk(read_syntax(module)) if isinstance(node, ast.Call))
    return [call for call in calls if getattr(call.func, "attr", getattr(call.func, "id", "")) in names]


def _literal(module: Module, node: ast.Call) -> str:
    """Read which module a call imports; empty where only running it would tell."""
    given = {word.arg: word.value for word in node.keywords} | dict(zip(("name", "package"), node.args, strict=False))
    name = getattr(given.get("name"), "value", "")
    if not isinstance(name, str) or "level" in given or len(node.args) > IMPORT_LEVEL:
        return ""
    dots = len(name) - len(name.lstrip("."))
    if not dots:
        return name
    parts = _package(module, given.get("package")).split(".")
    return ".".join([*parts[: len(parts) - dots + 1], *filter(None, [name[dots:]])]) if len(parts) >= dots else ""


def _package(module: Module, node: ast.expr | None) -> str:
    """Read from which package a relative name starts; empty where only running it would tell."""
    if isinstance(node, ast.Constant):
        return str(node.value)
    return {"__package__": module.package, "__name__": module.name}.get(getattr(node, "id", ""), "")


def _declared(module: Module, node: ast.Call) -> list[str] | None:
    """Read the comment `# reaches: ...` on a call's lines; None where there is none, empty for `# reaches: nothing`."""
    lines = read_source(module).decode(errors="replace").splitlines()[node.lineno - 1 : node.end_lineno]
    match = re.search(r"#\s*reaches:(.+)", "\n".join(lines))
    names = re.findall(r"[\w.]+", match[1]) if match else []
    return [name for name in names if name != "nothing"] if match else None


@cache
def _top_packages(root: Path) -> frozenset[str]:
    return frozenset(name.partition(".")[0] for name in find_modules(root))


@cache
def direct_imports(module: Module, root: Path) -> tuple[frozenset[Module], frozenset[str]]:
    """Return the workspace modules that importing a module executes first, and the third-party names that it asks for."""
    modules, tops = find_modules(root), _top_packages(root)
    inside: set[Module] = set()
    outside: set[str] = set()
    for name in imported_names(module):
        top = name.partition(".")[0]
        if top in tops:
            inside.update(on_the_way(name, modules))
        elif is_third_party(top):
            outside.add(name)
    return frozenset(inside - {module}), frozenset(outside)


def is_third_party(top: str) -> bool:
    """Whether a top-level package that is none of the workspace comes from a distribution."""
    return bool(top) and top not in sys.stdlib_module_names


def lines_of(name: str, module: Module) -> list[int]:
    """List the lines on which a module imports a name."""
    found = {call.lineno for call in _dynamic_imports(module) if _literal(module, call) == name}
    for node in _statements(read_syntax(module)):
        if isinstance(node, ast.Import):
            found |= {node.lineno for alias in node.names if alias.name == name}
        elif isinstance(node, ast.ImportFrom):
            found |= {node.lineno for asked in _import_from(module, node) if asked == name}
    return sorted(found)


def on_the_way(name: str, modules: Mapping[str, Module]) -> Iterator[Module]:
    """Yield the modules that importing a dotted name executes: each package on the way, and itself."""
    parts = name.split(".")
    prefixes = (".".join(parts[: length + 1]) for length in range(len(parts)))
    return (modules[prefix] for prefix in prefixes if prefix in modules)


def reach(entry: str, root: Path) -> Iterator[Module]:
    """Yield every workspace module that a module reaches, itself included, each just after its imports were read.

    Raises:
        KeyError: the entry is no module of the workspace.
        UnreadableModuleError: one of them has a syntax error.
    """
    modules = find_modules(root)
    waiting = [modules[entry], *on_the_way(entry, modules)]
    seen: set[Module] = set()
    while waiting:
        module = waiting.pop()
        if module not in seen:
            seen.add(module)
            waiting += direct_imports(module, root)[0] - seen
            yield module
