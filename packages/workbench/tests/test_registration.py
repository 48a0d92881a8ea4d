"""A member is named in the root's lists when it comes, and in none of them when it has gone."""

from __future__ import annotations

import difflib
from pathlib import Path

import pytest

from onebutton_contracts.errors import InputError
from onebutton_workbench.members.registration import FILES, registered, unregistered
from onebutton_workbench.workspace import ROOT, Member, members

PACKAGE = Member(Path("packages/ghost_lib"), "onebutton-ghost-lib")
PIPELINE = Member(Path("pipelines/ghost"), "ghost")
OTHER = Member(Path("pipelines/other"), "other")


@pytest.fixture
def texts() -> dict[str, str]:
    return {name: (ROOT / name).read_text(encoding="utf-8") for name in FILES}


@pytest.mark.parametrize("member", [PACKAGE, PIPELINE], ids=["package", "pipeline"])
def test_who_comes_and_goes_leaves_no_trace(member: Member, texts: dict[str, str]) -> None:
    with_it = registered(texts, member, members())
    assert all(with_it[name] != texts[name] for name in FILES if member.is_pipeline or name != "dvc.yaml")
    assert unregistered(with_it, member) == texts


def test_comments_and_order_stay(texts: dict[str, str]) -> None:
    before = registered(texts, OTHER, members())
    after = registered(before, PIPELINE, [*members(), OTHER])
    for name in FILES:
        changes = list(difflib.ndiff(before[name].splitlines(), after[name].splitlines()))
        assert all("ghost" in line for line in changes if line.startswith("+ "))
        floor = [line for line in changes if line.startswith("- ")]
        assert len(floor) <= 1, "of all lines that stood there, that of the pipelines' floor alone is written anew"


def test_a_pipeline_stands_beside_the_others_so_that_none_imports_another(texts: dict[str, str]) -> None:
    beside = registered(registered(texts, OTHER, members()), PIPELINE, [*members(), OTHER])
    (floor,) = [line for line in beside["pyproject.toml"].splitlines() if "ghost" in line and "other" in line]
    assert "|" in floor


def test_the_first_pipeline_after_the_last_one_went_gets_a_floor_of_its_own(texts: dict[str, str]) -> None:
    pipelines = [member for member in members() if member.is_pipeline]
    empty = texts
    for member in pipelines:
        empty = unregistered(empty, member)
    packages = [member for member in members() if not member.is_pipeline]
    lines = [line.strip() for line in registered(empty, PIPELINE, packages)["pyproject.toml"].splitlines()]
    assert lines[lines.index("layers = [") + 1] == '"ghost",'


def test_a_package_may_import_the_ground_floor_and_nothing_beside_it(texts: dict[str, str]) -> None:
    text = registered(texts, PACKAGE, members())["pyproject.toml"]
    (floor,) = [line for line in text.splitlines() if "|" in line and "onebutton_ghost_lib" in line]
    assert "onebutton_tracking" in floor
    assert "onebutton_contracts" not in floor


def test_the_owner_of_everything_owns_what_is_new(texts: dict[str, str]) -> None:
    owners = registered(texts, PIPELINE, members())[".github/CODEOWNERS"].splitlines()
    assert owners[-1].split() == ["/pipelines/ghost/", owners[1].split()[1]]


def test_a_root_without_the_lists_is_refused_by_the_name_of_what_it_lacks(texts: dict[str, str]) -> None:
    without = texts["pyproject.toml"].replace("mypy_path", "mypy_pass")
    with pytest.raises(InputError, match=r"lacks 'Key \"mypy_path\" does not exist\.'"):
        registered(texts | {"pyproject.toml": without}, PIPELINE, members())
