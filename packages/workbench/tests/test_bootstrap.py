from __future__ import annotations

from pathlib import Path

import pytest

from onebutton_workbench import bootstrap
from onebutton_workbench.workspace import ROOT


def program(folder: Path, text: str) -> Path:
    """Write a small program that stands for a uv on PATH."""
    file = folder / "uv"
    file.write_text(f"#!/bin/sh\n{text}\n", encoding="utf-8")
    file.chmod(0o755)
    return file


def test_the_pinned_uv_is_the_one_in_the_lock_and_fits_what_pyproject_requires() -> None:
    version = bootstrap.locked_version((ROOT / "uv.lock").read_text(encoding="utf-8"), "uv")
    assert version.count(".") == 2
    assert f'required-version = ">={version.rpartition(".")[0]},' in (ROOT / "pyproject.toml").read_text(
        encoding="utf-8"
    )


def test_a_lock_without_uv_says_how_to_bring_it_back() -> None:
    with pytest.raises(bootstrap.SetupError, match=r"git checkout uv\.lock"):
        bootstrap.locked_version('name = "numpy"\nversion = "2.0"\n', "uv")


def test_a_uv_of_the_same_minor_version_is_good(tmp_path: Path) -> None:
    pinned = bootstrap.locked_version((ROOT / "uv.lock").read_text(encoding="utf-8"), "uv")
    good = program(tmp_path, f"echo uv {pinned.rpartition('.')[0]}.99")
    assert bootstrap.same_minor(bootstrap.version_of(str(good)), pinned)


@pytest.mark.parametrize("text", ["echo uv 0.1.0", "exit 1", "echo nonsense", "kill $$"])
def test_an_old_or_broken_uv_is_not_good(tmp_path: Path, text: str) -> None:
    assert not bootstrap.same_minor(bootstrap.version_of(str(program(tmp_path, text))), "0.13.8")


def test_a_uv_that_is_not_there_is_not_good(tmp_path: Path) -> None:
    assert bootstrap.version_of(str(tmp_path / "uv")) == ""
