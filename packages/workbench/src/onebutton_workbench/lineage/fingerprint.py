"""Write what the code behind each stage means, as one small file per stage that DVC can compare.

This is the stage `code` of every `dvc.yaml`; it has the pipeline check its parameters, and writes `.code/<stage>` for each stage
beside it. A fingerprint covers the modules that the stage reaches (positions, comments, docstrings and layout do not count), the
data files that lie next to them or in folders below that are no packages, and the locked versions of the third-party packages
that they import. What git ignores and what editors leave behind does not count. It is the same on every Python.
"""

from __future__ import annotations

import ast
import hashlib
import os
import re
from collections.abc import Iterable, Mapping
from functools import cache
from importlib import import_module
from importlib.metadata import distributions
from itertools import pairwise
from pathlib import Path
from typing import Any

from onebutton_contracts.dvc_files import FINGERPRINTS, read_plan
from onebutton_contracts.errors import InputError, run_stage
from onebutton_contracts.parameters import load_parameters
from onebutton_workbench.git import listed
from onebutton_workbench.lineage.imports import parse, read_imports
from onebutton_workbench.workspace import distribution, find_root, member_paths

ALGORITHM = 1  # raise it when the meaning of a fingerprint changes: every stage then reruns once
DOCUMENTED = (ast.Module, ast.ClassDef, ast.FunctionDef, ast.AsyncFunctionDef)
NOT_DATA = {".py", ".pyc", ".pyi", ".typed"}
LEFT_BEHIND = (".", "#")  # how files begin that systems and editors leave behind; others end with `~`


def meaning(tree: Any) -> str:
    """Write a syntax tree, or a part of one, as text in which only what runs is left.

    `ast.dump` differs between versions of Python (new fields, empty lists shown or not), so this drops every field that is
    None or empty.
    """
    if isinstance(tree, list):
        return ",".join([meaning(item) for item in tree])
    if not isinstance(tree, ast.AST):
        return repr(tree)
    if isinstance(tree, ast.Constant):
        return f"{type(tree.value).__name__}:{tree.value!r}"
    fields = []
    for name in tree._fields:
        value = getattr(tree, name, None)
        if value is None or name == "type_comment":
            continue
        if name == "body" and isinstance(tree, DOCUMENTED) and ast.get_docstring(tree, clean=False) is not None:
            value = value[1:]
        if text := meaning(value):
            fields.append(f"{name}={text}")
    return f"{type(tree).__name__}({';'.join(fields)})"


def _digest(content: str | bytes) -> str:
    return hashlib.sha256(content.encode() if isinstance(content, str) else content).hexdigest()[:16]


class _DropTypeChecking(ast.NodeTransformer):
    def visit_If(self, node: ast.If) -> ast.AST | list[ast.stmt]:
        self.generic_visit(node)
        names = {getattr(node.test, "id", None), getattr(node.test, "attr", None)}
        return node.orelse if "TYPE_CHECKING" in names else node


@cache
def _digest_of_code(file: Path) -> str:
    tree = parse(file)
    return _digest(meaning(_DropTypeChecking().visit(tree) if b"TYPE_CHECKING" in file.read_bytes() else tree))


@cache
def _digest_of_data(file: Path) -> str:
    return _digest(file.read_bytes())


@cache
def data_files(root: Path) -> dict[Path, list[Path]]:
    """List what lies beside code, or in a folder below that is no package, by the folder of the code: a stage may read it.

    It is what git has, or is about to have. Code in a folder that is no package counts as data.
    """
    files = [root / name for name in listed(root, *(f"{path.as_posix()}/src" for path in member_paths(root)))]
    packages = {file.parent for file in files if file.name == "__init__.py"}
    found: dict[Path, list[Path]] = {package: [] for package in packages}
    for file in files:
        package = next((folder for folder in file.parents if folder in packages), None)
        inside = file.relative_to(package).parts if package else ()
        left_behind = file.name.endswith("~") or any(part.startswith(LEFT_BEHIND) for part in inside)
        is_data = file.suffix not in NOT_DATA or (file.suffix == ".py" and len(inside) > 1)
        if package and is_data and not left_behind:
            found[package].append(file)
    return found


