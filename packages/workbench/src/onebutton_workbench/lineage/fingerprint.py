"""Write what the code behind each stage means, as one small file per stage that DVC can compare.

This is the stage `code` of every `dvc.yaml`; it has the pipeline check its parameters, and writes `.code/<stage>` for each stage
beside it. A fingerprint covers the modules that the stage reaches (positions, comments, docstrings and layout do not count), the
data files that lie next to them or in folders below that are no packages, and the locked versions of the third-party packages
that they import. What git ignores and what editors leave behind does not count. It is the same on every Python.
"""

import ast
import hashlib
import os
import re
from collections.abc import Iterable
from functools import cache
from importlib import import_module
from importlib.metadata import distributions
from pathlib import Path
from typing import Any

from onebutton_contracts.dvc_files import FINGERPRINTS, read_plan
from onebutton_contracts.errors import require, run_stage
from onebutton_contracts.parameters import load_parameters
from onebutton_workbench.git import listed
from onebutton_workbench.lineage.imports import parse, read_imports
from onebutton_workbench.workspace import distribution, member_paths

LOCK = "uv.lock"  # in the root of the workspace alone
ALGORITHM = 1  # raise it when the meaning of a fingerprint changes: every stage then reruns once
DOCUMENTED = (ast.Module, ast.ClassDef, ast.FunctionDef, ast.AsyncFunctionDef)
NOT_DATA = {".py", ".pyc", ".pyi", ".typed"}
LEFT_BEHIND = (".", "#")  # how files begin that systems and editors leave behind; others end with `~`


def meaning(tree: Any) -> str:
    """Write a syntax tree, or a part of one, as text in which only what runs is left, not what is there to check types.

    `ast.dump` differs between versions of Python (new fields, empty lists shown or not), so this drops every field that is
    None or empty.
    """
    if isinstance(tree, list):
        return ",".join(filter(None, map(meaning, tree)))
    if not isinstance(tree, ast.AST):
        return repr(tree)
    if isinstance(tree, ast.Constant):
        return f"{type(tree.value).__name__}:{tree.value!r}"
    if isinstance(tree, ast.If) and "TYPE_CHECKING" in {getattr(tree.test, name, None) for name in ("id", "attr")}:
        return meaning(tree.orelse)
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


@cache
def _digest(file: Path, *, as_data: bool = False) -> str:
    content = file.read_bytes() if as_data else meaning(parse(file)).encode()
    return hashlib.sha256(content).hexdigest()[:16]


@cache
def data_files(root: Path) -> dict[Path, list[Path]]:
    """List what lies beside code, or in a folder below that is no package, by the folder of the code: a stage may read it.

    It is what git has, or is about to have. Code in a folder that is no package counts as data.
    """
    files = [root / name for name in listed(root, *(f"{path.as_posix()}/src" for path in member_paths(root)))]
    found: dict[Path, list[Path]] = {file.parent: [] for file in files if file.name == "__init__.py"}
    for file in files:
        package = next((folder for folder in file.parents if folder in found), file)
        inside = file.relative_to(package).parts
        left_behind = file.name.endswith("~") or any(part.startswith(LEFT_BEHIND) for part in inside)
        if inside and not left_behind and (file.suffix not in NOT_DATA or (file.suffix == ".py" and len(inside) > 1)):
            found[package].append(file)
    return found


@cache
def locked_versions(root: Path) -> dict[str, str]:
    """Read from `uv.lock` each distribution's version, all of them where the platforms differ.

    A TOML parser takes a second for a lock of this size; uv writes the two lines that matter in a fixed order.
    """
    versions: dict[str, set[str]] = {}
    lock = (root / LOCK).read_text(encoding="utf-8")
    for name, version in re.findall(r'^name = "(.*)"\nversion = "(.*)"$', lock, re.MULTILINE):
        versions.setdefault(name, set()).add(version)
    return {name: "|".join(sorted(found)) for name, found in versions.items()}


@cache
def _installed_with(package: str) -> set[str]:
    """Name the installed distributions with a package; `packages_distributions` says the same in ten times as long."""
    files = re.compile(rf"^{re.escape(package)}[/.]", re.MULTILINE)
    return {distribution(one.name) for one in distributions() if files.search(one.read_text("RECORD") or "")}


def fingerprint(entries: Iterable[str], root: Path) -> str:
    """Describe what the modules that a stage runs mean, with the third-party versions that are locked.

    Returns:
        One line per module, per data file and per third-party package; equal text, equal meaning.

    Raises:
        InputError: an entry is no module of the workspace, or a module cannot be parsed.
    """
    imports, versions = read_imports(root), locked_versions(root)
    modules, packages = imports.reached(entries)
    code = [f"{_digest(imports.files[name])}  {name}" for name in sorted(modules)]
    folders = {imports.files[name].parent for name in modules}
    data = [
        f"{_digest(file, as_data=True)}  {file.relative_to(folder.parent).as_posix()}"
        for folder in folders
        for file in data_files(root).get(folder, [])
    ]
    third_party = set[str]()
    for package in packages:
        # the distribution of its name brings it, or else, as pillow brings PIL, those that are installed with it
        named = distribution(package)
        brought = [named] if named in versions else _installed_with(package) & versions.keys()
        third_party |= {f"{one}=={versions[one]}" for one in brought} or {f"{package}==not locked"}
    return "\n".join([f"algorithm {ALGORITHM}", *code, *sorted(data), *sorted(third_party)]) + "\n"


def write_fingerprints(folder: Path, root: Path) -> None:
    """Write the fingerprint of each stage of a folder's `dvc.yaml` that has one; a file that would stay equal is left alone.

    Raises:
        InputError: as `fingerprint`, or a stage runs no module; no fingerprint is written then.
    """
    texts = {}
    for stage in (one for one in read_plan(folder / "dvc.yaml").stages if one.fingerprint in one.deps):
        unknown = f"{folder}/dvc.yaml: stage {stage.name!r} runs no `python -m <module>`, so its code is unknown"
        require(stage.modules, unknown)
        texts[folder / stage.fingerprint] = fingerprint(stage.modules, root)
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
    folder = Path.cwd()
    root = next(one for one in (folder, *folder.parents) if (one / LOCK).is_file())
    packages = {module.partition(".")[0] for stage in read_plan(folder / "dvc.yaml").stages for module in stage.modules}
    for module in sorted(f"{package}.params" for package in packages):
        if module in read_imports(root).files:
            load_parameters(import_module(module).Params)
    write_fingerprints(folder, root)


if __name__ == "__main__":
    run_stage(main)
