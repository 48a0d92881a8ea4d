"""Two colleagues who each add members and run models again: what merges by itself, what waits for a person, and what is told."""

import re
from collections.abc import Callable
from pathlib import Path

import pytest

from onebutton_contracts.dvc_files import outputs, read_stages
from onebutton_contracts.errors import InputError
from onebutton_tracking.results import lock_digest
from onebutton_tracking.store import LOCK_TAG, tracking_uri
from onebutton_workbench import bootstrap
from onebutton_workbench.git import git, names
from onebutton_workbench.runs.run import refuse_unfinished_merge
from onebutton_workbench.workspace import ROOT, dvc_files

Shell = Callable[..., str]  # of conftest.py
TEMPLATE = "templates/pipeline/member/dvc.yaml.jinja"


def drivers(paths: list[str]) -> dict[str, str]:
    """Ask git how it would merge files of this repo."""
    said = names("check-attr", "-z", "merge", "--", *paths, folder=ROOT)
    return dict(zip(said[::3], said[2::3], strict=True))


def small_results(root: Path = ROOT) -> list[Path]:
    """List what the stages write into git: outputs that DVC does not cache."""
    written = [(file, out) for file in dvc_files(root) for out in outputs(read_stages(file), {})]
    small = [file.parent / out.path for file, out in written if out.options.get("cache") is False]
    return [path for path in small if path.parent.name != ".code"]


def test_every_result_that_stages_write_into_git_is_made_again_after_a_merge() -> None:
    small = [path.relative_to(ROOT).as_posix() for path in small_results()]
    locks = [file.with_name("dvc.lock").relative_to(ROOT).as_posix() for file in dvc_files(ROOT)]
    written = re.findall(r"([\w./]+): \{cache: false", (ROOT / TEMPLATE).read_text(encoding="utf-8"))
    new = [f"pipelines/churn/{name}" for name in [*written, "dvc.lock"] if not name.startswith(".code/")]
    assert len(new) > 5
    assert set(drivers([*small, *locks, *new]).values()) == {"remade"}


def test_nothing_that_people_write_is_merged_by_a_driver() -> None:
    results = {path.relative_to(ROOT).as_posix() for path in small_results()}
    people = [name for name in git("ls-files", folder=ROOT).splitlines() if name not in results]
    driven = {name: driver for name, driver in drivers(people).items() if driver != "unspecified"}
    locks = [name for name in people if name.endswith("dvc.lock")]
    assert driven == {"uv.lock": "lock", "CHANGELOG.md": "union"} | dict.fromkeys(locks, "remade")


@pytest.fixture
def repo(tmp_path: Path, shell: Shell) -> Path:
    """A repository of two branches, set up as `make setup` does."""
    shell("git", "init", "--quiet", "--initial-branch", "main", folder=tmp_path)
    (tmp_path / ".gitattributes").write_bytes((ROOT / ".gitattributes").read_bytes())
    for key, command in bootstrap.DRIVERS.items():
        shell("git", "config", key, command, folder=tmp_path)
    return tmp_path


def branches(repo: Path, shell: Shell, file: str, *texts: str) -> None:
    """Commit a file on main, then otherwise on the branches `ann` and `bob`."""
    (repo / file).parent.mkdir(parents=True, exist_ok=True)
    for branch, text in zip(("main", "ann", "bob"), texts, strict=True):
        if branch != "main":
            shell("git", "switch", "--quiet", "--create", branch, "main", folder=repo)
        (repo / file).write_text(text, encoding="utf-8")
        (repo / f"{branch}.py").touch()
        shell("git", "add", "--all", folder=repo)
        shell("git", "commit", "--quiet", "--message", branch, folder=repo)


LINES = [f"line {number}\n" for number in range(20)]


def test_a_lock_keeps_what_both_added_where_they_do_not_meet(repo: Path, shell: Shell) -> None:
    branches(repo, shell, "uv.lock", *("".join(lines) for lines in (LINES, ["a\n", *LINES], [*LINES, "b\n"])))
    shell("git", "merge", "--quiet", "--no-edit", "ann", folder=repo)
    assert (repo / "uv.lock").read_text(encoding="utf-8") == "".join(["a\n", *LINES, "b\n"])
    assert [path.name for path in repo.iterdir() if path.name.endswith("~")] == []


def test_a_lock_in_which_both_changed_the_same_line_stays_one_side_and_no_conflict(repo: Path, shell: Shell) -> None:
    branches(repo, shell, "uv.lock", *("".join([first, *LINES]) for first in ("0\n", "a\n", "b\n")))
    shell("git", "merge", "--quiet", "--no-edit", "ann", folder=repo)
    assert (repo / "uv.lock").read_text(encoding="utf-8") == "".join(["b\n", *LINES])


