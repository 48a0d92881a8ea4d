from __future__ import annotations

from pathlib import Path

import pytest

from onebutton_workbench.checks.glossary import GLOSSARY, check, mend, read_entries, refuse, relocate
from onebutton_workbench.workspace import ROOT

SMALL = """# Glossary

Words.

### hook

A command that git runs by itself.
It stops a mistake before it is kept.

Here: [`entry: make lint`](../hooks.yaml#L2)

### Pin

An exact version.
It makes tomorrow like today.

Here: [`ruff==1`](../lock#L3)
"""
SOURCES = {
    "../hooks.yaml": ["hooks:", "entry: make lint", "entry: make types"],
    "../lock": ["mypy==2", "", "ruff==1"],
}


def faults(text: str, sources: dict[str, list[str]] = SOURCES) -> list[str]:
    return check(read_entries(text), sources)


def test_no_line_of_the_glossary_is_too_long_to_read_at_a_glance() -> None:
    entries = read_entries((ROOT / GLOSSARY).read_text(encoding="utf-8"))
    assert [line for entry in entries for line in entry.prose if len(line) > 130] == []


def test_a_good_glossary_has_no_fault() -> None:
    assert faults(SMALL) == []


@pytest.mark.parametrize(
    ("old", "new", "words"),
    [
        ("hooks.yaml#L2", "hooks.yaml#L3", "'hook' points at line 3 of ../hooks.yaml for `entry: make lint`"),
        ("hooks.yaml#L2", "hooks.yaml#L3", "now on line 2"),
        ("hooks.yaml#L2", "hooks.yaml#L99", "now on line 2"),
        ("entry: make lint", "entry: make test", "on no line of it any more"),
        ("../hooks.yaml", "../gone.yaml", "'hook' points at ../gone.yaml, and there is no such file"),
        ("../hooks.yaml#L2", "../hooks.yaml", "'hook' does not end with a link"),
        ("### Pin", "### branch", "'branch' stands after 'hook'"),
        ("### Pin", "### Hook", "'Hook' is there twice"),
        ("An exact version.\n", "", "'Pin' has 1 lines of prose"),
        ("An exact version.\n", "An exact\nversion.\n", "'Pin' has 3 lines of prose"),
    ],
)
def test_a_planted_fault_is_found_and_named(old: str, new: str, words: str) -> None:
    assert old in SMALL
    (fault,) = faults(SMALL.replace(old, new))
    assert words in fault


def test_a_glossary_without_words_is_not_a_good_one() -> None:
    assert faults("# Glossary\n") == ["it explains no word"]


def test_a_link_follows_its_line_and_nothing_else_changes() -> None:
    moved = {"../hooks.yaml": ["", "hooks:", "", "entry: make lint"], "../lock": ["ruff==1"]}
    expected = SMALL.replace("hooks.yaml#L2", "hooks.yaml#L4").replace("lock#L3", "lock#L1")
    assert relocate(SMALL, moved) == expected
    assert faults(expected, moved) == []


def test_a_link_follows_the_nearest_line_and_stays_where_two_are_equally_near_or_none_is_left() -> None:
    lock = SOURCES["../lock"]
    near = {"../hooks.yaml": ["", "", "", "entry: make lint", "", "entry: make lint"], "../lock": lock}
    assert relocate(SMALL, near) == SMALL.replace("hooks.yaml#L2", "hooks.yaml#L4")
    assert relocate(SMALL, {"../hooks.yaml": ["entry: make lint", "", "entry: make lint"], "../lock": lock}) == SMALL
    assert relocate(SMALL, {"../hooks.yaml": ["entry: make test"], "../lock": lock}) == SMALL
    assert relocate(SMALL, {"../lock": lock}) == SMALL


def test_mending_rewrites_the_file_once_and_tells_what_a_person_must_do(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    glossary = tmp_path / GLOSSARY
    glossary.parent.mkdir()
    glossary.write_text(SMALL, encoding="utf-8")
    (tmp_path / "hooks.yaml").write_text("entry: make lint\n", encoding="utf-8")
    (tmp_path / "lock").write_text("mypy==2\n", encoding="utf-8")
    assert mend(tmp_path) == 0
    shown = capsys.readouterr().out
    assert "1 of its links follow their lines" in shown
    assert "`ruff==1`, which is on no line of it any more" in shown
    mended = glossary.read_text(encoding="utf-8")
    assert mended == SMALL.replace("hooks.yaml#L2", "hooks.yaml#L1")
    assert [path.name for path in glossary.parent.iterdir()] == [glossary.name]

    (tmp_path / "lock").write_text("\n\nruff==1\n", encoding="utf-8")
    written = glossary.stat().st_mtime_ns
    assert mend(tmp_path) == 0
    assert capsys.readouterr().out == ""
    assert glossary.stat().st_mtime_ns == written


def test_mending_says_so_where_there_is_no_glossary(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert mend(tmp_path) == 0
    assert "NOT RUN" in capsys.readouterr().out


def test_lint_refuses_a_moved_line_names_it_and_changes_nothing(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert refuse(tmp_path) == 0  # a fork may have no glossary
    glossary = tmp_path / GLOSSARY
    glossary.parent.mkdir()
    glossary.write_text(SMALL, encoding="utf-8")
    (tmp_path / "hooks.yaml").write_text("\n".join(SOURCES["../hooks.yaml"]), encoding="utf-8")
    (tmp_path / "lock").write_text("ruff==1\n", encoding="utf-8")
    assert refuse(tmp_path) == 1
    assert "'Pin' points at line 3 of ../lock for `ruff==1`, which is now on line 1" in capsys.readouterr().out
    assert glossary.read_text(encoding="utf-8") == SMALL
    assert mend(tmp_path) == 0
    assert refuse(tmp_path) == 0
