"""New members from the templates, and members that go: in a small workspace first, then in clones of this repo."""

from __future__ import annotations

import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest

from onebutton_workbench.members import lockfile
from onebutton_workbench.members import new as scaffold
from onebutton_workbench.members import remove as removal
from onebutton_workbench.members.new import check_name, new_member
from onebutton_workbench.workspace import ROOT, Member, WorkbenchError, members

Shell = Callable[..., str]  # of conftest.py
STANDING = [Member(Path("packages/shared"), "onebutton-shared"), Member(Path("pipelines/sample"), "sample")]


def state(folder: Path, shell: Shell) -> str:
    return shell("git", "status", "--porcelain", "--untracked-files=all", folder=folder)


@pytest.fixture
def with_sample(clone: Path, shell: Shell) -> Path:
    """The same with a package `shared`, which a pipeline `sample` needs."""
    for member, requires in zip(STANDING, ("", '"onebutton-shared"'), strict=True):
        (clone / member.path / "src" / member.module).mkdir(parents=True)
        declared = f'[project]\nname = "{member.name}"\nversion = "0"\ndependencies = [{requires}]\n'
        (clone / member.path / "pyproject.toml").write_text(declared, encoding="utf-8")
    shell("git", "add", "--all", folder=clone)
    shell("git", "commit", "--quiet", "--no-verify", "--message", "with a sample", folder=clone)
    return clone