@pytest.mark.parametrize("command", [("merge", "--no-edit"), ("rebase",), ("cherry-pick",)], ids=lambda one: one[0])
def test_results_never_wait_for_a_person(command: tuple[str, ...], repo: Path, shell: Shell) -> None:
    branches(repo, shell, "pipelines/churn/metrics.json", *(f'{{"auc": 0.{digit}}}\n' for digit in "579"))
    shell("git", *command, "ann", folder=repo)
    assert git("status", "--porcelain", folder=repo) == ""


def test_a_conflict_in_what_people_write_is_told_with_its_line_before_anything_runs(repo: Path, shell: Shell) -> None:
    params = repo / "pipelines/churn/params.yaml"
    branches(repo, shell, "pipelines/churn/params.yaml", *(f"split:\n  seed: {seed}\n" for seed in (1, 2, 3)))
    refuse_unfinished_merge(repo)
    shell("git", "merge", "ann", folder=repo, status=1)
    with pytest.raises(InputError, match=r"^a merge is not finished: pipelines/churn/params\.yaml line 2 holds"):
        refuse_unfinished_merge(repo)
    params.write_text("split:\n  seed: 3\n", encoding="utf-8")
    refuse_unfinished_merge(repo)


def edit(folder: Path, file: str, old: str, new: str) -> None:
    path = folder / file
    text = path.read_text(encoding="utf-8")
    assert old in text
    path.write_text(text.replace(old, new), encoding="utf-8")


def results(folder: Path) -> dict[str, bytes]:
    """Read every small result of every pipeline, and what DVC says of the large ones."""
    locks = [file.with_name("dvc.lock") for file in dvc_files(folder)]
    there = [path for path in [*small_results(folder), *locks] if path.is_file()]
    return {path.relative_to(folder).as_posix(): path.read_bytes() for path in there}


def mlflow_runs(folder: Path, pipeline: str) -> list[str]:
    """Name the runs that MLflow holds of what stands in a pipeline's `dvc.lock`."""
    from mlflow import MlflowClient

    client = MlflowClient(tracking_uri(folder), tracking_uri(folder))
    experiment = client.get_experiment_by_name(pipeline)
    assert experiment is not None
    wanted = f"tags.`{LOCK_TAG}` = '{lock_digest(folder / 'pipelines' / pipeline)}'"
    return [run.info.run_id for run in client.search_runs([experiment.experiment_id], wanted)]


def unmerged(folder: Path) -> list[str]:
    return git("diff", "--name-only", "--diff-filter=U", folder=folder).splitlines()


@pytest.fixture(scope="module")
def team(tmp_path_factory: pytest.TempPathFactory, copy_of_this_repo: Callable[[Path], Path], shell: Shell) -> Path:
    """A team's repo: Ann and Bob each added a pipeline and a package, and ran `churn` with another parameter changed."""
    folder = copy_of_this_repo(tmp_path_factory.mktemp("team") / "clone")
    shell("git", "rm", "-r", "--quiet", "pipelines", folder=folder)  # whose samples take longer
    shell("make", "lock", "setup", folder=folder)
    shell("git", "config", "core.hooksPath", "/dev/null", folder=folder)  # what hooks say is another test's
    shell("make", "new-pipeline", "NAME=churn", folder=folder)
    shell("git", "add", "--all", folder=folder)
    shell("git", "commit", "--quiet", "--message", "a pipeline", folder=folder)
    for name, pipeline, package, old, new in (
        ("ann", "ads", "weather", "seed: 2024", "seed: 2025"),
        ("bob", "trips", "wind", "calibration_bins: 5", "calibration_bins: 6"),
    ):
        shell("git", "switch", "--quiet", "--create", name, "main", folder=folder)
        shell("make", "new-pipeline", f"NAME={pipeline}", folder=folder)
        shell("make", "new-package", f"NAME={package}", folder=folder)
        added = shell("git", "status", "--porcelain", folder=folder).splitlines()
        assert added == [" M uv.lock", f"?? packages/{package}/", f"?? pipelines/{pipeline}/"]
        edit(folder, "pipelines/churn/params.yaml", old, new)
        commit(folder, shell, name)
    return folder


def commit(folder: Path, shell: Shell, words: str) -> str:
    printed = shell("make", "run", "PIPELINE=churn", folder=folder)
    shell("git", "add", "--all", folder=folder)
    shell("git", "commit", "--quiet", "--message", words, folder=folder)
    return printed


@pytest.fixture(scope="module")
def fresh_results(team: Path, shell: Shell) -> dict[str, bytes]:
    """What the parameters of both give where nobody ran anything before."""
    shell("git", "switch", "--quiet", "--create", "fresh", "bob", folder=team)
    shell("git", "merge", "--quiet", "--no-edit", "ann", folder=team)
    shell("git", "rm", "--quiet", *results(team), folder=team)
    shell("git", "clean", "-xdfq", "pipelines", ".dvc/cache", folder=team)
    shell("make", "lock", "run", "PIPELINE=churn", folder=team)
    found = results(team)
    shell("git", "clean", "-xdfq", "pipelines", ".dvc/cache", folder=team)
    shell("git", "reset", "--quiet", "--hard", folder=team)
    return found


