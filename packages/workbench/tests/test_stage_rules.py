from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from onebutton_workbench import closure
from onebutton_workbench.fingerprint import write_fingerprints
from onebutton_workbench.stage_rules import check_all, mend
from onebutton_workbench.unrun import unrun
from onebutton_workbench.workspace import ROOT, WorkbenchError

PIPE = "pipelines/pipe/dvc.yaml"
DEEP = "packages/shared/src/shared/deep.py"


def edit(root: Path, name: str, old: str, new: str) -> None:
    file = root / name
    text = file.read_text(encoding="utf-8")
    assert old in text
    file.write_text(text.replace(old, new), encoding="utf-8")


def found(root: Path) -> list[str]:
    return [f"{finding.check} {finding.place}" for finding in check_all(root)]


def test_the_stages_of_this_repo_keep_the_rules() -> None:
    assert found(ROOT) == []


def test_a_complete_pipeline_keeps_the_rules(workspace: Path) -> None:
    assert found(workspace) == []


BREACHES: dict[str, tuple[Callable[[Path], None], str]] = {
    "no stage code": (lambda root: edit(root, PIPE, "always_changed: true", "desc: mine"), f"OB101 {PIPE}"),
    "a script instead of a module": (
        lambda root: edit(root, PIPE, "python -m pipe.first", "python first.py"),
        f"OB102 {PIPE}",
    ),
    "a module that is not there": (lambda root: edit(root, PIPE, "-m pipe.first", "-m pipe.third"), f"OB102 {PIPE}"),
    "a stage that does not list its fingerprint": (
        lambda root: edit(root, PIPE, "[.code/second]", "[data]"),
        f"OB103 {PIPE}",
    ),
    "a fingerprint that nobody writes": (
        lambda root: edit(root, PIPE, "      - .code/second: {cache: false}\n", ""),
        f"OB103 {PIPE}",
    ),
    "an import that cannot be followed": (
        lambda root: edit(
            root, DEEP, "import numpy\n", "import numpy\nimport importlib\nimportlib.import_module(input())\n"
        ),
        f"OB104 {DEEP}:5",
    ),
}


@pytest.mark.parametrize("breach", BREACHES, ids=str)
def test_a_breach_is_found_with_its_id_and_place(workspace: Path, breach: str) -> None:
    plant, expected = BREACHES[breach]
    plant(workspace)
    assert found(workspace) == [expected]


def test_a_finding_says_what_it_costs_what_mends_it_and_where_it_is_explained(workspace: Path) -> None:
    edit(workspace, PIPE, "[.code/second]", "[data]")
    (finding,) = check_all(workspace)
    assert str(finding) == (
        "OB103 pipelines/pipe/dvc.yaml: stage 'second' does not depend on its fingerprint .code/second, "
        "so an edit in lib, pipe, shared would not rerun it.\n      Mend: `make format`.   docs/checks/OB103.md"
    )


def test_a_declared_import_is_followed(workspace: Path) -> None:
    edit(workspace, DEEP, "import numpy\n", "import importlib\nimportlib.import_module(input())  # reaches: other\n")
    assert found(workspace) == []
    modules = closure.reach("pipe.second", workspace)
    assert "other" in {module.name for module in modules}


def test_a_frozen_stage_may_ignore_its_code(workspace: Path) -> None:
    edit(workspace, PIPE, "deps: [.code/second]", "deps: [data]\n    frozen: true")
    assert found(workspace) == []


def test_a_syntax_error_is_named(workspace: Path) -> None:
    edit(workspace, DEEP, "x + 1", "x +")
    with pytest.raises(WorkbenchError, match=r"deep\.py:11: "):
        check_all(workspace)


@pytest.mark.parametrize("text", ["stages: [", "just words", "- a"])
def test_a_file_that_is_no_plan_is_named(workspace: Path, text: str) -> None:
    (workspace / PIPE).write_text(text, encoding="utf-8")
    with pytest.raises(WorkbenchError, match=r"dvc\.yaml: not "):
        check_all(workspace)


PLAN = """\
# what this pipeline is for
stages:
  # the only one
  second:
    cmd: python -m pipe.second # a remark
    outs: [data/out.parquet]
"""


