"""What a change reaches, over a real repository: `pipe` builds on `lib`, `lib` on `shared`; nobody builds on `other`."""

from __future__ import annotations

import shutil
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import pytest

from onebutton_contracts.errors import InputError
from onebutton_workbench.lineage.affected import Affected, affected, report
from onebutton_workbench.workspace import ROOT

DEEP = "packages/shared/src/shared/deep.py"
ALL = ["packages/lib", "packages/other", "packages/shared", "pipelines/pipe"]


class Repo:
    """The small workspace under git, on a branch `change` that starts at `main`."""

    def __init__(self, folder: Path, shell: Any) -> None:
        self.folder, self.shell = folder, shell
        for name, text in {
            "README.md": "# All\n",
            "docs/how.md": "# How\n",
            "notebooks/look.ipynb": "{}\n",
            ".github/workflows/ci.yml": "jobs: {}\n",
            ".gitignore": "__pycache__/\nignored/\n",
            "packages/lib/README.md": "# Lib\n",
            "packages/lib/tests/test_mid.py": "def test_mid():\n    assert True\n",
            "pipelines/pipe/params.yaml": "first: {rate: 1}\n",
        }.items():
            self.write(name, text)
        self.git("init", "--quiet", "--initial-branch", "main")
        self.commit()
        self.git("switch", "--quiet", "--create", "change")

    def git(self, *arguments: str) -> Repo:
        self.shell("git", *arguments, folder=self.folder)
        return self

    def commit(self) -> Repo:
        return self.git("add", "--all").git("commit", "--quiet", "--allow-empty", "--message", "all")

    def write(self, name: str, text: str = "") -> Repo:
        path = self.folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text, encoding="utf-8")
        return self

    def append(self, *names: str) -> Repo:
        for name in names:
            self.write(name, (self.folder / name).read_text(encoding="utf-8") + "\n")
        return self

    def lock(self, *blocks: str) -> Repo:
        old = (self.folder / "uv.lock").read_text(encoding="utf-8")
        return self.write("uv.lock", old + "".join(f"\n[[package]]\n{block}" for block in blocks))

    def affected(self, base: str = "", **environment: str) -> Affected:
        with pytest.MonkeyPatch.context() as patch:
            for name, text in environment.items():
                patch.setenv(name, text)
            return affected(self.folder, base)


@pytest.fixture
def repo(workspace: Path, shell: Any) -> Repo:
    return Repo(workspace, shell)


def members(found: Affected) -> dict[str, str]:
    return {path.as_posix(): why for path, why in found.members.items()}