@pytest.mark.slow
@pytest.mark.parametrize(
    "command", [("merge", "--no-edit", "ann"), ("rebase", "ann"), ("cherry-pick", "ann")], ids=lambda one: one[0]
)
def test_the_work_of_two_colleagues_comes_together_without_a_conflict_and_gives_what_a_fresh_run_gives(
    command: tuple[str, ...], team: Path, fresh_results: dict[str, bytes], shell: Shell
) -> None:
    shell("git", "switch", "--quiet", "--create", f"by-{command[0]}", "bob", folder=team)
    shell("git", *command, folder=team)
    assert shell("git", "status", "--porcelain", folder=team) == ""
    shell("make", "lock", folder=team)
    assert re.search(r"made again: churn \(.*evaluate", commit(team, shell, "results"))
    assert results(team) == fresh_results
    assert len(mlflow_runs(team, "churn")) == 1


@pytest.mark.slow
def test_where_both_changed_the_same_parameter_that_file_alone_waits_and_run_says_so(team: Path, shell: Shell) -> None:
    shell("git", "switch", "--quiet", "--create", "carol", "main", folder=team)
    edit(team, "pipelines/churn/params.yaml", "seed: 2024", "seed: 2026")
    commit(team, shell, "carol")
    shell("git", "merge", "ann", folder=team, status=1)
    assert unmerged(team) == ["pipelines/churn/params.yaml"]
    assert "run: a merge is not finished: pipelines/churn/params.yaml line 6 holds" in shell(
        "make", "run", folder=team, status=2
    )
    shell("git", "merge", "--abort", folder=team)


@pytest.mark.slow
def test_what_contributing_says_turns_a_pull_request_in_conflict_green(
    team: Path, shell: Shell, tmp_path: Path
) -> None:
    """GitHub knows no drivers: a plain clone stands for its merge button."""
    shell("git", "clone", "--quiet", "--bare", str(team), "github.git", folder=tmp_path)
    shell("git", "--git-dir", "github.git", "update-ref", "refs/heads/main", "ann", folder=tmp_path)
    shell("git", "clone", "--quiet", "--branch", "main", "github.git", "button", folder=tmp_path)
    button = tmp_path / "button"
    shell("git", "merge", "--no-commit", "origin/bob", folder=button, status=1)
    assert "pipelines/churn/dvc.lock" in unmerged(button)
    shell("git", "merge", "--abort", folder=button)

    shell("git", "remote", "add", "origin", str(tmp_path / "github.git"), folder=team)
    shell("git", "switch", "--quiet", "--create", "pull-request", "bob", folder=team)
    page = (ROOT / "CONTRIBUTING.md").read_text(encoding="utf-8")
    (steps,) = re.findall(
        r"^## When GitHub shows a conflict$.*?^```console\n(.*?)^```$", page, re.MULTILINE | re.DOTALL
    )
    shell("sh", "-ec", steps, folder=team)
    shell("git", "fetch", "--quiet", folder=button)
    shell("git", "merge", "--no-edit", "origin/pull-request", folder=button)


@pytest.mark.slow
def test_a_lock_that_lacks_something_is_told_by_every_button_and_mended_by_one(team: Path, shell: Shell) -> None:
    shell("git", "switch", "--quiet", "--create", "lacking", "main", folder=team)
    edit(team, "pipelines/churn/pyproject.toml", '"polars>=2",', '"polars>=2",\n    "sortedcontainers>=2",')
    printed = shell("make", "run", folder=team, status=2)
    assert "setup: uv.lock is not in line with what every pyproject.toml declares" in printed
    assert "`make lock` writes it anew" in printed
    shell("make", "lock", "setup", folder=team)
    assert "sortedcontainers" in git("diff", "HEAD", "--", "uv.lock", folder=team)
    shell("git", "reset", "--quiet", "--hard", folder=team)
    shell("make", "new-package", "NAME=tides", folder=team)
    printed = shell("make", "add", "PACKAGE=tides", "MEMBER=churn", folder=team)
    assert "add: onebutton-tides stands in pipelines/churn/pyproject.toml and in uv.lock" in printed
    shell(".venv/bin/python", "-c", "import onebutton_tides, churn", folder=team)
    before = shell("git", "status", "--porcelain", folder=team)
    printed = shell("make", "add", "PACKAGE=no-such-package-anywhere", "MEMBER=churn", folder=team, status=2)
    assert len([line for line in printed.splitlines() if line.startswith("add: ")]) == 1
    assert shell("git", "status", "--porcelain", folder=team) == before
