from __future__ import annotations

import subprocess

import pytest

from onebutton_workbench.members.manifest import MANIFEST, parse_manifest, read_manifest, with_value
from onebutton_workbench.pressed import clean_environment
from onebutton_workbench.workspace import ROOT, WorkbenchError

OURS = read_manifest(ROOT)
# as it comes from upstream: without what a team's adoption, upgrades and exceptions make of it
START, EXCEPTIONS, _ = (ROOT / MANIFEST).read_text(encoding="utf-8").partition("[exceptions]\n")
TEXT = with_value(START + EXCEPTIONS, "upstream", "commit", "")
FRESH = parse_manifest(TEXT)


def tracked() -> list[str]:
    ask = ["git", "ls-files", "-z", "--cached", "--others", "--exclude-standard"]
    listed = subprocess.run(ask, cwd=ROOT, env=clean_environment(), capture_output=True, text=True, check=True).stdout
    return [name for name in listed.split("\0") if name]


def test_every_file_has_one_owner() -> None:
    assert {OURS.owner_of(path) for path in tracked()} == {"upstream", "team", "shared"}


@pytest.mark.skipif(bool(OURS.owner), reason="a team's own files need no line")
def test_every_file_that_comes_from_upstream_is_named_by_a_line_of_its_own() -> None:
    named = parse_manifest(TEXT.replace('"**" = "team"', '"**" = "shared"'))
    unnamed = [path for path in tracked() if FRESH.owner_of(path) == "team" and named.owner_of(path) == "shared"]
    assert unnamed == [], f"say whose they are in [files] of {MANIFEST}"


@pytest.mark.parametrize(
    ("path", "owner"),
    [
        ("Makefile", "upstream"),
        ("packages/models/src/onebutton_models/scoring.py", "upstream"),
        (".github/workflows/ci.yml", "upstream"),
        ("docs/checks/OB103.md", "upstream"),
        (".github/CODEOWNERS", "shared"),
        ("pyproject.toml", "shared"),
        ("uv.lock", "shared"),
        ("README.md", "shared"),
        (MANIFEST, "shared"),
        ("pipelines/flight_delays/params.yaml", "team"),
        ("pipelines/flight_delays/dvc.yaml", "team"),
        ("notebooks/look_at_a_stage.ipynb", "team"),
        ("dvc.lock", "team"),
        ("anything/else.txt", "team"),
    ],
)
def test_files_belong_to_whom_one_would_think(path: str, owner: str) -> None:
    assert FRESH.owner_of(path) == owner


def test_an_exception_decides_over_every_line_above_it_also_over_its_like() -> None:
    manifest = parse_manifest(f'{TEXT}"packages/models/**" = "team"\n"Makefile" = "shared"\n')
    assert manifest.owner_of("packages/models/README.md") == "team"
    assert manifest.owner_of("packages/tracking/README.md") == "upstream"
    assert manifest.owner_of("Makefile") == "shared"


@pytest.mark.parametrize(
    ("old", "new", "words"),
    [
        (
            '"notebooks/**" = "team"',
            '"notebooks/**" = "ours"',
            "'notebooks/\\*\\*' is 'ours'; it can be upstream, team, shared",
        ),
        ("commit = ", "revision = ", r"\[upstream\] commit is missing"),
        ("[files]", "[file]", r"\[file\] is not known"),
        ("[files]", "[files", "not TOML"),
        ('commit = ""', "commit = 1", "commit is no text"),
    ],
)
def test_a_mistake_is_told_with_its_place(old: str, new: str, words: str) -> None:
    with pytest.raises(WorkbenchError, match=words):
        parse_manifest(TEXT.replace(old, new, 1))


def test_writing_a_value_leaves_every_other_byte_alone() -> None:
    written = with_value(with_value(TEXT, "team", "name", "acme"), "upstream", "commit", "0" * 40)
    manifest = parse_manifest(written)
    assert (manifest.name, manifest.commit, manifest.upstream) == ("acme", "0" * 40, FRESH.upstream)
    assert with_value(with_value(written, "team", "name", FRESH.name), "upstream", "commit", "") == TEXT
