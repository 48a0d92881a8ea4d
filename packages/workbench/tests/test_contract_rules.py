from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from onebutton_contracts.dvc_files import read_yaml
from onebutton_workbench.checks.rules import RULES, hold
from onebutton_workbench.checks.text_rules import check_readers, check_standard
from onebutton_workbench.files import read_texts
from onebutton_workbench.findings import Finding
from onebutton_workbench.git import listed
from onebutton_workbench.lineage.changes import changes_since, choose_base
from onebutton_workbench.workspace import ROOT

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


def check(repo: Path) -> list[Finding]:
    contracts = read_texts(repo, listed(repo, *RULES[check_standard])).items()
    found = [one for path, text in contracts for one in check_standard(path, text)]
    return [*found, *check_readers(changes_since(choose_base(repo), repo))]


def lint(repo: Path) -> int:
    (repo / "pyproject.toml").write_text("[tool.uv.workspace]\nmembers = []\n", encoding="utf-8")
    return hold(repo, "", {check_standard: RULES[check_standard]})


def found(repo: Path, said: str, instead: str) -> list[str]:
    assert said in CONTRACT
    (repo / "trips.odcs.yaml").write_text(CONTRACT.replace(said, instead), encoding="utf-8")
    return [str(finding) for finding in check(repo)]


def test_every_contract_of_this_repository_keeps_the_schema_of_the_standard(
    breaks_standard: Callable[[Path], list[str]], tmp_path: Path
) -> None:
    files = [ROOT / name for name in listed(ROOT, "*.odcs.yaml")]
    assert {file.name: breaks_standard(file) for file in files if breaks_standard(file)} == {}
    (tmp_path / "wrong.odcs.yaml").write_text(CONTRACT.replace("required", "mandatory"), encoding="utf-8")
    assert "mandatory" in breaks_standard(tmp_path / "wrong.odcs.yaml")[0]


def test_a_contract_as_it_was_is_no_finding(repo: Path) -> None:
    assert check(repo) == []


def test_a_column_that_is_gone_without_a_new_major_version_is_found(repo: Path) -> None:
    (finding,) = found(repo, "      - {name: length, logicalType: number}\n", "")
    assert finding.startswith("OB301 trips.odcs.yaml: column length is gone since ")
    assert "Mend: version: 2.0.0, and look at every reader" in finding


def test_a_commit_on_the_branch_does_not_hide_it(repo: Path, shell: Any) -> None:
    found(repo, "required: true", "required: false")
    shell("git", "commit", "--quiet", "--all", "--message", "looser", folder=repo)
    assert [finding.check for finding in check(repo)] == ["OB301"]


def test_on_main_itself_what_was_pushed_counts(repo: Path, shell: Any) -> None:
    shell("git", "switch", "--quiet", "main", folder=repo)
    shell("git", "update-ref", "refs/remotes/origin/main", "main", folder=repo)
    found(repo, "required: true", "required: false")
    assert [finding.check for finding in check(repo)] == ["OB301"]
    shell("git", "commit", "--quiet", "--all", "--message", "looser", folder=repo)
    assert [finding.check for finding in check(repo)] == ["OB301"]


def test_a_new_major_version_is_no_finding(repo: Path) -> None:
    text = CONTRACT.replace("version: 1.0.0", "version: 2.0.0").replace("required: true", "required: false")
    (repo / "trips.odcs.yaml").write_text(text, encoding="utf-8")
    assert check(repo) == []


def test_a_new_contract_with_a_misspelt_key_is_found_before_it_is_committed(repo: Path) -> None:
    (repo / "new.odcs.yaml").write_text(CONTRACT.replace("required", "mandatory"), encoding="utf-8")
    (finding,) = check(repo)
    assert (finding.check, finding.place) == ("OB303", "new.odcs.yaml")
    assert "trip.mandatory: would not be checked" in finding.words


@pytest.fixture
def shallow(repo: Path, tmp_path_factory: pytest.TempPathFactory, shell: Any) -> Path:
    """A clone of the last commit alone, in which a reader was broken, as a workflow checks out."""
    found(repo, "      - {name: length, logicalType: number}\n", "")
    shell("git", "commit", "--quiet", "--all", "--message", "no length", folder=repo)
    clone = tmp_path_factory.mktemp("shallow")
    shell("git", "clone", "--quiet", "--depth", "1", repo.as_uri(), str(clone), folder=repo)
    return clone


@pytest.mark.parametrize(("ci", "status"), [("true", 1), ("", 0)])
def test_a_shallow_clone_is_told_as_not_run_and_red_in_ci(
    shallow: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], ci: str, status: int
) -> None:
    monkeypatch.setenv("CI", ci)
    assert lint(shallow) == status
    said = capsys.readouterr().out
    assert "NOT RUN OB301, OB411, OB412: " in said
    assert "this clone is shallow" in said
    assert "fetch-depth: 0" in said


def test_a_shallow_clone_is_held_to_the_standard_all_the_same(
    shallow: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.delenv("CI", raising=False)
    (shallow / "trips.odcs.yaml").write_text(CONTRACT.replace("required", "mandatory"), encoding="utf-8")
    assert lint(shallow) == 1
    assert "OB303 trips.odcs.yaml" in capsys.readouterr().out


def test_a_pull_request_in_a_whole_clone_is_compared_with_its_branch(
    shallow: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], shell: Any
) -> None:
    """What `fetch-depth: 0` gives the job: every branch, and the change on none of them."""
    shell("git", "fetch", "--quiet", "--unshallow", "origin", "+refs/heads/*:refs/remotes/origin/*", folder=shallow)
    shell("git", "checkout", "--quiet", "--detach", folder=shallow)
    monkeypatch.setenv("CI", "true")
    monkeypatch.setenv("GITHUB_EVENT_NAME", "pull_request")
    monkeypatch.setenv("GITHUB_BASE_REF", "main")
    assert lint(shallow) == 1
    assert "OB301 trips.odcs.yaml: column length is gone" in capsys.readouterr().out


def test_every_job_that_presses_lint_has_the_history_to_compare_with() -> None:
    jobs = read_yaml(ROOT / ".github/workflows/ci.yml")["jobs"].values()
    linting = [job["steps"] for job in jobs if any("lint" in step.get("run", "").split() for step in job["steps"])]
    assert [steps[0]["with"]["fetch-depth"] for steps in linting] == [0]
