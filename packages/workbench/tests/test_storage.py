"""Which remote is set, what may be one, why it failed, and which data nobody else can have."""

import shutil
from pathlib import Path
from typing import Any

import pytest

from onebutton_contracts.errors import InputError
from onebutton_workbench.data.storage import check_remote, choose, configured, push, why
from onebutton_workbench.runs.doctor import storage


@pytest.fixture(scope="module")
def begun(tmp_path_factory: pytest.TempPathFactory, shell: Any) -> Path:
    """A checkout with DVC."""
    root = tmp_path_factory.mktemp("begun")
    shell("git", "init", "--quiet", folder=root)
    shell("dvc", "init", "--quiet", folder=root)
    return root


@pytest.fixture
def repo(begun: Path, tmp_path: Path) -> Path:
    """A copy of that checkout, to be changed."""
    return shutil.copytree(begun, tmp_path / "repo")


def test_what_a_commit_names_must_be_on_the_shared_remote_but_for_what_is_in_git(
    repo: Path, tmp_path: Path, shell: Any
) -> None:
    folder = repo / "pipelines/toy"
    folder.mkdir(parents=True)
    plan = "stages: {judge: {cmd: touch slices.json model.onnx, outs: [model.onnx, slices.json: {cache: false}]}}\n"
    (folder / "dvc.yaml").write_text(plan, encoding="utf-8")
    shell("dvc", "repro", "--quiet", "pipelines/toy/dvc.yaml", folder=repo)
    (tmp_path / "team").mkdir()
    choose(str(tmp_path / "team"), repo)
    remote = configured(repo)
    assert remote
    assert check_remote(repo, remote) == ([], ""), "nothing is committed"
    shell("git", "add", "--all", folder=repo)
    shell("git", "commit", "--quiet", "--message", "first", folder=repo)
    ((found,), _) = check_remote(repo, remote)
    assert (found.check, found.place) == ("OB304", "pipelines/toy/model.onnx")
    assert found.words == f"is not on {remote.url}, so it is lost with the machine that has it"
    push(repo)
    assert check_remote(repo, remote) == ([], "")


def test_a_folder_of_the_checkout_is_shared_with_nobody_and_one_elsewhere_is_shared(repo: Path, tmp_path: Path) -> None:
    assert configured(repo) is None
    choose(str(repo / ".dvc/remote"), repo)
    remote = configured(repo)
    assert remote
    assert not remote.shared
    choose(str(tmp_path / "team"), repo)
    remote = configured(repo)
    assert remote
    assert (remote.shared, remote.url) == (True, str(tmp_path / "team"))


PRIVATE = "s3://ann:s3cret@bucket/x"  # betterleaks:allow


@pytest.mark.parametrize("url", [PRIVATE, "s3://bucket/x?key=1", "http://bucket", "team", "s3://", "-x"])
def test_what_is_no_place_or_holds_a_key_is_refused_and_changes_nothing(repo: Path, url: str) -> None:
    before = (repo / ".dvc/config").read_bytes()
    with pytest.raises(InputError):
        choose(url, repo)
    assert (repo / ".dvc/config").read_bytes() == before


def test_a_remote_whose_package_is_missing_names_the_button_that_brings_it(
    repo: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    choose("gs://bucket/x", repo)
    brings = "DVC needs dvc-gs for it. `make add PACKAGE=dvc-gs MEMBER=workbench` brings it"
    assert f"NOT RUN, it was not asked: {brings}" in capsys.readouterr().out
    with pytest.raises(InputError, match="DVC needs dvc-gs"):
        push(repo)


def test_without_a_remote_push_names_the_button_that_sets_one(repo: Path) -> None:
    with pytest.raises(InputError, match="make remote URL="):
        push(repo)


def test_a_folder_that_is_not_mounted_gives_no_answer(repo: Path, tmp_path: Path) -> None:
    choose(str(tmp_path / "not-mounted"), repo)
    remote = configured(repo)
    assert remote
    assert check_remote(repo, remote) == ([], f"the folder {tmp_path}/not-mounted is not there")
    assert [state for _, state, _ in storage(repo)] == ["missing"]


def test_a_reason_that_nobody_knows_is_told_in_the_last_words_of_the_program() -> None:
    assert why("progress\nERROR: the disk is full\n") == "the disk is full"
    assert why("") == "it does not say why"


def test_status_says_not_run_when_the_remote_does_not_answer_and_strict_refuses_it(
    capsys: pytest.CaptureFixture[str], tmp_path: Path, repo: Path, shell: Any
) -> None:
    from onebutton_workbench.runs.status import status

    (repo / "pyproject.toml").write_text('[tool.uv.workspace]\nmembers = ["pipelines/*"]\n', encoding="utf-8")
    choose(str(tmp_path / "not-mounted"), repo)
    shell("git", "commit", "--quiet", "--allow-empty", "--message", "first", folder=repo)
    assert status(repo) == 0
    assert "NOT RUN OB304" in capsys.readouterr().out
    assert status(repo, strict=True) == 1
