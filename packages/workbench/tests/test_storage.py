"""Which remote is set, what may be one, why it failed, and which data nobody else can have."""

from __future__ import annotations

import shutil
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from onebutton_contracts.errors import InputError
from onebutton_workbench.data.access import try_remote, try_sources
from onebutton_workbench.data.storage import UnreachableError, absent, choose, configured, transfer, why
from onebutton_workbench.data.storage_rules import Made, lost, read_made
from onebutton_workbench.workspace import ROOT, pipelines

RAW, TABLE, MODEL = "pipelines/toy/data/raw", "pipelines/toy/data/table.parquet", "pipelines/toy/model/model.onnx"
LOCK = "pipelines/toy/dvc.lock"
STAGES = [
    Made(LOCK, "ingest", {}, {RAW: "1"}),
    Made(LOCK, "features", {RAW: "1"}, {TABLE: "2"}),
    Made(LOCK, "train", {TABLE: "2"}, {MODEL: "3"}),
]


@pytest.fixture
def repo(tmp_path: Path, shell: Any) -> Path:
    root = tmp_path / "repo"
    root.mkdir()
    shell("git", "init", "--quiet", folder=root)
    shell("dvc", "init", "--quiet", folder=root)
    return root


def names(stages: list[Made], gone: set[str], *, pinned: bool) -> list[str]:
    return [path for _, path in lost([replace(stage, pinned=pinned) for stage in stages], gone)]


def test_what_the_remote_has_is_not_lost() -> None:
    assert names(STAGES, set(), pinned=False) == []


def test_what_follows_from_a_pinned_source_is_not_lost() -> None:
    assert names(STAGES, {"1", "2", "3"}, pinned=True) == []


def test_without_a_pinned_source_all_that_was_not_pushed_is_lost() -> None:
    assert names(STAGES, {"1", "2", "3"}, pinned=False) == [RAW, TABLE, MODEL]


def test_what_follows_from_data_on_the_remote_is_not_lost() -> None:
    assert names(STAGES, {"1", "3"}, pinned=False) == [RAW]


def test_data_that_a_stage_reads_and_no_stage_writes_is_lost_when_it_was_not_pushed() -> None:
    assert names(STAGES[1:], {"1", "2"}, pinned=True) == [TABLE, RAW]


def test_files_in_git_and_fingerprints_are_no_data_to_keep() -> None:
    entries = [{"path": path, "md5": path} for path in (".code/judge", "champion", "gates.toml", "../shared/x.bin")]
    lock = {"stages": {"judge": {"deps": entries, "outs": [{"path": "slices.json", "md5": "s"}]}}}
    in_git = {"pipelines/toy/champion", "pipelines/toy/gates.toml", "pipelines/toy/slices.json"}
    (judge,) = read_made(LOCK, lock, in_git, ROOT)
    assert (dict(judge.deps), dict(judge.outs)) == ({"pipelines/shared/x.bin": "../shared/x.bin"}, {})


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


PRIVATE = "s3://ann:s3cret@bucket/x"  # pragma: allowlist secret


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
        transfer("push", repo)


def test_without_a_remote_push_names_the_button_that_sets_one(repo: Path) -> None:
    with pytest.raises(InputError, match="make remote URL="):
        transfer("push", repo)


def test_a_folder_that_is_not_mounted_gives_no_answer(repo: Path, tmp_path: Path) -> None:
    choose(str(tmp_path / "not-mounted"), repo)
    remote = configured(repo)
    assert remote
    with pytest.raises(UnreachableError, match="is not there"):
        absent(remote, {"0" * 32}, repo)
    assert not try_remote(repo).has


def test_a_reason_that_nobody_knows_is_told_in_the_last_words_of_the_program() -> None:
    assert why("progress\nERROR: the disk is full\n") == "the disk is full"
    assert why("") == "it does not say why"


def test_every_source_of_the_pipelines_here_is_had() -> None:
    seen = list(try_sources(ROOT))
    assert all(access.has and access.words.startswith("has, in ") for access in seen)
    assert {access.source.split()[1].split("/")[0] for access in seen} <= set(pipelines())


def test_a_source_that_is_not_had_names_whom_to_ask_and_what_works_meanwhile(tmp_path: Path) -> None:
    folder = tmp_path / "pipelines/toy"
    (folder / "contracts").mkdir(parents=True)
    shutil.copy(ROOT / "packages/contracts/tests/flights.odcs.yaml", folder / "contracts")
    (folder / "dvc.yaml").touch()
    (folder / "dummy.yaml").touch()
    (access,) = try_sources(tmp_path)
    assert not access.has
    assert "oldflights does not bring" in access.words
    assert "Ask the flight team: ask in the channel flights" in access.words
    assert access.words.endswith("Meanwhile `make run DATA=dummy PIPELINE=toy` works")


def test_status_says_not_run_when_the_remote_does_not_answer_and_strict_refuses_it(
    capsys: pytest.CaptureFixture[str], tmp_path: Path, repo: Path, shell: Any
) -> None:
    from onebutton_workbench.runs.status import status

    choose(str(tmp_path / "not-mounted"), repo)
    shell("git", "commit", "--quiet", "--allow-empty", "--message", "first", folder=repo)
    assert status(repo) == 0
    assert "NOT RUN OB304" in capsys.readouterr().out
    assert status(repo, strict=True) == 1
