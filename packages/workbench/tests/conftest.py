"""Temporary workspaces, and a git that never sees the repository that runs the tests."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
from collections.abc import Callable
from importlib.metadata import distribution
from pathlib import Path
from typing import Any, Protocol

import jsonschema_rs
import pytest

from onebutton_contracts.dvc_files import read_yaml
from onebutton_workbench.lineage import fingerprint
from onebutton_workbench.lineage.imports import read_imports

ROOT = Path(__file__).resolve().parents[3]


class Shell(Protocol):
    """Runs a command in a folder; the test fails when its status is not the expected one."""

    def __call__(self, *command: str, folder: Path, status: int | None = 0, **extra: str) -> str: ...


def pristine() -> dict[str, str]:
    """The environment without what a hook or a pressed button would leak into a test."""
    foreign = ("GIT_", "GITHUB_", "BUTTON_", "MAKE", "MFLAGS", "PYTEST_", "COV_", "PRE_COMMIT", "MLFLOW_")
    return {name: value for name, value in os.environ.items() if not name.startswith(foreign)}


@pytest.fixture(scope="session")
def breaks_standard() -> Callable[[Path], list[str]]:
    """Say what in the file of a contract breaks the JSON schema of the Open Data Contract Standard."""
    schema = distribution("open-data-contract-standard").locate_file("open_data_contract_standard/schema.json")
    validator = jsonschema_rs.validator_for(json.loads(Path(str(schema)).read_text(encoding="utf-8")))

    def breaks(file: Path) -> list[str]:
        as_json = json.dumps(read_yaml(file), default=str)  # of a date its text
        return [error.message for error in validator.iter_errors(json.loads(as_json))]

    return breaks


@pytest.fixture(autouse=True)
def _no_leaks(monkeypatch: pytest.MonkeyPatch) -> None:
    """Hooks export GIT_INDEX_FILE and friends: with them a git in a temporary repo writes into the user's index.

    GitHub says in GITHUB_* what it runs, which is not what a test is about.
    """
    for name in list(os.environ):
        if name.startswith(("GIT_", "GITHUB_", "BUTTON_")):
            monkeypatch.delenv(name)


@pytest.fixture(scope="session")
def shell() -> Shell:
    """Run commands as a person would, on the tools of the locked environment, and return all that they print."""

    def call(*command: str, folder: Path, status: int | None = 0, **extra: str) -> str:
        path = f"{ROOT / '.venv/bin'}:{ROOT / '.tools/bin'}:{os.environ['PATH']}"
        identity = {
            f"GIT_{role}_{what}": f"test@{role}" for role in ("AUTHOR", "COMMITTER") for what in ("NAME", "EMAIL")
        }
        environment: dict[str, Any] = pristine() | {"PATH": path, "DVC_NO_ANALYTICS": "1"} | identity | extra
        done = subprocess.run(
            command,
            cwd=folder,
            env=environment,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            check=False,
        )
        assert status is None or done.returncode == status, f"{command} ended with {done.returncode}:\n{done.stdout}"
        return done.stdout

    return call


@pytest.fixture(scope="session")
def copy_of_this_repo(shell: Shell) -> Callable[[Path], Path]:
    """Commit this repo as it stands on disk into another folder, without an environment."""

    def copy(folder: Path) -> Path:
        listed = shell("git", "ls-files", "-z", "--cached", "--others", "--exclude-standard", folder=ROOT)
        for name in filter(None, listed.split("\0")):
            if (ROOT / name).is_file():
                (folder / name).parent.mkdir(parents=True, exist_ok=True)
                shutil.copy2(ROOT / name, folder / name)
        shell("git", "init", "--quiet", "--initial-branch", "main", folder=folder)
        shell("git", "add", "--all", folder=folder)
        shell("git", "commit", "--quiet", "--no-verify", "--message", "as it stands", folder=folder)
        return folder

    return copy


@pytest.fixture
def clone(tmp_path: Path, copy_of_this_repo: Callable[[Path], Path]) -> Path:
    """This repo as it stands on disk, committed, without an environment."""
    return copy_of_this_repo(tmp_path / "clone")


@pytest.fixture(autouse=True)
def forget() -> Callable[[], None]:
    """Forget what was read: sources are read once per program, and a test is many programs in one."""

    def clear() -> None:
        for cached in (read_imports, fingerprint._digest, fingerprint.data_files, fingerprint.locked_versions):
            cached.cache_clear()

    clear()
    return clear


@pytest.fixture
def workspace(tmp_path: Path, write_workspace: Callable[[Path], Path]) -> Path:
    """A small workspace: `shared` is imported by `lib`, which the stages of `pipe` import; nobody imports `other`."""
    return write_workspace(tmp_path)


@pytest.fixture(scope="session")
def write_workspace() -> Callable[[Path], Path]:
    """Write the small workspace into a folder."""
    return _write_workspace


def _write_workspace(folder: Path) -> Path:
    files = {
        "pyproject.toml": '[tool.uv.workspace]\nmembers = ["packages/*", "pipelines/*"]\n',
        "uv.lock": "version = 1\n"
        + "".join(
            f'\n[[package]]\nname = "{name}"\nversion = "{version}"\n'
            for name, version in (("numpy", "2.0.0"), ("polars", "1.0.0"))
        ),
        "packages/shared/src/shared/__init__.py": "",
        "packages/shared/src/shared/words.txt": "one\n",
        "packages/shared/src/shared/res/en/table.csv": "1\n",
        "packages/shared/src/shared/deep.py": (
            "from typing import TYPE_CHECKING\n\nimport numpy\n\nif TYPE_CHECKING:\n    import lib\n\n\n"
            'def f(x):\n    """Say."""\n    return x + 1  # why\n'
        ),
        "packages/lib/src/lib/__init__.py": "",
        "packages/lib/src/lib/mid.py": "from shared import deep\n\n\ndef g(x):\n    return deep.f(x)\n",
        "packages/other/src/other/__init__.py": "def h():\n    return 1\n",
        "pipelines/pipe/src/pipe/__init__.py": "",
        "pipelines/pipe/src/pipe/first.py": "print('first')\n",
        "pipelines/pipe/src/pipe/second.py": "def main():\n    from lib.mid import g\n\n    print(g(1))\n\n\nmain()\n",
        "pipelines/pipe/dvc.yaml": (
            "stages:\n"
            "  code:\n    cmd: python -m onebutton_workbench.lineage.fingerprint\n    always_changed: true\n"
            "    outs:\n      - .code/first: {cache: false}\n      - .code/second: {cache: false}\n"
            "  first:\n    cmd: python -m pipe.first\n    deps: [.code/first]\n"
            "  second:\n    cmd: python -m pipe.second\n    deps: [.code/second]\n"
        ),
    }
    declared = {
        "packages/shared": "numpy",
        "packages/lib": "shared",
        "packages/other": "",
        "pipelines/pipe": "lib>=0.1",
    }
    for member, requires in declared.items():
        dependencies = f'dependencies = ["{requires}"]\n' if requires else ""
        files[f"{member}/pyproject.toml"] = f'[project]\nname = "{member.split("/")[1]}"\n{dependencies}'
    for name, text in files.items():
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text, encoding="utf-8")
    subprocess.run(["git", "init", "--quiet", "--initial-branch", "main"], cwd=folder, env=pristine(), check=True)
    return folder
