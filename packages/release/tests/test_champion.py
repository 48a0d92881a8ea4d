"""A deployment keeps the predictions of what it put into service, so that the next model is compared with it."""

import os
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest

from onebutton_contracts.errors import InputError
from onebutton_release.candidate import version_of
from onebutton_release.champion import keep_champion
from onebutton_release.target import find_target
from onebutton_serving.sealed import seal

A = "20261101-aaaaaaaa"


def test_a_deployment_writes_the_champion_and_says_what_to_commit_once(
    repo: Path, make_release: Callable[..., Path]
) -> None:
    subprocess.run(["dvc", "init", "--quiet"], cwd=repo, check=True)
    folder = make_release(A)
    (folder / "predictions.parquet").write_bytes(b"answers")
    (folder / "MANIFEST.sha256").chmod(0o644)
    seal(folder)
    target = find_target(repo, "flights", "local", "local")
    words = f"make run, which compares with {A} from now on, then commit pipelines/flights/champion"
    assert keep_champion(target, A) == words
    here = repo / "pipelines/flights/champion"
    assert (here / "predictions.parquet").read_bytes() == b"answers"
    assert "md5" in (here / "predictions.parquet.dvc").read_text(encoding="utf-8")
    assert (here / "champion.txt").read_text(encoding="utf-8") == f"{A}\n"
    assert keep_champion(target, A) == ""


def test_predictions_that_cannot_be_kept_are_one_line_and_leave_no_half(
    repo: Path, make_release: Callable[..., Path]
) -> None:
    make_release(A)  # of no predictions
    with pytest.raises(InputError, match=r"champion/predictions\.parquet cannot be written: No such file or directory"):
        keep_champion(find_target(repo, "flights", "local", "local"), A)
    assert list((repo / "pipelines/flights/champion").iterdir()) == []


def test_a_release_of_results_never_committed_is_dated_by_their_day(repo: Path) -> None:
    lock = repo / "pipelines/flights/dvc.lock"
    lock.write_text("schema: '2.0'\n", encoding="utf-8")
    os.utime(lock, (1772539200, 1772539200))  # 3 March 2026
    assert version_of(lock.parent).startswith("20260303-")
