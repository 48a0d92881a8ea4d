from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from onebutton_contracts.errors import InputError
from onebutton_workbench.git import check_committed
from onebutton_workbench.runs.ci import failed_jobs, runner_arguments


@pytest.fixture
def checkout(tmp_path: Path, shell: Any) -> Path:
    (tmp_path / "a.txt").write_text("a", encoding="utf-8")
    shell("git", "init", "--quiet", folder=tmp_path)
    shell("git", "add", "--all", folder=tmp_path)
    shell("git", "commit", "--quiet", "--message", "a", folder=tmp_path)
    return tmp_path


def test_a_committed_tree_is_run(checkout: Path) -> None:
    check_committed(checkout)


def test_what_is_not_committed_is_refused_by_name(checkout: Path) -> None:
    (checkout / "a.txt").write_text("b", encoding="utf-8")
    (checkout / "new.py").write_text("", encoding="utf-8")
    with pytest.raises(InputError, match=r"not committed, so it would not be tested: a\.txt, new\.py\. Commit it"):
        check_committed(checkout)


def test_an_unknown_runner_is_refused() -> None:
    with pytest.raises(InputError, match="RUNNER=podman is unknown"):
        runner_arguments("podman")


def test_docker_without_an_engine_is_not_run_rather_than_passed(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(InputError, match="NOT RUN"):
        runner_arguments("docker")


def test_a_failed_job_is_told_by_the_tests_that_failed_in_it() -> None:
    printed = [
        "[ci/Lint and types]   | All checks passed!",
        "[ci/Lint and types] 🏁  Job succeeded",
        "[ci/Slow tests    ]   | FAILED packages/release/tests/test_ship.py::test_a_release_is_served - assert 1 == 2",
        "[ci/Slow tests    ]   | 1 failed, 300 passed in 900s",
        "[ci/Slow tests    ]   ❌  Failure - Main make test SLOW=1",
        "[ci/Slow tests    ] 🏁  Job failed",
        "exit status 2",
    ]
    assert failed_jobs(printed) == {
        "Slow tests": ["FAILED packages/release/tests/test_ship.py::test_a_release_is_served - assert 1 == 2"]
    }


def test_a_failed_job_without_tests_is_told_by_its_last_lines_and_only_its_own() -> None:
    lint = [f"\x1b[36m[ci/Lint and types]\x1b[0m   | finding {number}" for number in range(40)]
    other = ["[ci/Tests         ]   | 1,500 passed", "[ci/Tests         ] 🏁  Job succeeded"]
    failed = failed_jobs([*lint, *other, "[ci/Lint and types] 🏁  Job failed"])
    assert failed == {"Lint and types": [f"finding {number}" for number in range(25, 40)]}


def test_a_long_list_of_failed_tests_is_cut_and_says_so() -> None:
    tests = [f"[ci/Tests]   | FAILED tests/test_{number}.py" for number in range(20)]
    (told,) = failed_jobs([*tests, "[ci/Tests] 🏁  Job failed"]).values()
    assert (told[0], told[-1], len(told)) == ("FAILED tests/test_0.py", "and 5 more", 16)