@cache
def locked_versions(root: Path) -> dict[str, str]:
    """Read from `uv.lock` each distribution's version, all of them where the platforms differ.

    A TOML parser takes a second for a lock of this size; uv writes the two lines that matter in a fixed order.
    """
    versions: dict[str, set[str]] = {}
    for name, version in pairwise((root / "uv.lock").read_text(encoding="utf-8").splitlines()):
        if name.startswith('name = "') and version.startswith('version = "'):
            versions.setdefault(name[8:-1], set()).add(version[11:-1])
    return {name: "|".join(sorted(found)) for name, found in versions.items()}


def _brought_by(package: str, versions: Mapping[str, str]) -> list[str]:
    """Describe which locked distributions bring a package: the one of its name, or those that are installed with it.

    PIL comes from pillow, and several may share a name such as google.
    """
    named = package.lower().replace("_", "-")
    found = [named] if named in versions else sorted(_installed_with(package) & versions.keys())
    return [f"{one}=={versions[one]}" for one in found] or [f"{package}==not locked"]


@cache
def _installed_with(package: str) -> set[str]:
    """Name the installed distributions with a package; `packages_distributions` says the same in ten times as long."""
    files = re.compile(rf"^{re.escape(package)}[/.]", re.MULTILINE)
    return {distribution(one.name) for one in distributions() if files.search(one.read_text("RECORD") or "")}


def fingerprint(entries: Iterable[str], root: Path, versions: Mapping[str, str]) -> str:
    """Describe what the modules that a stage runs mean, with the third-party versions that are locked.

    Returns:
        One line per module, per data file and per third-party package; equal text, equal meaning.

    Raises:
        InputError: an entry is no module of the workspace, or a module cannot be parsed.
    """
    imports = read_imports(root)
    modules, packages = imports.reached(entries)
    code = [f"{_digest_of_code(imports.files[name])}  {name}" for name in sorted(modules)]
    folders = {imports.files[name].parent for name in modules}
    data = [
        f"{_digest_of_data(file)}  {file.relative_to(folder.parent).as_posix()}"
        for folder in folders
        for file in data_files(root).get(folder, [])
    ]
    third_party = {line for package in packages for line in _brought_by(package, versions)}
    return "\n".join([f"algorithm {ALGORITHM}", *code, *sorted(data), *sorted(third_party)]) + "\n"


def write_fingerprints(folder: Path, root: Path) -> None:
    """Write the fingerprint of each stage of a folder's `dvc.yaml` that has one; a file that would stay equal is left alone.

    Raises:
        InputError: as `fingerprint`, or a stage runs no module; no fingerprint is written then.
    """
    texts = {}
    for stage in (one for one in read_plan(folder / "dvc.yaml").stages if one.fingerprint in one.deps):
        if not stage.modules:
            raise InputError(
                f"{folder}/dvc.yaml: stage {stage.name!r} runs no `python -m <module>`, so its code is unknown"
            )
        texts[folder / stage.fingerprint] = fingerprint(stage.modules, root, locked_versions(root))
    (folder / FINGERPRINTS).mkdir(exist_ok=True)
    for file, text in texts.items():
        if not file.is_file() or file.read_text(encoding="utf-8") != text:
            draft = file.with_suffix(f".{os.getpid()}")
            draft.write_text(text, encoding="utf-8")
            draft.rename(file)


def main() -> None:
    """Do what the stage `code` does in the current folder.

    Raises:
        InputError: as `write_fingerprints`; or a parameter is unknown, missing or not of its type.
    """
    folder, root = Path.cwd(), find_root(Path.cwd())
    packages = {module.partition(".")[0] for stage in read_plan(folder / "dvc.yaml").stages for module in stage.modules}
    for module in sorted(f"{package}.params" for package in packages):
        if module in read_imports(root).files:
            load_parameters(import_module(module).Params)
    write_fingerprints(folder, root)


if __name__ == "__main__":
    run_stage(main)
