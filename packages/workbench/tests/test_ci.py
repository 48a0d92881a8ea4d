from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from onebutton_workbench.ci import check_committed, runner_arguments
from onebutton_workbench.workspace import WorkbenchError


@pytest.fixture
def checkout(tmp_path: Path, shell: Any) -> Path:
    (tmp_path / "a.txt").write_text("a", encoding="utf-8")
    shell("git", "init", "--quiet", folder=tmp_path)
    shell("git", "add", "--all", folder=tmp_path)
    shell("git", "commit", "--quiet", "--message", "a", folder=tmp_path)
    return tmp_path


def test_a_committed_tree_is_run(checkout: Path) -> None:
    check_committed(checkout)


def test_what_is_not_committed_is_refused_by_name(checkout: Path) -> None:
    (checkout / "a.txt").write_text("b", encoding="utf-8")
    (checkout / "new.py").write_text("", encoding="utf-8")
    with pytest.raises(WorkbenchError, match=r"not committed, so it would not be tested: a\.txt, new\.py\. Commit it"):
        check_committed(checkout)


def test_an_unknown_runner_is_refused() -> None:
    with pytest.raises(WorkbenchError, match="RUNNER=podman is unknown"):
        runner_arguments("podman")


def test_docker_without_an_engine_is_not_run_rather_than_passed(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(WorkbenchError, match="NOT RUN"):
        runner_arguments("docker")
