"""New members from the templates, and members that go: in a small workspace first, then in clones of this repo.

A member that went changes what reads the whole repository: every check of lint, the types, `make status`, and the tests that a
member lists as `repo-tests`. So the clones run these and not the other tests, which see their own member alone; that they are
green without the samples too, the weekly workflow proves with all tests.
"""

import shutil
from collections.abc import Callable
from pathlib import Path

import pytest
from packages.workbench.tests.test_text_rules import made_its_own

from onebutton_contracts.errors import InputError
from onebutton_workbench.members import new as scaffold
from onebutton_workbench.members import remove as removal
from onebutton_workbench.members.lockfile import add
from onebutton_workbench.members.new import new
from onebutton_workbench.members.remove import remove, without_samples
from onebutton_workbench.workspace import ROOT, members, pipelines

Shell = Callable[..., str]  # of conftest.py


def state(folder: Path, shell: Shell) -> str:
    return shell("git", "status", "--porcelain", "--untracked-files=all", folder=folder)


@pytest.fixture(scope="module")
def committed(tmp_path_factory: pytest.TempPathFactory, shell: Shell) -> Path:
    """A workspace of a package `shared` and a pipeline `sample`, which needs it; committed, and with our templates."""
    folder = tmp_path_factory.mktemp("grow") / "small"
    member = '[project]\nname = "{}"\nversion = "0"\nrequires-python = ">=3.11"\ndependencies = [{}]\n'
    sources = "\n[tool.uv.sources]\nacme-shared = { workspace = true }\n"
    files = {
        "pyproject.toml": '[project]\nname = "acme"\nversion = "0"\nrequires-python = ">=3.11"\n\n'
        '[tool.uv]\npackage = false\n\n[tool.uv.workspace]\nmembers = ["packages/*", "pipelines/*"]\n',
        "packages/shared/pyproject.toml": member.format("acme-shared", ""),
        "pipelines/sample/pyproject.toml": member.format("sample", '"acme-shared"') + sources,
        "pipelines/sample/params.yaml": "seed: 1\n",
        "README.md": "# acme\n\nFirst.\n\n<!-- samples -->\nIt says 1.\n<!-- /samples -->\n\nLast.\n\n"
        "<!-- samples -->\nThanks.\n<!-- /samples -->\n",
        ".gitignore": "data/\n",
    }
    for name, text in files.items():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_text(text, encoding="utf-8")
    shutil.copytree(ROOT / "templates", folder / "templates")
    declared = folder / "templates/package/member/pyproject.toml.jinja"
    declared.write_text(declared.read_text(encoding="utf-8").replace('"polars>=2"', ""), encoding="utf-8")
    shell("uv", "lock", "--quiet", folder=folder, UV_OFFLINE="1", UV_FROZEN="0")  # it needs nothing from outside
    shell("git", "init", "--quiet", "--initial-branch", "main", folder=folder)
    shell("git", "add", "--all", folder=folder)
    shell("git", "commit", "--quiet", "--message", "small", folder=folder)
    (folder / "pipelines/sample/data").mkdir()
    (folder / "pipelines/sample/data/rows.parquet").write_bytes(b"rows")
    return folder