def test_mending_adds_what_is_missing_and_keeps_comments_and_order(workspace: Path) -> None:
    file = workspace / PIPE
    file.write_text(PLAN, encoding="utf-8")
    assert mend(file)
    assert found(workspace) == []
    text = file.read_text(encoding="utf-8")
    for line in PLAN.splitlines():
        assert line in text
    assert text.index("code:") < text.index("second:")
    assert not mend(file)
    assert file.read_text(encoding="utf-8") == text


def test_a_file_that_keeps_the_rules_is_not_written_again(workspace: Path) -> None:
    before = (workspace / PIPE).stat().st_mtime_ns
    assert not mend(workspace / PIPE)
    assert (workspace / PIPE).stat().st_mtime_ns == before


@pytest.fixture
def ran(workspace: Path, shell: Any) -> Path:
    """The small workspace after `dvc repro`."""
    edit(workspace, PIPE, "deps: [.code/second]", "deps: [.code/second]\n    params: [rate, train.seed]")
    (workspace / "pipelines/pipe/params.yaml").write_text("rate: 1e-05\ntrain: {seed: 1}\n", encoding="utf-8")
    path = ":".join(map(str, [*sorted(workspace.glob("*/*/src")), ROOT / "packages/workbench/src"]))
    shell("git", "init", "--quiet", folder=workspace)
    shell("dvc", "init", "--quiet", folder=workspace)
    shell("dvc", "repro", "--quiet", PIPE, folder=workspace, PYTHONPATH=path)
    return workspace


def forgotten(root: Path) -> list[str]:
    return [finding.words for finding in unrun(root / PIPE, root)]


def test_what_was_run_is_not_called_forgotten_and_what_changed_since_is(ran: Path, forget: Callable[[], None]) -> None:
    assert forgotten(ran) == []
    edit(ran, DEEP, "x + 1", "x + 2")
    forget()
    assert forgotten(ran) == [
        "stage 'second' was not run since the code behind it changed, so its results are of another time"
    ]
    edit(ran, DEEP, "x + 2", "x + 1  # as before")
    forget()
    assert forgotten(ran) == []
    edit(ran, "pipelines/pipe/params.yaml", "seed: 1", "seed: 2")
    assert forgotten(ran) == [
        "stage 'second' was not run since its parameters changed, so its results are of another time"
    ]


def test_a_file_or_a_folder_of_git_that_changed_since_it_was_read_is_named(ran: Path, shell: Any) -> None:
    edit(ran, PIPE, "deps: [.code/second]", "deps: [.code/second, gates.toml, rules, data.csv]")
    files = {"gates.toml": "a = 1\n", "rules/b.md": "b\n", "rules/a/c.md": "c\n", "data.csv": "1\n"}
    for name, text in files.items():
        (ran / "pipelines/pipe" / name).parent.mkdir(parents=True, exist_ok=True)
        (ran / "pipelines/pipe" / name).write_text(text, encoding="utf-8")
    (ran / ".gitignore").write_text("data.csv\n", encoding="utf-8")
    path = ":".join(map(str, [*sorted(ran.glob("*/*/src")), ROOT / "packages/workbench/src"]))
    shell("dvc", "repro", "--quiet", PIPE, folder=ran, PYTHONPATH=path)
    shell("git", "add", "--all", folder=ran)
    assert forgotten(ran) == []
    (ran / "pipelines/pipe/data.csv").unlink()  # data: a pull request has none
    assert forgotten(ran) == []
    edit(ran, "pipelines/pipe/gates.toml", "1", "2")
    edit(ran, "pipelines/pipe/rules/a/c.md", "c", "d")
    assert forgotten(ran) == [
        "stage 'second' was not run since gates.toml and rules changed, so its results are of another time"
    ]


def test_a_stage_that_was_never_run_is_named(workspace: Path) -> None:
    write_fingerprints(workspace / "pipelines/pipe", workspace)
    assert forgotten(workspace) == [
        "stage 'first' was never run, so its results are missing",
        "stage 'second' was never run, so its results are missing",
    ]