SHARED_REACHES = {"packages/lib": "imports shared", "pipelines/pipe": "imports lib"}
REACHED: dict[str, tuple[Callable[[Repo], Any], Mapping[str, str]]] = {
    "nothing": (lambda _: None, {}),
    "a member that nobody builds on": (
        lambda repo: repo.append("packages/other/src/other/__init__.py"),
        {"packages/other": "changed: src/other/__init__.py"},
    ),
    "a member in the middle": (
        lambda repo: repo.append("packages/lib/src/lib/mid.py"),
        {"packages/lib": "changed: src/lib/mid.py", "pipelines/pipe": "imports lib"},
    ),
    "a member that all build on, over two levels": (
        lambda repo: repo.append(DEEP),
        {"packages/shared": "changed: src/shared/deep.py", **SHARED_REACHES},
    ),
    "data beside the code": (
        lambda repo: repo.append("packages/shared/src/shared/words.txt"),
        {"packages/shared": "changed: src/shared/words.txt", **SHARED_REACHES},
    ),
    "what a member declares": (
        lambda repo: repo.append("packages/lib/pyproject.toml"),
        {"packages/lib": "changed: pyproject.toml", "pipelines/pipe": "imports lib"},
    ),
    "a deleted file": (
        lambda repo: (repo.folder / DEEP).unlink(),
        {"packages/shared": "changed: src/shared/deep.py", **SHARED_REACHES},
    ),
    "a file that moved to another member": (
        lambda repo: repo.git("mv", DEEP, "packages/other/src/other/deep.py"),
        {
            "packages/other": "changed: src/other/deep.py",
            "packages/shared": "changed: src/shared/deep.py",
            **SHARED_REACHES,
        },
    ),
    "a file that is not added yet": (
        lambda repo: repo.write("packages/other/src/other/new name.py", ""),
        {"packages/other": "changed: src/other/new name.py"},
    ),
    "a file that git ignores": (lambda repo: repo.write("packages/other/ignored/data.csv", ""), {}),
    "a test alone": (
        lambda repo: repo.append("packages/lib/tests/test_mid.py"),
        {"packages/lib": "changed: tests/test_mid.py"},
    ),
    "what a test reads": (
        lambda repo: repo.write("packages/shared/tests/rows.csv", "a,b\n"),
        {"packages/shared": "changed: tests/rows.csv", **SHARED_REACHES},
    ),
    "a test and what it reads": (
        lambda repo: repo.append("packages/lib/tests/test_mid.py").write("packages/lib/tests/good/rows.csv", "a,b\n"),
        {"packages/lib": "changed: tests/good/rows.csv", "pipelines/pipe": "imports lib"},
    ),
    "documentation alone": (
        lambda repo: repo.append("README.md", "docs/how.md", "notebooks/look.ipynb"),
        {},
    ),
    "the README of a member": (lambda repo: repo.append("packages/lib/README.md"), {}),
    "a new member and its place in the lock": (
        lambda repo: (
            repo.write("packages/new/pyproject.toml", '[project]\nname = "new"\n')
            .write("packages/new/src/new/__init__.py")
            .lock('name = "new"\nsource = { editable = "packages/new" }\n', 'name = "river"\nversion = "1"\n')
        ),
        {"packages/new": "changed: pyproject.toml, src/new/__init__.py"},
    ),
    "several files of one member": (
        lambda repo: [repo.write(f"packages/other/src/other/{name}.py") for name in "abc"],
        {"packages/other": "changed: src/other/a.py, src/other/b.py and 1 more"},
    ),
}


@pytest.mark.parametrize("committed", [False, True], ids=["not committed", "committed"])
@pytest.mark.parametrize("change", REACHED)
def test_a_change_reaches_its_owner_and_all_that_build_on_it(repo: Repo, change: str, *, committed: bool) -> None:
    edit, expected = REACHED[change]
    edit(repo)
    if committed:
        repo.commit()
    found = repo.affected()
    assert members(found) == expected
    assert not found.everything


EVERYTHING: dict[str, tuple[Callable[[Repo], Any], str]] = {
    "a version in the lock": (
        lambda repo: repo.write("uv.lock", (repo.folder / "uv.lock").read_text().replace("2.0.0", "2.0.1")),
        "uv.lock belongs to no member, so it concerns all",
    ),
    "a lock that is gone": (lambda repo: (repo.folder / "uv.lock").unlink(), "uv.lock belongs to no member"),
    "a setting of the lock": (
        lambda repo: repo.write("uv.lock", "revision = 9\n" + (repo.folder / "uv.lock").read_text()),
        "uv.lock belongs to no member",
    ),
    "a workflow": (lambda repo: repo.append(".github/workflows/ci.yml"), ".github/workflows/ci.yml belongs to no"),
    "a file of the root": (lambda repo: repo.append("pyproject.toml"), "pyproject.toml belongs to no member"),
    "a folder that is no member": (lambda repo: repo.write("packages/new/a.py", ""), "packages/new/a.py belongs to no"),
    "a deleted member": (
        lambda repo: shutil.rmtree(repo.folder / "packages/other"),
        "packages/other/pyproject.toml belongs to no member",
    ),
    "a member that got another name": (
        lambda repo: repo.git("mv", "packages/other", "packages/another"),
        "packages/other/pyproject.toml belongs to no member",
    ),
    "a pyproject.toml that is no TOML": (
        lambda repo: repo.write("packages/lib/pyproject.toml", "[project\n"),
        "packages/lib/pyproject.toml cannot be read: ",
    ),
    "a pyproject.toml without a name": (
        lambda repo: repo.write("packages/lib/pyproject.toml", ""),
        "packages/lib/pyproject.toml has no name under [project]",
    ),
    "no git": (lambda repo: shutil.rmtree(repo.folder / ".git"), "git rev-parse failed: fatal: not a git repository"),
    "no branch main": (
        lambda repo: repo.git("branch", "--quiet", "--delete", "main"),
        "origin/main is not here to compare with",
    ),
    "main itself, pushed nowhere yet": (
        lambda repo: repo.git("switch", "--quiet", "main"),
        "this is main, with no origin",
    ),
    "a branch with another beginning": (
        lambda repo: repo.git("checkout", "--quiet", "--orphan", "island").append(DEEP).commit(),
        "main and this branch have no commit in common here",
    ),
}


