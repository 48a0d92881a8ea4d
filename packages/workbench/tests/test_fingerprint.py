from __future__ import annotations

import contextlib
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from onebutton_contracts.errors import InputError
from onebutton_workbench.lineage import fingerprint
from onebutton_workbench.lineage.fingerprint import locked_versions, write_fingerprints
from onebutton_workbench.lineage.imports import read_imports
from onebutton_workbench.workspace import ROOT


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
MEANINGLESS: dict[str, Callable[[Path], object]] = {
    "a comment": lambda root: edit(root, DEEP, "# why", "# because"),
    "a docstring": lambda root: edit(root, DEEP, "Say.", "Say something else."),
    "a docstring taken away": lambda root: edit(root, DEEP, '    """Say."""\n', ""),
    "a reformat": lambda root: edit(root, DEEP, "x + 1", "(x\n            + 1)"),
    "a module that no stage imports": lambda root: edit(root, "packages/other/src/other/__init__.py", "1", "2"),
    "a package that no stage imports": lambda root: edit(root, "uv.lock", 'version = "1.0.0"', 'version = "1.0.1"'),
    "what macOS and editors leave behind": lambda root: [
        (root / f"packages/shared/src/shared/{name}").write_text("", encoding="utf-8")
        for name in (".DS_Store", ".deep.py.swp", "words.txt~", "#words.txt#")
    ],
    "an import for type checkers alone": lambda root: edit(root, DEEP, "    import lib\n", "    import other\n"),
}
MEANT: dict[str, Callable[[Path], None]] = {
    "a function three imports deep": lambda root: edit(root, DEEP, "x + 1", "x + 2"),
    "a third-party version": lambda root: edit(root, "uv.lock", 'version = "2.0.0"', 'version = "2.1.0"'),
    "a fork of a third-party version": lambda root: edit(
        root, "uv.lock", 'version = "2.0.0"\n', 'version = "2.0.0"\n\n[[package]]\nname = "numpy"\nversion = "1.9.0"\n'
    ),
    "a data file beside the code": lambda root: edit(root, "packages/shared/src/shared/words.txt", "one", "two"),
    "a data file in a folder below": lambda root: edit(root, "packages/shared/src/shared/res/en/table.csv", "1", "2"),
    "an __init__ on the way": lambda root: edit(root, "packages/lib/src/lib/__init__.py", "", "x = 1\n"),
}


@pytest.mark.parametrize("change", MEANINGLESS, ids=str)
def test_what_means_nothing_leaves_every_fingerprint(
    workspace: Path, fingerprints: Callable[[], dict[str, str]], change: str
) -> None:
    before = fingerprints()
    MEANINGLESS[change](workspace)
    assert fingerprints() == before


@pytest.mark.parametrize(("said", "refusal"), [("seed: 1\n", ""), ("sed: 1\n", "sed: unknown key")])
def test_parameters_that_the_pipeline_refuses_stop_the_stage_code_before_it_writes(
    workspace: Path, monkeypatch: pytest.MonkeyPatch, said: str, refusal: str
) -> None:
    folder = workspace / "pipelines/pipe"
    words = "from onebutton_contracts.parameters import Parameters\n\nclass Params(Parameters):\n    seed: int\n"
    (folder / "src/pipe/params.py").write_text(words, encoding="utf-8")
    (folder / "params.yaml").write_text(said, encoding="utf-8")
    monkeypatch.chdir(folder)
    monkeypatch.syspath_prepend(folder / "src")
    for name in [name for name in sys.modules if name.partition(".")[0] == "pipe"]:
        monkeypatch.delitem(sys.modules, name)
    with pytest.raises(InputError, match=refusal) if refusal else contextlib.nullcontext():
        fingerprint.main()
    assert (folder / ".code/first").is_file() is not bool(refusal)


@pytest.mark.parametrize("change", MEANT, ids=str)
def test_what_means_something_changes_the_stages_that_reach_it_and_no_other(
    workspace: Path, fingerprints: Callable[[], dict[str, str]], change: str
) -> None:
    before = fingerprints()
    MEANT[change](workspace)
    after = fingerprints()
    assert after["second"] != before["second"]
    assert after["first"] == before["first"]


FORMS = {
    **dict.fromkeys(("__init__", *"abcdefgh", "inner/__init__", "inner/z", "run/__init__"), ""),
    "inner/x": "from .. import a\nfrom ..b import thing\nfrom . import y\n",
    "inner/y": "import forms.c as c\n\n\ndef late():\n    from forms import d\n",
    "c": "try:\n    from forms.e import thing as other\nexcept ImportError:\n    import forms.f, os.path\n",
    "d": "match 1:\n    case 1:\n        from .g import *\n    case _:\n        import polars.selectors as cs\n",
    "f": "import typing\nif typing.TYPE_CHECKING:\n    import numpy\nelse:\n    from forms import h\n",
    "run/__main__": "from forms.inner import x\n",
}


