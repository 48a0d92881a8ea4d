"""Write what the code behind each stage means, as one small file per stage that DVC can compare.

This is the stage `code` of every `dvc.yaml`; it writes `.code/<stage>` for each stage beside it. A fingerprint covers the
modules that the stage reaches (positions, comments, docstrings and layout do not count), the data files that lie next to
them or in folders below without code, and the locked versions of the third-party packages that they import. What git ignores and
what editors leave behind does not count. It is the same on every Python.
"""

from __future__ import annotations

import ast
import hashlib
import os
import sys
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from itertools import pairwise
from pathlib import Path
from typing import Any

from onebutton_workbench.git import call
from onebutton_workbench.lineage.imports import Module, direct_imports, reach, read_syntax
from onebutton_workbench.lineage.stages import FINGERPRINTS, Stage, read_stages
from onebutton_workbench.workspace import WorkbenchError, distribution, find_root, member_paths, read_toml

ALGORITHM = 1  # raise it when the meaning of a fingerprint changes: every stage then reruns once
NOT_DATA = {".py", ".pyc", ".pyi", ".typed"}
LEFT_BEHIND = (".", "#")  # how files begin that systems and editors leave behind; others end with `~`


def meaning(tree: ast.AST) -> str:
    """Write a syntax tree as text in which only what runs is left.

    `ast.dump` differs between versions of Python (new fields, empty lists shown or not), so this drops every field that is
    None or empty.
    """
    kind = type(tree)
    if isinstance(tree, ast.Constant):
        return f"{type(tree.value).__name__}:{tree.value!r}"
    fields = []
    for name in kind._fields:
        value = getattr(tree, name, None)
        if value is None or name == "type_comment":
            continue
        if isinstance(value, ast.AST):
            text = meaning(value)
        elif isinstance(value, list):
            body = _without_docstring(tree, value) if name == "body" else value
            text = ",".join([meaning(item) if isinstance(item, ast.AST) else repr(item) for item in body])
        else:
            text = repr(value)
        if text:
            fields.append(f"{name}={text}")
    return f"{kind.__name__}({';'.join(fields)})"


def _without_docstring(owner: ast.AST, body: list[ast.stmt]) -> list[ast.stmt]:
    documented = (ast.Module, ast.ClassDef, ast.FunctionDef, ast.AsyncFunctionDef)
    first = body[0] if body else None
    if isinstance(owner, documented) and isinstance(first, ast.Expr) and isinstance(first.value, ast.Constant):
        return body[1:] if isinstance(first.value.value, str) else body
    return body


def _digest(content: str | bytes) -> str:
    return hashlib.sha256(content.encode() if isinstance(content, str) else content).hexdigest()[:16]


@cache
def _code_line(module: Module) -> str:
    return f"{_digest(meaning(read_syntax(module)))}  {module.name}"


@cache
def _data_lines(folder: Path, root: Path) -> tuple[str, ...]:
    """One line for each file that lies beside the code, or in a folder below without code: a stage may read it."""
    known = _in_git(root)
    files = (path for path in _data_files(folder) if known is None or path.relative_to(root).as_posix() in known)
    return tuple(
        f"{_digest(path.read_bytes())}  {path.relative_to(folder.parent).as_posix()}" for path in sorted(files)
    )


def _data_files(folder: Path) -> Iterator[Path]:
    for path in folder.iterdir():
        if path.name.startswith(LEFT_BEHIND) or path.name.endswith("~"):
            continue
        if path.is_dir():
            if path.name != "__pycache__" and not any(path.glob("*.py")):
                yield from _data_files(path)
        elif path.suffix not in NOT_DATA:
            yield path


@cache
def _in_git(root: Path) -> frozenset[str] | None:
    """Name the files of all members that git has or is about to have; None where this is no checkout."""
    sources = [f"{path.as_posix()}/src" for path in member_paths(root)]
    try:
        listed = call("ls-files", "-z", "--cached", "--others", "--exclude-standard", "--", *sources, folder=root)
    except WorkbenchError:  # there is no git here
        return None
    return frozenset(listed.stdout.split("\0")) if listed.returncode == 0 else None


def locked_versions(lock: str) -> dict[str, str]:
    """Read from the text of a `uv.lock` each distribution's version, all of them where the platforms differ.

    A TOML parser takes a second for a lock of this size; uv writes the two lines that matter in a fixed order.
    """
    versions: dict[str, set[str]] = {}
    lines = lock.splitlines()
    for name, version in pairwise(lines):
        if name.startswith('name = "') and version.startswith('version = "'):
            versions.setdefault(name[8:-1], set()).add(version[11:-1])
    return {name: "|".join(sorted(found)) for name, found in versions.items()}


def distribution_names(pyproject: dict[str, Any]) -> dict[str, str]:
    """Read which distribution brings a package whose name differs, such as sklearn from scikit-learn: deptry's own table."""
    table: dict[str, str] = pyproject.get("tool", {}).get("deptry", {}).get("package_module_name_map", {})
    return {package: name for name, package in table.items()}


