"""What the doctor sees of hooks, and of the places that models are deployed to."""

from __future__ import annotations

import socket
from collections.abc import Callable
from pathlib import Path

import pytest

from onebutton_workbench.data.access import Access, try_environments
from onebutton_workbench.runs import doctor

LOCAL = """\
[environments.local]
store = ".releases"
servers = { "*" = ["http://127.0.0.1:PORT"] }
may_deploy = ["*"]
on_call = "you"
laptop = true
"""
PRODUCTION = """\
[environments.production]
store = "mounted"
servers = { toy = ["http://127.0.0.1:PORT"] }
may_deploy = ["*"]
on_call = "Ann, +1 555 0100"
"""


@pytest.fixture
def root(tmp_path: Path) -> Path:
    (tmp_path / "pipelines/toy").mkdir(parents=True)
    (tmp_path / "pipelines/toy/dvc.yaml").touch()
    (tmp_path / "deploy").mkdir()
    return tmp_path


def seen(root: Path, environments: str) -> Access:
    with socket.create_server(("127.0.0.1", 0)) as server:
        port = server.getsockname()[1]  # nobody listens there once it is closed
    (root / "deploy/environments.toml").write_text(environments.replace("PORT", str(port)), encoding="utf-8")
    (access,) = try_environments(root)
    return access


def test_a_laptop_is_well_without_release_store_and_server_and_looking_makes_none(root: Path) -> None:
    assert seen(root, LOCAL).has
    assert not (root / ".releases").exists()
    (root / ".releases").mkdir()
    access = seen(root, LOCAL)
    assert access.has
    assert access.words == "has .releases, toy not deployed yet; `make serve` starts its server"


def test_a_release_store_that_is_not_there_names_whom_to_call(root: Path) -> None:
    access = seen(root, PRODUCTION)
    assert not access.has
    assert access.words.startswith("has not: production keeps releases in ")
    assert "On call: Ann, +1 555 0100" in access.words


def test_a_server_that_does_not_answer_is_named(root: Path) -> None:
    (root / "mounted").mkdir()
    access = seen(root, PRODUCTION)
    assert not access.has
    assert "toy not deployed yet, but http://127.0.0.1:" in access.words
    assert access.words.endswith("does not answer. On call: Ann, +1 555 0100")


def test_a_fault_in_the_file_is_told_and_the_doctor_goes_on(root: Path) -> None:
    access = seen(root, LOCAL + "surprise = 1\n")
    assert not access.has
    assert "surprise" in access.words


def test_hooks_of_a_persons_own_are_told_as_setup_tells_them(
    tmp_path: Path, shell: Callable[..., str], monkeypatch: pytest.MonkeyPatch
) -> None:
    shell("git", "init", "--quiet", folder=tmp_path)
    monkeypatch.setattr(doctor, "ROOT", tmp_path)
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.delenv("XDG_CONFIG_HOME", raising=False)
    (tmp_path / ".gitconfig").write_text("[core]\n\thooksPath = /company/hooks\n", encoding="utf-8")
    (hooks,) = [found for found in doctor.repository() if "hook" in found.subject]
    assert (hooks.subject, hooks.state) == ("hooks", "NOT RUN")
    assert hooks.words.startswith("git's core.hooksPath is /company/hooks, so the hooks of this repo are not installed")
