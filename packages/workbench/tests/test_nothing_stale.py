"""Plain `dvc repro` reruns what a change in meaning reaches, and nothing else."""

import re
from pathlib import Path
from typing import Any

import pytest

from onebutton_workbench.workspace import ROOT

pytestmark = pytest.mark.slow  # each calls DVC a dozen times

DEEP = "packages/shared/src/shared/deep.py"


class Repo:
    """The small workspace under git and DVC, run once."""

    def __init__(self, folder: Path, shell: Any) -> None:
        self.folder, self.shell = folder, shell
        sources = [*sorted(folder.glob("*/*/src")), ROOT / "packages/workbench/src"]
        self.path = ":".join(map(str, sources))
        self.call("git", "init", "--quiet", "--initial-branch", "main")
        self.call("dvc", "init", "--quiet")
        (folder / ".gitignore").write_text(".code/\n__pycache__/\n", encoding="utf-8")
        self.repro()
        self.commit("first")

    def call(self, *command: str, status: int | None = 0) -> str:
        output: str = self.shell(*command, folder=self.folder, status=status, PYTHONPATH=self.path)
        return output

    def commit(self, words: str) -> None:
        self.call("git", "add", "--all")
        self.call("git", "commit", "--quiet", "--message", words)

    def repro(self) -> set[str]:
        """Press `dvc repro` and return the stages that ran."""
        return set(re.findall(r"Running stage '(?:.*:)?(\w+)'", self.call("dvc", "repro", "pipelines/pipe/dvc.yaml")))

    def edit(self, name: str, old: str, new: str) -> None:
        file = self.folder / name
        text = file.read_text(encoding="utf-8")
        assert old in text
        file.write_text(text.replace(old, new), encoding="utf-8")

    @property
    def lock(self) -> str:
        return (self.folder / "pipelines/pipe/dvc.lock").read_text(encoding="utf-8")


@pytest.fixture
def repo(workspace: Path, shell: Any) -> Repo:
    return Repo(workspace, shell)


def test_a_comment_reruns_nothing_and_an_edit_three_imports_deep_reruns_what_reaches_it(repo: Repo) -> None:
    lock = repo.lock
    assert repo.repro() == {"code"}
    assert (
        repo.call("dvc", "status", "pipelines/pipe/dvc.yaml").count("pipelines/pipe/dvc.yaml:") == 1
    )  # `code`, always
    repo.edit(DEEP, "# why", "# because")
    repo.edit(DEEP, '    """Say."""\n', "")
    assert repo.repro() == {"code"}
    assert repo.lock == lock
    repo.edit(DEEP, "x + 1", "x + 2")
    assert repo.repro() == {"code", "second"}
    repo.edit("uv.lock", 'version = "2.0.0"', 'version = "2.1.0"')
    assert repo.repro() == {"code", "second"}


def test_two_branches_that_only_edit_comments_merge(repo: Repo) -> None:
    for branch, comment in (("one", "# one"), ("two", "# two")):
        repo.call("git", "switch", "--quiet", "--create", branch, "main")
        (repo.folder / f"packages/shared/src/shared/{branch}.py").write_text(f"{comment}\n", encoding="utf-8")
        repo.repro()
        repo.commit(branch)
    repo.call("git", "merge", "--quiet", "--no-edit", "one")
    assert repo.repro() == {"code"}


def test_code_edited_while_a_stage_runs_is_caught_by_the_next_press(repo: Repo) -> None:
    """The stage itself edits the shared module while it runs, as a person might in their editor."""
    deep = repo.folder / DEEP
    repo.edit(
        "pipelines/pipe/src/pipe/second.py",
        "main()\n",
        f"main()\nfrom pathlib import Path\nfile = Path({str(deep)!r})\n"
        "file.write_text(file.read_text().replace('x + 1', 'x + 9'))\n",
    )
    assert repo.repro() == {"code", "second"}
    assert repo.repro() == {"code", "second"}
    assert repo.repro() == {"code"}
