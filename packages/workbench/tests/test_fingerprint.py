from __future__ import annotations

import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from onebutton_workbench import closure
from onebutton_workbench.fingerprint import locked_versions, write_fingerprints
from onebutton_workbench.workspace import ROOT, WorkbenchError


@pytest.fixture
def fingerprints(workspace: Path, forget: Callable[[], None]) -> Callable[[], dict[str, str]]:
    """Write the fingerprints of the small workspace afresh and read them."""

    def write() -> dict[str, str]:
        forget()
        folder = workspace / "pipelines/pipe"
        write_fingerprints(folder, workspace)
        return {file.name: file.read_text(encoding="utf-8") for file in sorted((folder / ".code").iterdir())}

    return write


def edit(root: Path, name: str, old: str, new: str) -> None:
    file = root / name
    text = file.read_text(encoding="utf-8")
    assert old in text
    file.write_text(text.replace(old, new), encoding="utf-8")


DEEP = "packages/shared/src/shared/deep.py"
MEANINGLESS: dict[str, Callable[[Path], None]] = {
    "a comment": lambda root: edit(root, DEEP, "# why", "# because"),
    "a docstring": lambda root: edit(root, DEEP, "Say.", "Say something else."),
    "a docstring taken away": lambda root: edit(root, DEEP, '    """Say."""\n', ""),
    "a reformat": lambda root: edit(root, DEEP, "x + 1", "(x\n            + 1)"),
    "a module that no stage imports": lambda root: edit(root, "packages/other/src/other/__init__.py", "1", "2"),
    "a package that no stage imports": lambda root: edit(root, "uv.lock", 'version = "1.0.0"', 'version = "1.0.1"'),
    "an import for type checkers alone": lambda root: edit(root, DEEP, "    import lib\n", "    import other\n"),
}
MEANT: dict[str, Callable[[Path], None]] = {
    "a function three imports deep": lambda root: edit(root, DEEP, "x + 1", "x + 2"),
    "a third-party version": lambda root: edit(root, "uv.lock", 'version = "2.0.0"', 'version = "2.1.0"'),
    "a fork of a third-party version": lambda root: edit(
        root, "uv.lock", 'version = "2.0.0"\n', 'version = "2.0.0"\n\n[[package]]\nname = "numpy"\nversion = "1.9.0"\n'
    ),
    "a data file beside the code": lambda root: edit(root, "packages/shared/src/shared/words.txt", "one", "two"),
    "an __init__ on the way": lambda root: edit(root, "packages/lib/src/lib/__init__.py", "", "x = 1\n"),
}


@pytest.mark.parametrize("change", MEANINGLESS, ids=str)
def test_what_means_nothing_leaves_every_fingerprint(
    workspace: Path, fingerprints: Callable[[], dict[str, str]], change: str
) -> None:
    before = fingerprints()
    MEANINGLESS[change](workspace)
    assert fingerprints() == before


@pytest.mark.parametrize("change", MEANT, ids=str)
def test_what_means_something_changes_the_stages_that_reach_it_and_no_other(
    workspace: Path, fingerprints: Callable[[], dict[str, str]], change: str
) -> None:
    before = fingerprints()
    MEANT[change](workspace)
    after = fingerprints()
    assert after["second"] != before["second"]
    assert after["first"] == before["first"]


def test_every_form_of_import_is_followed(workspace: Path) -> None:
    package = workspace / "packages/forms/src/forms"
    (package / "inner").mkdir(parents=True)
    (workspace / "packages/forms/pyproject.toml").write_text('[project]\nname = "forms"\n', encoding="utf-8")
    for name in ("__init__", "a", "b", "c", "d", "e", "inner/__init__", "inner/x"):
        (package / f"{name}.py").write_text("", encoding="utf-8")
    (package / "inner/x.py").write_text("from .. import a\nfrom ..b import thing\nfrom . import y\n", encoding="utf-8")
    (package / "inner/y.py").write_text(
        "import forms.c as c\n\n\ndef late():\n    from forms import d\n", encoding="utf-8"
    )
    (package / "c.py").write_text('import importlib\nimportlib.import_module("forms.e")\n', encoding="utf-8")
    closure.find_modules.cache_clear()
    modules = closure.reach("forms.inner.x", workspace)
    expected = {
        "forms",
        "forms.a",
        "forms.b",
        "forms.c",
        "forms.d",
        "forms.e",
        "forms.inner",
        "forms.inner.x",
        "forms.inner.y",
    }
    assert {module.name for module in modules} == expected


def test_a_syntax_error_is_named_with_its_line(workspace: Path, fingerprints: Callable[[], dict[str, str]]) -> None:
    edit(workspace, DEEP, "x + 1", "x +")
    with pytest.raises(WorkbenchError, match=r"deep\.py:11: "):
        fingerprints()


def test_a_fingerprint_that_would_stay_equal_is_not_written_again(
    workspace: Path, fingerprints: Callable[[], dict[str, str]]
) -> None:
    fingerprints()
    file = workspace / "pipelines/pipe/.code/second"
    written = file.stat().st_mtime_ns
    fingerprints()
    assert file.stat().st_mtime_ns == written


def test_the_lock_is_read_as_a_toml_parser_would() -> None:
    import tomllib

    text = (ROOT / "uv.lock").read_text(encoding="utf-8")
    parsed: dict[str, set[str]] = {}
    for package in tomllib.loads(text)["package"]:
        parsed.setdefault(package["name"], set()).add(package.get("version", ""))
    read = {name: set(versions.split("|")) for name, versions in locked_versions(text).items()}
    assert read == {name: versions for name, versions in parsed.items() if versions != {""}}


def test_fingerprints_are_equal_on_every_python_at_hand(workspace: Path) -> None:
    """Over all modules of this repo: syntax trees differ between versions, their meaning must not."""
    program = (
        "import sys, hashlib, ast; sys.path.insert(0, sys.argv[1]); sys.dont_write_bytecode = True\n"
        "from onebutton_workbench.fingerprint import meaning\n"
        "from pathlib import Path\n"
        "files = sorted(Path(sys.argv[2]).glob('*/*/src/**/*.py'))\n"
        "print(len(files), *(hashlib.sha256(meaning(ast.parse(f.read_bytes())).encode()).hexdigest()[:12] for f in files))\n"
    )
    source = str(ROOT / "packages/workbench/src")
    answers = {}
    for python in {sys.executable, *filter(None, (shutil.which(f"python3.{minor}") for minor in range(11, 16)))}:
        done = subprocess.run(
            [python, "-c", program, source, str(ROOT)], capture_output=True, text=True, check=False, cwd=workspace
        )
        if done.returncode == 0:  # a shim without its Python behind it is not at hand
            answers[python] = done.stdout
    assert answers[sys.executable]
    assert len(set(answers.values())) == 1, answers.keys()
