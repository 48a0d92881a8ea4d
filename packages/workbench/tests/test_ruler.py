"""`make ruler` says in plain words what a branch did to what judges it."""

from pathlib import Path
from typing import Any

import pytest

from onebutton_workbench.checks.ruler_rules import ruler

GATE = '[[gates]]\nid = "auc"\ncheck = "limit"\nat_least = {}\n'
TESTS = "import pytest\n\n\ndef test_one():\n    assert 1 + 1 == 2\n    assert 2 + 2 == 4\n\n\ndef test_two():\n    assert 3\n"
FILES: dict[str, str | bytes] = {
    "pyproject.toml": '[tool.uv.workspace]\nmembers = ["pipelines/*"]\n',
    "pipelines/pipe/pyproject.toml": '[project]\nname = "pipe"\n',
    "pipelines/pipe/dvc.yaml": "stages: {}\n",
    "pipelines/pipe/gates.toml": GATE.format(0.68),
    "pipelines/pipe/tests/test_pipe.py": TESTS,
    "pipelines/pipe/tests/test_more.py": "def test_more():\n    assert 4\n",
    "pipelines/pipe/picture.png": b"\x89PNG",
}


@pytest.fixture
def repo(tmp_path: Path, shell: Any) -> Path:
    for name, text in FILES.items():
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_bytes(text if isinstance(text, bytes) else text.encode())
    shell("git", "init", "--quiet", "--initial-branch", "main", folder=tmp_path)
    shell("git", "add", "--all", folder=tmp_path)
    shell("git", "commit", "--quiet", "--message", "so", folder=tmp_path)
    return tmp_path


def said(repo: Path, capsys: Any) -> list[str]:
    ruler("main", repo)
    return [" ".join(line.split()) for line in capsys.readouterr().out.splitlines()]


def test_limits_that_went_down_and_up_are_told_with_their_place(repo: Path, capsys: Any) -> None:
    file = repo / "pipelines/pipe/gates.toml"
    file.write_text(GATE.format(0.6), encoding="utf-8")
    assert said(repo, capsys)[0] == "weaker pipelines/pipe/gates.toml:4 gates auc at_least: 0.68 -> 0.6"
    file.write_text(GATE.format(0.7), encoding="utf-8")
    assert said(repo, capsys)[0] == "stricter pipelines/pipe/gates.toml:4 gates auc at_least: 0.68 -> 0.7"


def test_tests_that_are_gone_assert_less_or_are_skipped_are_told_and_stop_nobody(repo: Path, capsys: Any) -> None:
    (repo / "pipelines/pipe/tests/test_more.py").unlink()
    less = TESTS.replace("    assert 2 + 2 == 4\n", "").replace(
        "def test_one", '@pytest.mark.skip(reason="so")\ndef test_one'
    )
    (repo / "pipelines/pipe/tests/test_pipe.py").write_text(less.replace("test_two", "test_three"), encoding="utf-8")
    (repo / "pipelines/pipe/picture.png").write_bytes(b"\x89PNG\xff")
    place = "pipelines/pipe/tests/test_pipe.py"
    assert said(repo, capsys) == [
        f"weaker {place}:4 skips: 0 -> 1",
        f"weaker {place}:5 tests test_one assertions: 2 -> 1",
        "removed pipelines/pipe/tests/test_more.py:1 tests test_more is gone",
        f"removed {place}:9 tests test_two is gone",
        said(repo, capsys)[-1],
    ]


def test_a_test_that_moved_to_another_file_is_not_gone(repo: Path, capsys: Any) -> None:
    old = repo / "pipelines/pipe/tests/test_more.py"
    old.rename(old.with_name("test_moved.py"))
    assert not [line for line in said(repo, capsys) if "test_more is gone" in line]


def test_an_ignore_more_is_told(repo: Path, capsys: Any) -> None:
    (repo / "pipelines/pipe/src.py").write_text("import os  # noqa: F401\n", encoding="utf-8")
    assert said(repo, capsys)[0] == "weaker pipelines/pipe/src.py:1 ignores: 0 -> 1"


def test_a_pull_request_has_a_table_in_its_summary(repo: Path, tmp_path: Path, monkeypatch: Any) -> None:
    (repo / "pipelines/pipe/gates.toml").write_text(GATE.format(0.6), encoding="utf-8")
    monkeypatch.setenv("GITHUB_STEP_SUMMARY", str(tmp_path / "summary.md"))
    monkeypatch.setenv("GITHUB_EVENT_NAME", "pull_request")
    monkeypatch.setenv("GITHUB_BASE_REF", "main")
    ruler("main", repo)
    written = (tmp_path / "summary.md").read_text(encoding="utf-8")
    assert written.startswith(
        "## What this change does to what judges it\n\n| | where | what |\n|---|---|---|\n| weaker | "
    )


def test_nothing_changed_and_no_base_are_told_apart(repo: Path, capsys: Any) -> None:
    assert said(repo, capsys)[-1].endswith("no ruler is another. What nobody can tell counts as weaker")
    ruler("", repo)
    assert "ruler: NOT RUN: this is main, with no origin/main" in capsys.readouterr().out
