import json
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import yaml

from onebutton_contracts.dvc_files import read_yaml
from onebutton_contracts.errors import InputError
from onebutton_workbench.git import check_clean
from onebutton_workbench.runs.ci import WORKFLOW
from onebutton_workbench.workspace import ROOT


@pytest.fixture
def checkout(tmp_path: Path, shell: Any) -> Path:
    (tmp_path / "a.txt").write_text("a", encoding="utf-8")
    shell("git", "init", "--quiet", folder=tmp_path)
    shell("git", "add", "--all", folder=tmp_path)
    shell("git", "commit", "--quiet", "--message", "a", folder=tmp_path)
    return tmp_path


def test_what_is_not_committed_is_refused_by_name(checkout: Path) -> None:
    check_clean(checkout, "ci")  # as it is committed it is run
    (checkout / "a.txt").write_text("b", encoding="utf-8")
    (checkout / "new.py").write_text("", encoding="utf-8")
    with pytest.raises(InputError, match=r"not committed: a\.txt, new\.py\. `make ci` goes by what is committed"):
        check_clean(checkout, "ci")


@pytest.fixture
def succeeded(tmp_path: Path, shell: Any) -> Callable[..., set[str]]:
    """Has act run this repo's workflow with its own conditions and names, in which every job does nothing."""
    content: dict[Any, Any] = read_yaml(ROOT / WORKFLOW)
    for job in content["jobs"].values():
        job["steps"] = [{"run": "true"}]
    (tmp_path / WORKFLOW).parent.mkdir(parents=True)
    (tmp_path / WORKFLOW).write_text(yaml.safe_dump(content, sort_keys=False), encoding="utf-8")
    shell("git", "init", "--quiet", "--initial-branch", "main", folder=tmp_path)
    shell("git", "remote", "add", "origin", "https://github.com/acme/models.git", folder=tmp_path)
    shell("git", "add", "--all", folder=tmp_path)
    shell("git", "commit", "--quiet", "--message", "a", folder=tmp_path)

    def jobs(event: str, head: str = "") -> set[str]:
        told = tmp_path / "event.json"
        repository = {"full_name": head, "fork": True}  # so is a team's own repository, when it began as a fork
        told.write_text(json.dumps({"pull_request": {"head": {"repo": repository}}} if head else {}), encoding="utf-8")
        words = [str(ROOT / ".venv/bin/act"), event, "--eventpath", str(told), "--workflows", WORKFLOW]
        words += ["--platform", "ubuntu-latest=-self-hosted"]
        printed = shell(*words, folder=tmp_path, XDG_CACHE_HOME=str(tmp_path / "cache"))
        return {name.strip() for name in re.findall(r"\[ci/([^]]+)\].*Job succeeded", printed)}

    return jobs


@pytest.mark.parametrize(
    ("event", "head"),
    [("push", ""), ("merge_group", ""), ("workflow_dispatch", ""), ("pull_request", "somebody/models")],
)
def test_a_push_a_merge_queue_and_a_pull_request_from_a_fork_run_every_job(
    succeeded: Callable[..., set[str]], event: str, head: str
) -> None:
    assert succeeded(event, head) == {
        "Lint and types",
        "Tests",
        "Slow tests",
        "Pipelines",
        "Packages and history",
        "all-green",
    }


def test_a_pull_request_from_a_branch_of_this_repository_shows_the_run_of_its_push(
    succeeded: Callable[..., set[str]],
) -> None:
    assert succeeded("pull_request", "acme/models") == set()


def test_where_every_job_is_skipped_none_is_called_all_green() -> None:
    """GitHub takes a skipped job for a passed one, and would let a commit be merged while its push still runs."""
    job = read_yaml(ROOT / WORKFLOW)["jobs"]["all-green"]
    condition = job["if"].removeprefix("always() && ").strip()
    assert " ".join(job["name"].split()) == f"${{{{ {condition} && 'all-green' || 'see the run of the push' }}}}"


def test_every_branch_is_run_when_it_is_pushed() -> None:
    content: dict[Any, Any] = read_yaml(ROOT / WORKFLOW)
    events = content["on"]
    assert events["push"] == {"branches": ["**", "!gh-readonly-queue/**"]}
    assert {"pull_request", "merge_group"} <= set(events)