def test_every_form_of_import_is_followed(workspace: Path) -> None:
    package = workspace / "packages/forms/src/forms"
    for folder in ("inner", "run"):
        (package / folder).mkdir(parents=True)
    (workspace / "packages/forms/pyproject.toml").write_text('[project]\nname = "forms"\n', encoding="utf-8")
    for name, text in FORMS.items():
        (package / f"{name}.py").write_text(text, encoding="utf-8")
    modules, packages = read_imports(workspace).reached(["forms.run"])
    assert modules == {
        "forms",
        *(f"forms.{name}" for name in "abcdefgh"),
        *("forms.inner", "forms.inner.x", "forms.inner.y", "forms.run", "forms.run.__main__"),
    }
    assert packages == {"polars"}


def test_code_that_cannot_be_followed_counts_as_data_beside_the_code(
    workspace: Path, fingerprints: Callable[[], dict[str, str]]
) -> None:
    scripts = workspace / "packages/shared/src/shared/scripts"
    scripts.mkdir()
    before = fingerprints()
    (scripts / "tool.py").write_text("x = 1\n", encoding="utf-8")  # no package: there is no __init__.py
    assert fingerprints()["second"] != before["second"]


def test_a_package_that_cannot_be_read_stops_only_what_reaches_it(
    workspace: Path, fingerprints: Callable[[], dict[str, str]]
) -> None:
    before = fingerprints()
    for text in (b"x = (\n", b"x = '\xe9'\n"):
        (workspace / "packages/other/src/other/__init__.py").write_bytes(text)
        assert fingerprints() == before


def test_what_git_ignores_beside_the_code_is_no_part_of_it(
    workspace: Path, fingerprints: Callable[[], dict[str, str]], shell: Any
) -> None:
    (workspace / ".gitignore").write_text("*.log\n.code/\n", encoding="utf-8")
    shell("git", "init", "--quiet", folder=workspace)
    before = fingerprints()
    folder = workspace / "packages/shared/src/shared"
    (folder / "mine.log").write_text("", encoding="utf-8")
    assert fingerprints() == before
    (folder / "mine.txt").write_text("", encoding="utf-8")  # git is about to have it
    assert fingerprints()["second"] != before["second"]


@pytest.mark.parametrize(
    ("line", "brought_by"),
    [
        ("from PIL import Image", ["pillow==11.0.0"]),
        ("from dateutil.parser import parse", ["python-dateutil==2.9.0"]),
        ("from google.cloud import storage", ["google-cloud-storage==3.0.0", "protobuf==6.0.0"]),  # which: nobody asks
        ("import nowhere.at_all", ["nowhere==not locked"]),
    ],
)
def test_a_package_is_locked_under_the_name_of_its_distribution(
    workspace: Path,
    tmp_path_factory: pytest.TempPathFactory,
    monkeypatch: pytest.MonkeyPatch,
    line: str,
    brought_by: list[str],
) -> None:
    site = tmp_path_factory.mktemp("site")
    installed = {
        "pillow": ("11.0.0", "PIL/Image.py"),
        "python_dateutil": ("2.9.0", "dateutil/parser/__init__.py"),
        "google_cloud_storage": ("3.0.0", "google/cloud/storage/__init__.py"),
        "google_cloud_other": ("1.0.0", "google/cloud/other/__init__.py"),  # installed, and in no lock
        "protobuf": ("6.0.0", "google/protobuf/message.py"),
    }
    for name, (version, file) in installed.items():
        info = site / f"{name}-{version}.dist-info"
        info.mkdir()
        (info / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {name}\nVersion: {version}\n", encoding="utf-8")
        (info / "RECORD").write_text(f"{file},,\n{info.name}/METADATA,,\n", encoding="utf-8")
        (site / file).parent.mkdir(parents=True, exist_ok=True)
        (site / file).touch()  # importlib_metadata, which MLflow imports, leaves out files that are not there
    monkeypatch.setattr(sys, "path", [str(site)])
    fingerprint._installed_with.cache_clear()
    locked = {name.replace("_", "-"): version for name, (version, _) in installed.items() if "other" not in name}
    lock = "".join(f'[[package]]\nname = "{name}"\nversion = "{version}"\n' for name, version in locked.items())
    (workspace / "uv.lock").write_text(lock, encoding="utf-8")
    edit(workspace, "pipelines/pipe/src/pipe/first.py", "print('first')", line)
    text = fingerprint.fingerprint(["pipe.first"], workspace)
    monkeypatch.undo()
    fingerprint._installed_with.cache_clear()
    assert [line for line in text.splitlines() if "==" in line] == brought_by


def test_a_syntax_error_is_named_with_its_line(workspace: Path, fingerprints: Callable[[], dict[str, str]]) -> None:
    edit(workspace, DEEP, "x + 1", "x +")
    with pytest.raises(InputError, match=r"deep\.py:11: "):
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
    read = {name: set(versions.split("|")) for name, versions in locked_versions(ROOT).items()}
    assert read == {name: versions for name, versions in parsed.items() if versions != {""}}


@pytest.mark.slow
def test_fingerprints_are_equal_on_every_python_at_hand(workspace: Path) -> None:
    """Over all modules of this repo: syntax trees differ between versions, their meaning must not."""
    program = (
        "import sys, hashlib, ast; sys.path.insert(0, sys.argv[1]); sys.dont_write_bytecode = True\n"
        "from onebutton_workbench.lineage.fingerprint import meaning\n"
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