@pytest.mark.parametrize("change", EVERYTHING)
def test_where_a_change_cannot_be_followed_everything_counts_as_reached_and_it_says_why(
    repo: Repo, change: str
) -> None:
    edit, why = EVERYTHING[change]
    edit(repo)
    found = repo.affected()
    assert found.everything
    assert why in found.words
    assert list(found.members) == sorted(
        file.parent.relative_to(repo.folder) for file in repo.folder.glob("*/*/pyproject.toml")
    )


def test_a_git_that_is_missing_means_everything(repo: Repo, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    found = repo.affected()
    assert found.everything
    assert "git did not start" in found.words


def test_a_hook_in_another_repository_does_not_mislead_git(repo: Repo, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("GIT_DIR", str(ROOT / ".git"))
    monkeypatch.setenv("GIT_INDEX_FILE", str(repo.folder / "nowhere"))
    repo.append("packages/other/src/other/__init__.py")
    assert list(members(repo.affected())) == ["packages/other"]


def test_the_branch_is_compared_with_where_it_parted_and_not_with_what_main_did_since(repo: Repo) -> None:
    repo.append("packages/other/src/other/__init__.py")
    repo.commit()
    repo.git("switch", "--quiet", "main")
    repo.append(DEEP)
    repo.commit()
    repo.git("switch", "--quiet", "change")
    assert list(members(repo.affected())) == ["packages/other"]


def test_main_is_compared_with_what_was_pushed(repo: Repo) -> None:
    repo.git("update-ref", "refs/remotes/origin/main", "main")
    repo.git("switch", "--quiet", "main")
    assert members(repo.affected()) == {}
    repo.append(DEEP)
    repo.commit()
    assert list(members(repo.affected())) == ["packages/lib", "packages/shared", "pipelines/pipe"]


def test_a_typed_base_takes_the_place_of_main(repo: Repo) -> None:
    repo.append(DEEP)
    repo.commit()
    repo.append("packages/other/src/other/__init__.py")
    assert list(members(repo.affected(base="HEAD"))) == ["packages/other"]


@pytest.mark.parametrize("base", ["nowhere", "--help", "$(id)"])
def test_an_unknown_base_is_refused(repo: Repo, base: str) -> None:
    with pytest.raises(InputError, match=r"is no commit here\. BASE takes a branch, a tag or a commit"):
        repo.affected(base=base)


@pytest.mark.parametrize("event", ["push", "schedule", "workflow_dispatch", "merge_group"])
def test_github_runs_everything_on_main_and_in_the_merge_queue(repo: Repo, event: str) -> None:
    repo.append("packages/other/src/other/__init__.py")
    found = repo.affected(GITHUB_EVENT_NAME=event, GITHUB_REF_NAME="main")
    assert found.everything
    assert event in found.words


def test_a_pushed_branch_is_compared_with_main(repo: Repo) -> None:
    repo.git("update-ref", "refs/remotes/origin/main", "main")
    repo.append("packages/other/src/other/__init__.py")
    repo.commit()
    found = repo.affected(GITHUB_EVENT_NAME="push", GITHUB_REF_NAME="change")
    assert list(members(found)) == ["packages/other"]
    assert "since origin/main" in found.words


def test_a_pull_request_is_compared_with_the_branch_that_it_goes_into(repo: Repo) -> None:
    repo.git("update-ref", "refs/remotes/origin/release", "main")
    repo.append("packages/other/src/other/__init__.py")
    repo.commit()
    found = repo.affected(GITHUB_EVENT_NAME="pull_request", GITHUB_BASE_REF="release")
    assert list(members(found)) == ["packages/other"]
    assert "since origin/release" in found.words
    found = repo.affected(GITHUB_EVENT_NAME="pull_request", GITHUB_BASE_REF="gone")
    assert found.everything
    assert "origin/gone is not here to compare with" in found.words


def test_a_shallow_clone_without_the_base_means_everything(
    repo: Repo, tmp_path_factory: pytest.TempPathFactory
) -> None:
    repo.append("packages/other/src/other/__init__.py")
    repo.commit()
    clone = tmp_path_factory.mktemp("shallow") / "clone"
    repo.git("clone", "--quiet", "--depth", "1", "--branch", "change", f"file://{repo.folder}", str(clone))
    found = affected(clone)
    assert found.everything
    assert "origin/main is not here to compare with; this clone is shallow: `git fetch --unshallow" in found.words
    with pytest.raises(InputError, match="this clone is shallow"):
        affected(clone, "HEAD~1")
    repo.shell("git", "fetch", "--quiet", "--depth", "1", "origin", "main:refs/remotes/origin/main", folder=clone)
    found = affected(clone)
    assert found.everything
    assert "have no commit in common here; this clone is shallow" in found.words
    remedy = found.words.split("`")[1].replace("'", "").split()
    repo.shell(*remedy, folder=clone)
    assert not affected(clone).everything


def test_tests_that_read_the_whole_repo_are_reached_by_any_change_even_of_documentation(repo: Repo) -> None:
    listed = '[tool.onebutton]\nrepo-tests = ["tests/test_words.py"]\n'
    repo.write("packages/other/pyproject.toml", f'[project]\nname = "other"\n{listed}').commit()
    assert repo.affected(base="HEAD").repo_tests == ()
    repo.append("docs/how.md")
    found = repo.affected(base="HEAD")
    assert (members(found), found.repo_tests) == ({}, ("packages/other/tests/test_words.py",))
    repo.append("packages/other/src/other/__init__.py")
    assert repo.affected(base="HEAD").repo_tests == ()  # all tests of that member run


def test_the_report_names_members_then_what_to_press(repo: Repo, capsys: pytest.CaptureFixture[str]) -> None:
    repo.append(DEEP)
    assert report(repo.folder) == 0
    lines = capsys.readouterr().out.splitlines()
    assert lines[:-1] == [
        "packages/lib     imports shared",
        "packages/shared  changed: src/shared/deep.py",
        "pipelines/pipe   imports lib",
    ]
    assert lines[-1].startswith("status: 3 of 4 members, since main (")
    assert lines[-1].endswith("). Next: make test AFFECTED=1")
    repo.commit()
    assert report(repo.folder, base="change") == 0
    assert capsys.readouterr().out.startswith("status: no member: nothing changed since change (")


def test_the_report_says_why_documentation_reaches_nobody(repo: Repo, capsys: pytest.CaptureFixture[str]) -> None:
    repo.append("docs/how.md")
    assert report(repo.folder) == 0
    (line,) = capsys.readouterr().out.splitlines()
    assert line.startswith("status: no member: only documentation or results changed since main (")
    assert line.endswith("): docs/how.md")


def test_the_report_gives_the_reason_for_everything(repo: Repo, capsys: pytest.CaptureFixture[str]) -> None:
    repo.append("pyproject.toml")
    assert report(repo.folder) == 0
    lines = capsys.readouterr().out.splitlines()
    assert [line.split()[0] for line in lines[:-1]] == ALL
    assert all("pyproject.toml belongs to no member, so it concerns all" in line for line in lines)


def test_make_affected_works_here_and_refuses_an_unknown_base(shell: Any) -> None:
    assert shell("make", "status", "AFFECTED=1", "BASE=HEAD", folder=ROOT).splitlines()[-1].startswith("status: ")
    shown = shell("make", "status", "AFFECTED=1", "BASE=nowhere", folder=ROOT, status=2)
    assert "status: 'nowhere' is no commit here. BASE takes a branch" in shown
    assert "Traceback" not in shown
