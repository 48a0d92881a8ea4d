from __future__ import annotations

import pytest

from onebutton_contracts.errors import InputError
from onebutton_workbench.members.identity import (
    Identity,
    adopted,
    check_name,
    check_owner,
    home_of,
    readdressed,
    renamed_lock,
    upstream_identity,
)

UPSTREAM = upstream_identity("origin-org/origin-repo")
TEAM = Identity("acme", "@acme/data", "https://git.acme.com/acme/models")


@pytest.mark.parametrize("name", ["acme", "a", "acme-2", "two-words-here", "x9"])
def test_a_project_may_be_called_in_lower_case_digits_and_dashes(name: str) -> None:
    check_name(name, UPSTREAM, {"polars"})


@pytest.mark.parametrize(
    ("name", "words"),
    [
        ("", "NAME is missing"),
        ("Acme", "is no name for a project"),
        ("2acme", "is no name for a project"),
        ("acme_data", "is no name for a project"),
        ("acme-", "is no name for a project"),
        ("a b", "is no name for a project"),
        ("acme\n", "is no name for a project"),
        ("$(touch x)", "is no name for a project"),
        ("origin-repo", "is upstream's"),
        ("polars", "is a package that is used here"),
    ],
)
def test_any_other_name_is_refused_with_the_reason(name: str, words: str) -> None:
    with pytest.raises(InputError, match=words):
        check_name(name, UPSTREAM, {"polars"})


@pytest.mark.parametrize("owner", ["@acme/data", "@ann", "@Ann-9", "@acme/data.science_team"])
def test_a_user_or_a_team_may_own(owner: str) -> None:
    check_owner(owner, UPSTREAM)


@pytest.mark.parametrize(
    ("owner", "words"),
    [
        ("", "OWNER is missing"),
        ("acme/data", "is no owner on GitHub"),
        ("@", "is no owner on GitHub"),
        ("@acme/", "is no owner on GitHub"),
        ("@acme/data/more", "is no owner on GitHub"),
        ("@acme data", "is no owner on GitHub"),
        ("ann@acme.com", "is no owner on GitHub"),
        ("@-acme", "is no owner on GitHub"),
        ("@Origin-Org/data", "is upstream's"),
    ],
)
def test_any_other_owner_is_refused_with_the_reason(owner: str, words: str) -> None:
    with pytest.raises(InputError, match=words):
        check_owner(owner, UPSTREAM)


@pytest.mark.parametrize(
    ("origin", "home"),
    [
        ("https://github.com/acme/models.git", "https://github.com/acme/models"),
        ("https://github.com/acme/models/", "https://github.com/acme/models"),
        ("git@github.com:acme/models.git", "https://github.com/acme/models"),
        ("ssh://git@git.acme.com:2222/group/sub/models", "https://git.acme.com/group/sub/models"),
        ("https://ann:" + "word@git.acme.com/acme/models", "https://git.acme.com/acme/models"),
        ("https://github.com/origin-org/origin-repo", "https://github.com/acme/acme"),
        ("/srv/git/models", "https://github.com/acme/acme"),
        ("", "https://github.com/acme/acme"),
    ],
)
def test_the_address_to_clone_is_that_of_origin_without_its_password_or_else_a_guess(origin: str, home: str) -> None:
    assert home_of(origin, "acme", "@acme/data", UPSTREAM) == home


@pytest.mark.parametrize(
    ("before", "after"),
    [
        (
            "git clone https://github.com/origin-org/origin-repo && cd origin-repo",
            "git clone https://git.acme.com/acme/models && cd models",
        ),
        (
            "git clone https://github.com/origin-org/origin-repo.git\n  cd origin-repo\n",
            "git clone https://git.acme.com/acme/models.git\n  cd models\n",
        ),
        (
            "![ci](https://github.com/origin-org/origin-repo/actions/workflows/ci.yml/badge.svg)",
            "![ci](https://git.acme.com/acme/models/actions/workflows/ci.yml/badge.svg)",
        ),
        (
            "https://img.shields.io/github/license/origin-org/origin-repo",
            "https://img.shields.io/github/license/acme/models",
        ),
        ("*  @origin-org/maintainers @origin-org/ml-team # both", "*  @acme/data @acme/data # both"),
        ("mail me@origin-org/x", "mail me@origin-org/x"),
        ("origin-org/origin-repo-docs", "origin-org/origin-repo-docs"),
        ("import origin_repo", "import origin_repo"),
    ],
)
def test_addresses_and_owners_change_wherever_they_stand_and_nothing_else_does(before: str, after: str) -> None:
    assert readdressed("docs/page.md", before, UPSTREAM, TEAM) == after


def test_law_and_history_are_not_rewritten() -> None:
    for path in ("LICENSE", "CHANGELOG.md"):
        assert readdressed(path, "by @origin-org/all", UPSTREAM, TEAM) == "by @origin-org/all"


def test_a_team_that_changes_its_name_changes_its_own_and_not_that_of_a_team_with_a_longer_one() -> None:
    text = "* @acme/data\n/a/ @acme/data-eng\n"
    assert adopted("x", text, TEAM, Identity("acme", "@acme/ml", TEAM.url)) == "* @acme/ml\n/a/ @acme/data-eng\n"


def test_a_description_that_a_team_wrote_itself_stays_when_its_name_changes() -> None:
    text = '[project]\nname = "acme"\ndescription = "Ours."\n'
    assert 'description = "Ours."' in adopted("pyproject.toml", text, TEAM, Identity("beta", "@acme/data", TEAM.url))


LOCKED = """\
version = 1

[manifest]
members = [
    "flights",
    "origin-repo",
    "zebra",
]

[[package]]
name = "numpy"
version = "1.0"

[[package]]
name = "numpy"
version = "2.0"

[[package]]
name = "origin-repo"
version = "0.1.0"
source = { virtual = "." }

[package.dev-dependencies]
dev = [
    { name = "numpy" },
]

[[package]]
name = "zebra"
version = "1.0"
"""


def test_in_the_lock_a_renamed_project_moves_to_its_place_in_the_order_of_names() -> None:
    renamed = renamed_lock(LOCKED, "origin-repo", "acme")
    assert '    "acme",\n    "flights",\n    "zebra",\n]' in renamed
    assert renamed.index('name = "acme"\nversion = "0.1.0"\nsource') < renamed.index('name = "numpy"\nversion = "1.0"')
    assert renamed.index('version = "1.0"') < renamed.index('version = "2.0"')


def test_a_lock_that_is_renamed_there_and_back_is_the_same_to_the_byte() -> None:
    for name in ("acme", "numpy-extra", "zzz"):
        assert renamed_lock(renamed_lock(LOCKED, "origin-repo", name), name, "origin-repo") == LOCKED
