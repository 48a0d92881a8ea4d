from pathlib import Path
from typing import Any

import pytest

from onebutton_tracking.commit import Commit, holding_commit, read_commit
from onebutton_tracking.results import lock_digest


def test_a_clean_checkout_knows_its_commit_and_branch(checkout: Path, git: Any) -> None:
    commit = read_commit(checkout)
    assert (commit.sha, commit.branch, commit.dirty, commit.patch) == (
        git(checkout, "rev-parse", "HEAD"),
        "main",
        False,
        "",
    )


def test_what_a_run_writes_does_not_make_the_sources_dirty(checkout: Path) -> None:
    (checkout / "metrics.json").write_text("{}", encoding="utf-8")
    assert not read_commit(checkout).dirty
    plan = (checkout / "dvc.yaml").read_text(encoding="utf-8")
    (checkout / "dvc.yaml").write_text(plan.replace("metrics.json", "other.json"), encoding="utf-8")
    assert read_commit(checkout).dirty


@pytest.mark.parametrize("name", ["pipelines/demo/src/demo/new.py", "packages/shared/src/shared/new.py", "uv.lock"])
def test_a_new_source_makes_it_dirty_and_the_patch_brings_it(
    checkout: Path, tmp_path: Path, name: str, git: Any
) -> None:
    root = checkout.parents[1]
    (root / name).parent.mkdir(parents=True, exist_ok=True)
    (root / name).write_text("x = 'ü'\n", encoding="utf-8")
    before = git(root, "status", "--porcelain")
    commit = read_commit(checkout)
    assert commit.dirty
    assert git(root, "status", "--porcelain") == before  # neither index nor tree was touched
    clone = tmp_path / "clone"
    git(tmp_path, "clone", "--quiet", str(root), str(clone))
    (tmp_path / "patch").write_text(commit.patch, encoding="utf-8")
    git(clone, "apply", str(tmp_path / "patch"))
    assert (clone / name).read_text(encoding="utf-8") == "x = 'ü'\n"


@pytest.mark.parametrize("name", ["docs/page.md", "notes.txt", "pipelines/other/src/other/new.py"])
def test_what_cannot_change_a_result_does_not_make_it_dirty(checkout: Path, name: str) -> None:
    file = checkout.parents[1] / name
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_text("x", encoding="utf-8")
    assert not read_commit(checkout).dirty


def test_sources_are_found_in_the_last_commit_once_it_holds_them_with_their_results(checkout: Path, git: Any) -> None:
    def holding() -> Commit | None:
        return holding_commit(checkout, digest, dirty.sources, just_run=False)

    (checkout / "dvc.yaml").write_text("stages: {}  # edited\n", encoding="utf-8")
    (checkout / "dvc.lock").write_text("stages: {}\n", encoding="utf-8")
    digest, dirty = lock_digest(checkout), read_commit(checkout)
    assert dirty.dirty
    assert holding() is None
    git(checkout, "commit", "--quiet", "--message", "the results alone", "dvc.lock")
    assert holding() is None
    git(checkout, "commit", "--quiet", "--message", "and the code", "--all")
    (checkout / "dvc.yaml").write_text("stages: {}  # edited once more\n", encoding="utf-8")
    assert holding() == Commit(git(checkout, "rev-parse", "HEAD"), "main", dirty.sources)
    git(checkout, "commit", "--quiet", "--message", "later", "--all")
    assert holding() is None


def test_outside_git_there_is_no_commit(pipeline: Path) -> None:
    assert read_commit(pipeline) == Commit("", "")


def test_a_hooks_variables_do_not_lead_to_another_repository(
    checkout: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("GIT_DIR", str(tmp_path / "elsewhere/.git"))
    assert read_commit(checkout).branch == "main"
