from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from onebutton_workbench.contract_rules import check

CONTRACT = """\
apiVersion: v3.1.0
kind: DataContract
id: trips
version: 1.0.0
status: active
team: {name: the trip team}
schema:
  - name: trips
    properties:
      - {name: trip, logicalType: integer, required: true}
      - {name: length, logicalType: number}
"""


@pytest.fixture
def repo(tmp_path: Path, shell: Any) -> Path:
    """A branch of a repository with one contract on main."""
    (tmp_path / "trips.odcs.yaml").write_text(CONTRACT, encoding="utf-8")
    shell("git", "init", "--quiet", "--initial-branch", "main", folder=tmp_path)
    shell("git", "add", "--all", folder=tmp_path)
    shell("git", "commit", "--quiet", "--message", "first", folder=tmp_path)
    shell("git", "switch", "--quiet", "--create", "change", folder=tmp_path)
    return tmp_path


def found(repo: Path, said: str, instead: str) -> list[str]:
    assert said in CONTRACT
    (repo / "trips.odcs.yaml").write_text(CONTRACT.replace(said, instead), encoding="utf-8")
    return [str(finding) for finding in check(repo)]


def test_a_contract_as_it_was_is_no_finding(repo: Path) -> None:
    assert list(check(repo)) == []


def test_a_column_that_is_gone_without_a_new_major_version_is_found(repo: Path) -> None:
    (finding,) = found(repo, "      - {name: length, logicalType: number}\n", "")
    assert finding.startswith("OB301 trips.odcs.yaml: column length is gone since ")
    assert "Mend: version: 2.0.0, and look at every reader" in finding


def test_a_commit_on_the_branch_does_not_hide_it(repo: Path, shell: Any) -> None:
    found(repo, "required: true", "required: false")
    shell("git", "commit", "--quiet", "--all", "--message", "looser", folder=repo)
    assert [finding.check for finding in check(repo)] == ["OB301"]


def test_on_main_itself_the_commit_before_counts(repo: Path, shell: Any) -> None:
    shell("git", "switch", "--quiet", "main", folder=repo)
    found(repo, "required: true", "required: false")
    assert [finding.check for finding in check(repo)] == ["OB301"]
    shell("git", "commit", "--quiet", "--all", "--message", "looser", folder=repo)
    assert [finding.check for finding in check(repo)] == ["OB301"]


def test_a_new_major_version_is_no_finding(repo: Path) -> None:
    text = CONTRACT.replace("version: 1.0.0", "version: 2.0.0").replace("required: true", "required: false")
    (repo / "trips.odcs.yaml").write_text(text, encoding="utf-8")
    assert list(check(repo)) == []


def test_a_new_contract_with_a_misspelt_key_is_found_before_it_is_committed(repo: Path) -> None:
    (repo / "new.odcs.yaml").write_text(CONTRACT.replace("required", "mandatory"), encoding="utf-8")
    (finding,) = check(repo)
    assert (finding.check, finding.place) == ("OB303", "new.odcs.yaml")
    assert "unknown key 'mandatory'" in finding.words