@pytest.fixture(autouse=True)
def _as_a_button_runs(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", f"{ROOT / '.tools/bin'}:{ROOT / '.venv/bin'}", prepend=":")


@pytest.mark.parametrize(
    ("name", "words"),
    [
        ("", "NAME is missing: what the package is about, as in NAME=churn"),
        ("Wind", "NAME=Wind is no name for a folder that Python imports"),
        ("wind-speed", "NAME=wind-speed is no name for a folder that Python imports"),
        ("2winds", "NAME=2winds is no name"),
        ("../wind", "NAME=../wind is no name"),
        ("wïnd", "NAME=wïnd is no name"),
        ("class", "NAME=class is a word of Python's own"),
        ("match", "NAME=match is a word of Python's own"),
        ("shared", "NAME=shared is taken: packages/shared is there already"),
        ("sample", "NAME=sample is taken by another member"),
    ],
)
def test_a_package_of_no_good_name_is_refused(name: str, words: str, tmp_path: Path) -> None:
    for member in STANDING:
        (tmp_path / member.path).mkdir(parents=True)
    with pytest.raises(WorkbenchError) as refusal:
        check_name("package", name, new_member("package", name, "onebutton"), STANDING, tmp_path)
    assert str(refusal.value).startswith(words)
    assert str(refusal.value).endswith("Nothing was written")


@pytest.mark.parametrize(
    ("name", "words"),
    [
        ("polars", "NAME=polars is what polars is imported as"),
        ("sklearn", "NAME=sklearn is what scikit-learn is imported as"),
        ("statistics", "NAME=statistics is a module that Python or pytest brings"),
        ("sample", "NAME=sample is taken: pipelines/sample is there already"),
        ("shared", "NAME=shared is taken by another member"),
    ],
)
def test_a_pipeline_that_an_import_would_not_find_is_refused(name: str, words: str, tmp_path: Path) -> None:
    for member in STANDING:
        (tmp_path / member.path).mkdir(parents=True)
    with pytest.raises(WorkbenchError) as refusal:
        check_name("pipeline", name, new_member("pipeline", name, "onebutton"), STANDING, tmp_path)
    assert str(refusal.value).startswith(words)


def test_a_package_bears_the_projects_name_and_a_pipeline_its_own() -> None:
    assert new_member("package", "wind_speed", "acme").module == "acme_wind_speed"
    assert new_member("pipeline", "churn_2026", "acme").module == "churn_2026"


@pytest.mark.parametrize("failure", [KeyboardInterrupt(), OSError("No space left on device")])
@pytest.mark.parametrize("step", ["render", "tidy", "relock", "write_texts"])
def test_a_scaffold_that_breaks_off_leaves_nothing_behind(
    step: str, failure: BaseException, clone: Path, shell: Shell, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(*_: object) -> None:
        raise failure

    monkeypatch.setattr(scaffold, "relock", lambda _: "")  # uv is not what this is about
    monkeypatch.setattr(scaffold, step, fail)
    with pytest.raises(type(failure)):
        scaffold.make("pipeline", "churn", clone)
    assert state(clone, shell) == ""
    assert not list(clone.glob(".scaffold-*"))


def test_a_member_that_uv_cannot_lock_is_not_written(
    clone: Path, shell: Shell, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(scaffold, "relock", lambda _: "no versions of no-such-thing")
    with pytest.raises(WorkbenchError, match=r"could not lock packages/wind: no versions of no-such-thing\. Nothing"):
        scaffold.make("package", "wind", clone)
    assert state(clone, shell) == ""


@pytest.mark.parametrize(
    ("member", "words"),
    [
        ("", "MEMBER is missing"),
        ("nobody", "there is no member 'nobody'"),
        ("shared", "packages/shared is needed by pipelines/sample"),
        ("tracking", "packages/tracking is needed by packages/"),
        ("evaluation", "packages/evaluation is needed by packages/"),
        ("workbench", "packages/workbench is needed by the buttons of the Makefile"),
        ("release", "packages/release is needed by .*the buttons of the Makefile"),
    ],
)
def test_what_others_need_stays(member: str, words: str, with_sample: Path, shell: Shell) -> None:
    with pytest.raises(WorkbenchError, match=words):
        removal.remove(member, with_sample)
    assert state(with_sample, shell) == ""


def test_work_that_is_not_committed_is_not_removed_with_a_member(with_sample: Path) -> None:
    (with_sample / "pipelines/sample/params.yaml").write_text("{}\n", encoding="utf-8")
    with pytest.raises(WorkbenchError, match=r"not committed: pipelines/sample/params\.yaml"):
        removal.remove("sample", with_sample)


@pytest.mark.parametrize("step", ["relock", "write_texts"])
def test_a_removal_that_breaks_off_takes_everything_back(
    step: str, with_sample: Path, shell: Shell, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(*_: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(removal, "relock", lambda _: "")
    monkeypatch.setattr(removal, step, fail)
    with pytest.raises(KeyboardInterrupt):
        removal.remove("sample", with_sample)
    assert state(with_sample, shell) == ""


def test_links_into_what_goes_become_words() -> None:
    page = (
        "See [the plan](../pipelines/churn/dvc.yaml#L4), [churned](../pipelines/churned/README.md) and [docs](a.md).\n"
    )
    assert removal.unlinked("docs/page.md", page, Path("pipelines/churn")) == (
        "See the plan, [churned](../pipelines/churned/README.md) and [docs](a.md).\n"
    )
    assert removal.unlinked("docs/g.md", "Here: [`x`](../pipelines/churn/a.py#L4)\n", Path("pipelines/churn")) == (
        "Here: nowhere yet\n"
    )


def test_a_skeleton_is_all_that_uv_reads(clone: Path, tmp_path: Path) -> None:
    folder = tmp_path / "skeleton"
    folder.mkdir()
    lockfile.skeleton(clone, members(clone), folder)
    done = subprocess.run(["uv", "lock", "--check", "--offline"], cwd=folder, capture_output=True, check=False)
    assert done.returncode == 0, done.stderr


def graduate(pipeline: Path) -> None:
    """Take the line out that makes a pipeline a draft."""
    declared = pipeline / "pyproject.toml"
    declared.write_text(declared.read_text(encoding="utf-8").replace("draft = true\n", ""), encoding="utf-8")


@pytest.fixture
def fresh(clone: Path, shell: Shell) -> Path:
    shell("make", "setup", folder=clone)
    return clone


@pytest.mark.slow
def test_a_new_package_and_a_new_pipeline_pass_everything_untouched(fresh: Path, shell: Shell) -> None:
    shell("make", "new-package", "NAME=weather", folder=fresh)
    printed = shell("make", "new-pipeline", "NAME=zebra_crossings", folder=fresh)
    assert "Next: `make run PIPELINE=zebra_crossings`" in printed
    shell("git", "add", "--all", folder=fresh)  # what git does not know, some checks do not read
    assert "drafts" not in shell("make", "lint", "types", folder=fresh)
    shell("make", "test", "MEMBER=weather", "ALONE=1", folder=fresh)
    shell("make", "test", "PIPELINE=zebra_crossings", folder=fresh)
    shell("make", "test", "PIPELINE=zebra_crossings", "ALONE=1", folder=fresh)
    printed = shell("make", "run", "PIPELINE=zebra_crossings", folder=fresh)
    assert "model zebra_crossings version 1" in printed
    assert "base_rate" in printed
    shell("make", "run", folder=fresh)
    shell("git", "add", "--all", folder=fresh)
    shell("git", "commit", "--quiet", "--message", "feat: two members", folder=fresh)
    shell("make", "status", folder=fresh)
    drafted = shell("make", "gates", "PIPELINE=zebra_crossings", "STRICT=1", folder=fresh)
    assert "zebra_crossings, a draft, so this stops nobody" in drafted
    assert "failed" not in drafted.partition("\n\n")[0], "the limits suit the sample data"
    shell("make", "report", folder=fresh)
    shell("make", "test", "MEMBER=workbench", folder=fresh)


@pytest.mark.slow
def test_a_draft_is_told_its_types_and_warnings_until_it_is_none(fresh: Path, shell: Shell) -> None:
    shell("make", "new-pipeline", "NAME=churn", folder=fresh)
    pipeline = fresh / "pipelines/churn"
    test = pipeline / "tests/test_warning.py"
    test.write_text(
        "import warnings\n\nwarnings.warn('old', stacklevel=1)\n\n\n"
        "def test_warning() -> int:\n    warnings.warn('older', stacklevel=1)\n    return None\n",
        encoding="utf-8",
    )
    assert "above are about drafts (pipelines/churn), so they stop nobody" in shell("make", "types", folder=fresh)
    shell("make", "test", "PIPELINE=churn", folder=fresh)
    graduate(pipeline)
    assert "types: 1 mistake, where" in shell("make", "types", folder=fresh, status=2)
    assert "UserWarning: old" in shell("make", "test", "PIPELINE=churn", folder=fresh, status=2)


@pytest.mark.slow
def test_a_pipeline_that_is_no_draft_any_more_is_held_to_its_gates(fresh: Path, shell: Shell) -> None:
    shell("make", "new-pipeline", "NAME=churn", folder=fresh)
    shell("make", "run", "PIPELINE=churn", folder=fresh)
    assert "churn is a draft, and a draft is not deployed" in shell(
        "make", "deploy", "PIPELINE=churn", folder=fresh, status=2
    )
    graduate(fresh / "pipelines/churn")
    shell("make", "run", "PIPELINE=churn", folder=fresh)
    shell("git", "add", "--all", folder=fresh)
    shell("make", "lint", "types", "status", folder=fresh)
    judged = shell("make", "gates", "PIPELINE=churn", folder=fresh)
    assert "gates: 7 passed, 0 failed, 1 NOT RUN" in judged
    assert "NOT RUN  answers-quickly" in judged
    assert "first release: there is no champion yet" in judged
    strict = shell("make", "gates", "PIPELINE=churn", "STRICT=1", folder=fresh, status=2)
    assert "they may not be merged or deployed like this" in strict

    fewer = fresh / "pipelines/churn/params.yaml"
    fewer.write_text(fewer.read_text(encoding="utf-8").replace("test_share: 0.3", "test_share: 0.2"), encoding="utf-8")
    shell("make", "run", "PIPELINE=churn", folder=fresh)
    assert "114 rows were judged, the contract pins 171. If they are right, pin examRows: 114" in " ".join(
        shell("make", "gates", "PIPELINE=churn", folder=fresh, status=2).split()
    )


@pytest.mark.slow
def test_without_its_sample_pipelines_the_repo_is_green_and_takes_a_new_one(fresh: Path, shell: Shell) -> None:
    samples = [member.path.name for member in members(fresh) if member.is_pipeline]
    shell("make", "adopt", "NAME=acme", "OWNER=@acme/data", "SAMPLES=remove", folder=fresh)
    assert samples
    assert not any((fresh / "pipelines" / name).exists() for name in samples)
    assert (fresh / "README.md").read_text(encoding="utf-8").startswith("# acme\n")
    shell("git", "add", "--all", folder=fresh)
    shell("make", "lint", "types", "test", "status", "gates", folder=fresh)
    shell("git", "commit", "--quiet", "--message", "feat!: without the samples", folder=fresh)
    shell("make", "new-pipeline", "NAME=churn", folder=fresh)
    shell("make", "run", folder=fresh)
    shell("git", "add", "--all", folder=fresh)
    shell("make", "lint", "types", "status", folder=fresh)


def removable() -> list[str]:
    """Name every member that nobody needs, once all sample pipelines are gone."""
    packages = [member for member in members() if not member.is_pipeline]
    return [member.path.name for member in packages if not removal.needed_by(member, packages, ROOT)]


@pytest.mark.slow
@pytest.mark.parametrize("package", sorted({*removable(), "weather"}))
def test_without_a_package_that_nobody_needs_the_rest_is_green(package: str, fresh: Path, shell: Shell) -> None:
    if not (fresh / "packages" / package).is_dir():  # the shared packages need each other or stand behind a button
        shell("make", "new-package", f"NAME={package}", folder=fresh)
        shell("git", "add", "--all", folder=fresh)
        shell("git", "commit", "--quiet", "--no-verify", "--message", "a package", folder=fresh)
    samples = [member.path.name for member in members(fresh) if member.is_pipeline]
    shell("make", "remove", f"MEMBER={','.join([*samples, package])}", folder=fresh)
    shell("git", "add", "--all", folder=fresh)
    shell("make", "lint", "types", "test", folder=fresh)