@dataclass(frozen=True)
class Lock:
    """What the workspace pins.

    Attributes:
        versions: of every distribution.
        distributions: which of them brings a package, where the names differ.
    """

    versions: dict[str, str]
    distributions: dict[str, str]

    def brings(self, name: str) -> list[str]:
        """Say which locked distributions bring a module.

        The name says it, or the table in pyproject.toml, or what is installed: PIL comes from pillow. Several share a name such
        as google; then only those count that have the module.
        """
        top = name.partition(".")[0]
        plain = self.distributions.get(top, top.lower().replace("_", "-"))
        return [plain] if plain in self.versions else [one for one in _installed(name) if one in self.versions]

    def lines(self, name: str) -> list[str]:
        """Describe what a third-party module comes from as it is locked."""
        top = name.partition(".")[0]
        found = [f"{one}=={self.versions[one]}" for one in self.brings(name)]
        return found or [f"{self.distributions.get(top, top.lower().replace('_', '-'))}==not locked"]


@cache
def _distributions() -> Mapping[str, Sequence[str]]:
    from importlib.metadata import packages_distributions

    return packages_distributions()


@cache
def _installed(name: str) -> tuple[str, ...]:
    """Name the installed distributions that bring a module."""
    parts = name.split(".")
    found = sorted(set(_distributions().get(parts[0], ())))
    for length in range(len(parts), 1, -1) if len(found) > 1 else ():
        prefix = "/".join(parts[:length])
        having = [one for one in found if _has(one, prefix)]
        if having:
            found = having
            break
    return tuple(distribution(one) for one in found)


@cache
def _has(installed: str, prefix: str) -> bool:
    from importlib.metadata import files

    listed = (file.as_posix() for file in files(installed) or ())
    return any(file.startswith((f"{prefix}/", f"{prefix}.")) for file in listed)


def innermost(names: Iterable[str]) -> list[str]:
    """Leave out of dotted names those that others begin with: `from google.cloud import storage` asks for one module."""
    ordered = sorted(set(names))  # a name stands right before those that begin with it: no letter is below the dot
    return [name for name, following in pairwise([*ordered, ""]) if not following.startswith(f"{name}.")]


def read_lock(root: Path) -> Lock:
    """Read the lock of a workspace."""
    versions = locked_versions((root / "uv.lock").read_text(encoding="utf-8"))
    named = (distribution_names(read_toml(root / path / "pyproject.toml")) for path in member_paths(root))
    return Lock(versions, {package: name for names in named for package, name in names.items()})


def fingerprint(entries: Iterable[str], root: Path, lock: Lock) -> str:
    """Describe what modules mean.

    Args:
        entries: the modules that a stage runs.
        root: of the workspace.
        lock: what it pins.

    Returns:
        One line per module, per data file and per third-party package; equal text, equal meaning.

    Raises:
        WorkbenchError: an entry is no module of the workspace, or a module cannot be parsed.
    """
    code: set[str] = set()
    data: set[str] = set()
    packages: set[str] = set()
    for entry in entries:
        try:
            for module in reach(entry, root):
                code.add(_code_line(module))
                data.update(_data_lines(module.folder, root))
                packages.update(direct_imports(module, root)[1])
        except KeyError:
            message = f"{entry} is not a module of this workspace, so nobody can say when its stage must rerun"
            raise WorkbenchError(message) from None
    third_party = sorted({line for name in innermost(packages) for line in lock.lines(name)})
    lines = [f"algorithm {ALGORITHM}", *sorted(code, key=lambda line: line[18:]), *sorted(data), *third_party]
    return "\n".join(lines) + "\n"


def write_fingerprints(folder: Path, root: Path) -> None:
    """Write the fingerprint of each stage of a folder's `dvc.yaml` that has one; a file that would stay equal is left alone."""
    lock = read_lock(root)
    texts = {
        stage.name: _of_stage(stage, folder, root, lock)
        for stage in read_stages(folder / "dvc.yaml")
        if stage.has_fingerprint
    }
    target = folder / FINGERPRINTS
    target.mkdir(exist_ok=True)
    for name, text in texts.items():
        file = target / name
        if not file.is_file() or file.read_text(encoding="utf-8") != text:
            draft = file.with_suffix(f".{os.getpid()}")
            draft.write_text(text, encoding="utf-8")
            draft.rename(file)


def _of_stage(stage: Stage, folder: Path, root: Path, lock: Lock) -> str:
    if not stage.modules:
        message = (
            f"{folder / 'dvc.yaml'}: stage {stage.name!r} does not run `python -m <module>`, so its code is unknown"
        )
        raise WorkbenchError(message)
    return fingerprint(stage.modules, root, lock)


def main() -> int:
    """Write the fingerprints of the `dvc.yaml` in the current folder, as DVC calls it."""
    try:
        write_fingerprints(Path.cwd(), find_root(Path.cwd()))
    except WorkbenchError as error:
        print(error, file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