@pytest.fixture
def small(committed: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A copy of that workspace, to be changed."""
    monkeypatch.setenv("UV_OFFLINE", "1")
    monkeypatch.delenv("UV_FROZEN", raising=False)  # as `make` sets it: under it uv writes no lock
    return shutil.copytree(committed, tmp_path / "small")


@pytest.fixture(autouse=True)
def _as_a_button_runs(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", f"{ROOT / '.tools/bin'}:{ROOT / '.venv/bin'}", prepend=":")


@pytest.mark.parametrize(
    ("name", "words"),
    [
        ("", "NAME= is no name for a folder that Python imports, as churn is"),
        ("Wind", "NAME=Wind is no name for a folder that Python imports"),
        ("wind-speed", "NAME=wind-speed is no name for a folder that Python imports"),
        ("2winds", "NAME=2winds is no name"),
        ("../wind", "NAME=../wind is no name"),
        ("wïnd", "NAME=wïnd is no name"),
        ("class", "NAME=class is no name for a folder that Python imports"),
        ("match", "NAME=match is no name for a folder that Python imports"),
        ("shared", "NAME=shared is taken by another member"),
        ("sample", "NAME=sample is taken by another member"),
        ("test", "`import test` finds something else already"),
        ("statistics", "`import statistics` finds something else already"),
        ("polars", "`import polars` finds something else already"),
        ("sklearn", "`import sklearn` finds something else already"),
        ("conftest", "`import conftest` finds something else already"),
        ("acme", "NAME=acme is a package that uv.lock has"),
    ],
)
def test_a_pipeline_of_no_good_name_is_refused(name: str, words: str, committed: Path, shell: Shell) -> None:
    with pytest.raises(InputError) as refusal:
        new(committed, kind="pipeline", name=name)
    assert str(refusal.value).startswith(words)
    assert str(refusal.value).endswith("Nothing was written")
    assert state(committed, shell) == ""


def test_a_new_package_bears_the_projects_name_and_changes_nothing_but_the_lock(small: Path, shell: Shell) -> None:
    assert new(small, kind="package", name="wind_speed") == 0
    assert (small / "packages/wind_speed/src/acme_wind_speed/__init__.py").is_file()
    outside = [line for line in state(small, shell).splitlines() if " packages/wind_speed/" not in line]
    assert outside == [" M uv.lock"]
    assert 'name = "acme-wind-speed"' in (small / "uv.lock").read_text(encoding="utf-8")


@pytest.mark.parametrize("failure", [KeyboardInterrupt(), OSError("No space left on device")])
@pytest.mark.parametrize("step", ["render", "lock"])
def test_a_member_that_cannot_be_finished_leaves_nothing_behind(
    step: str, failure: BaseException, small: Path, shell: Shell, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(*_: object) -> None:
        raise failure

    monkeypatch.setattr(scaffold, step, fail)
    with pytest.raises(type(failure)):
        new(small, kind="package", name="wind")
    assert state(small, shell) == ""


def test_a_member_that_uv_cannot_lock_is_not_written(small: Path, shell: Shell) -> None:
    with pytest.raises(InputError, match=r"uv could not lock it: .*Nothing was changed"):
        new(small, kind="pipeline", name="churn")  # it needs libraries that this small workspace has not
    assert state(small, shell) == ""


def test_a_removed_member_is_gone_from_its_folder_the_lock_and_the_front_page(small: Path) -> None:
    assert remove(small, member="sample,shared") == 0
    assert not (small / "pipelines/sample").exists()
    assert not (small / "packages/shared").exists()
    assert (small / "README.md").read_text(encoding="utf-8") == "# acme\n\nFirst.\n\nLast.\n"
    assert "sample" not in (small / "uv.lock").read_text(encoding="utf-8")


def test_outputs_that_only_the_members_own_gitignore_names_go_with_it(small: Path, shell: Shell) -> None:
    (small / "pipelines/sample/.gitignore").write_text("/model.pkl\n", encoding="utf-8")
    shell("git", "add", "--all", folder=small)
    shell("git", "commit", "--quiet", "--message", "as DVC writes it", folder=small)
    (small / "pipelines/sample/model.pkl").write_bytes(b"model")
    assert remove(small, member="sample") == 0
    assert not (small / "pipelines/sample").exists()
    assert list(small.glob(".removal-*")) == []


def test_a_package_that_nobody_needs_any_more_is_named(small: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert remove(small, member="sample") == 0
    assert "  packages/shared/  is needed by nobody now\n" in capsys.readouterr().out


def test_what_others_need_stays(small: Path, clone: Path, shell: Shell) -> None:
    for folder, member, words in (
        (small, "", "say which member. MEMBER can be: packages/shared, pipelines/sample"),
        (small, "nobody", "there is no member 'nobody'"),
        (small, "shared", "packages/shared is needed by pipelines/sample. Nothing was changed"),
        (clone, "tracking", "packages/tracking is needed by packages/"),
        (clone, "models", "packages/models is needed by packages/"),
        (clone, "workbench", "packages/workbench is needed by the buttons"),
    ):
        with pytest.raises(InputError, match=words):
            remove(folder, member=member)
        assert state(folder, shell) == ""


@pytest.mark.parametrize(
    ("values", "words"),
    [
        ({}, "PACKAGE= says what to add: make add PACKAGE=xgboost MEMBER=churn"),
        ({"package": "xgboost"}, "say which member. MEMBER can be: packages/shared, pipelines/sample"),
    ],
)
def test_an_addition_without_a_value_says_what_to_type(values: dict[str, str], words: str, committed: Path) -> None:
    with pytest.raises(InputError) as refusal:
        add(**values, root=committed)
    assert str(refusal.value) == words


def test_work_that_is_not_committed_is_not_removed_with_a_member(small: Path, shell: Shell) -> None:
    (small / "notes.txt").write_text("elsewhere\n", encoding="utf-8")
    (small / "pipelines/sample/params.yaml").write_text("{}\n", encoding="utf-8")
    with pytest.raises(InputError, match=r"not committed: pipelines/sample/params\.yaml\. "):
        remove(small, member="sample")
    shell("git", "checkout", "--quiet", ".", folder=small)
    assert remove(small, member="sample") == 0
    assert (small / "notes.txt").is_file()


@pytest.mark.parametrize("failure", [KeyboardInterrupt(), InputError("uv could not lock it")])
def test_a_removal_that_breaks_off_takes_everything_back(
    failure: BaseException, small: Path, shell: Shell, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(*_: object) -> None:
        raise failure

    monkeypatch.setattr(removal, "lock", fail)
    with pytest.raises(type(failure)):
        remove(small, member="sample")
    assert state(small, shell) == ""
    assert (small / "pipelines/sample/data/rows.parquet").read_bytes() == b"rows"


def test_without_its_samples_the_front_page_names_no_pipeline() -> None:
    page = without_samples((ROOT / "README.md").read_text(encoding="utf-8"))
    assert "samples -->" not in page
    assert [name for name in pipelines() if name in page] == []


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
    assert "zebra_crossings, a draft." in drafted
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
    assert "1 mistake in drafts (pipelines/churn" in shell("make", "types", folder=fresh)
    shell("make", "test", "PIPELINE=churn", folder=fresh)
    graduate(pipeline)
    assert "types: 1 mistake, where" in shell("make", "types", folder=fresh, status=2)
    assert "UserWarning: old" in shell("make", "test", "PIPELINE=churn", folder=fresh, status=2)


@pytest.mark.slow
def test_a_pipeline_that_is_no_draft_any_more_is_held_to_its_gates(fresh: Path, shell: Shell) -> None:
    shell("make", "new-pipeline", "NAME=churn", folder=fresh)
    shell("make", "run", "PIPELINE=churn", folder=fresh)
    environments = fresh / "deploy/environments.toml"
    laptop = environments.read_text(encoding="utf-8")
    elsewhere = laptop.replace('store = ".releases"', 'store = "deploy"').replace("laptop = true  ", "image = true  ")
    environments.write_text(elsewhere, encoding="utf-8")
    assert "churn is a draft, which goes to an environment with `laptop = true` alone" in shell(
        "make", "deploy", "PIPELINE=churn", folder=fresh, status=2
    )
    environments.write_text(laptop, encoding="utf-8")
    graduate(fresh / "pipelines/churn")
    shell("git", "add", "--all", folder=fresh)
    refused = shell("make", "lint", folder=fresh, status=2)
    assert "OB107 pipelines/churn/card.toml: nobody has written chosen_because, also_tried" in refused
    card = fresh / "pipelines/churn/card.toml"
    card.write_text(made_its_own(card.read_text(encoding="utf-8")), encoding="utf-8")
    shell("make", "run", "PIPELINE=churn", folder=fresh)
    shell("git", "add", "--all", folder=fresh)
    shell("make", "lint", "types", "status", folder=fresh)
    judged = shell("make", "gates", "PIPELINE=churn", folder=fresh)
    assert "5 of 6 gates passed; NOT RUN: latency-p95, which `make deploy` measures." in judged
    assert "NOT RUN  latency-p95" in judged
    assert "first release: there is no champion yet" in judged
    strict = shell("make", "gates", "PIPELINE=churn", "STRICT=1", folder=fresh, status=2)
    assert "With STRICT=1 every gate must have run: `make gates MEASURE=1` measures the server" in strict

    fewer = fresh / "pipelines/churn/params.yaml"
    fewer.write_text(
        fewer.read_text(encoding="utf-8").replace("holdout_share: 0.3", "holdout_share: 0.2"), encoding="utf-8"
    )
    shell("make", "run", "PIPELINE=churn", folder=fresh)
    assert "114 rows were judged, the contract pins 171. If they are right, pin holdoutRows: 114" in " ".join(
        shell("make", "gates", "PIPELINE=churn", folder=fresh, status=2).split()
    )


@pytest.mark.slow
def test_without_its_sample_pipelines_the_repo_is_green_and_takes_a_new_one(fresh: Path, shell: Shell) -> None:
    samples = [member.path for member in members(fresh) if member.is_pipeline or member.path.name == "flights"]
    shell("make", "adopt", "NAME=acme", "OWNER=@acme/data", "SAMPLES=remove", folder=fresh)
    assert samples
    assert not any((fresh / path).exists() for path in samples)
    assert (fresh / "README.md").read_text(encoding="utf-8").startswith("# acme\n")
    shell("git", "add", "--all", folder=fresh)
    shell("make", "lint", "types", folder=fresh)
    shell("make", "run", folder=fresh)
    shell("git", "add", "--all", folder=fresh)
    shell("make", "status", "gates", folder=fresh)
    shell("git", "commit", "--quiet", "--message", "feat!: without the samples", folder=fresh)
    shell("make", "new-pipeline", "NAME=churn", folder=fresh)
    shell("make", "run", folder=fresh)
    shell("git", "add", "--all", folder=fresh)
    shell("make", "lint", "types", "status", folder=fresh)
    tested = shell(
        "make", "test", "AFFECTED=1", "BASE=HEAD", folder=fresh
    )  # the new one's, and what reads the whole repo
    assert "test: 1 of " in tested
    assert "test: tests passed" in tested


def removable() -> list[str]:
    """Name every package that nobody needs, once all sample pipelines are gone; the workbench has the buttons."""
    packages = [member for member in members() if not member.is_pipeline]
    needed = {"onebutton-workbench", "onebutton-models"}.union(*(member.requires for member in packages))
    return [member.path.name for member in packages if member.name not in needed]


@pytest.mark.slow
@pytest.mark.parametrize("package", sorted({*removable(), "weather"}))
def test_without_a_package_that_nobody_needs_the_rest_is_green(package: str, fresh: Path, shell: Shell) -> None:
    if not (fresh / "packages" / package).is_dir():  # the shared packages need each other or stand behind a button
        shell("make", "new-package", f"NAME={package}", folder=fresh)
        shell("git", "add", "--all", folder=fresh)
        shell("git", "commit", "--quiet", "--no-verify", "--message", "a package", folder=fresh)
    samples = [member.path.name for member in members(fresh) if member.is_pipeline]
    shell("make", "remove", f"MEMBER={','.join([*samples, package])}", folder=fresh)
    shell("git", "commit", "--quiet", "--all", "--message", "feat!: without a package", folder=fresh)
    shell("make", "lint", "types", "status", folder=fresh)
    (fresh / "docs/begun.md").write_text(
        "# Begun\n", encoding="utf-8"
    )  # so that the tests run that read the whole repo
    tested = shell("make", "test", "AFFECTED=1", "BASE=HEAD", folder=fresh)
    assert "test: no member" in tested
    assert "test: tests passed" in tested
