import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from onebutton_contracts.dvc_files import read_plan
from onebutton_contracts.errors import InputError
from onebutton_workbench.checks.stage_rules import check_all, mend
from onebutton_workbench.lineage.fingerprint import write_fingerprints
from onebutton_workbench.lineage.stale import stale_stages
from onebutton_workbench.runs.status import before_deployment
from onebutton_workbench.workspace import ROOT

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
    "a script beside a module": (
        lambda root: edit(
            root, PIPE, "cmd: python -m pipe.first", "cmd: [python -m pipe.first, python scripts/post.py]"
        ),
        f"OB102 {PIPE}",
    ),
    "a script behind a module": (
        lambda root: edit(root, PIPE, "python -m pipe.first", "python -m pipe.first && sh post.sh"),
        f"OB102 {PIPE}",
    ),
    "a module that only DVC knows": (
        lambda root: edit(root, PIPE, "-m pipe.first", "-m pipe.${item}"),
        f"OB102 {PIPE}",
    ),
    "dependencies that are no list": (
        lambda root: edit(root, PIPE, "deps: [.code/second]", "deps: ${all}"),
        f"OB103 {PIPE}",
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
    "a file that only one machine has": (
        lambda root: edit(root, DEEP, "import numpy\n", "import numpy\n\nTABLE = '/home/ann/customers.csv'\n"),
        f"OB108 {DEEP}:5",
    ),
    "an import by a name that is put together": (
        lambda root: edit(
            root, DEEP, "import numpy\n", "import numpy\nimport importlib\nimportlib.import_module(input())\n"
        ),
        f"OB104 {DEEP}:5",
    ),
}


TRAINS = "deps: [.code/second, {dep}]\n    outs: [model.onnx]"
OF_HOLDOUT: dict[str, tuple[str, str]] = {
    "the file": ("data/holdout.parquet", ""),
    "a folder of that name": ("data/holdout", ""),
    "a folder in which a stage writes it": ("data", "    outs: [data/train.parquet, data/holdout.parquet]\n"),
    "what another stage makes of it": ("data/all", "    deps: [.code/first, data/holdout.csv]\n    outs: [data/all]\n"),
}


def training(root: Path, dep: str, first: str) -> None:
    """Let the second stage train a model on a file, and the first one do something before."""
    edit(root, PIPE, "deps: [.code/second]", TRAINS.format(dep=dep))
    edit(root, PIPE, "    deps: [.code/first]\n", first if "deps" in first else f"    deps: [.code/first]\n{first}")


@pytest.mark.parametrize("way", OF_HOLDOUT, ids=str)
def test_training_that_the_holdout_reaches_is_refused(workspace: Path, way: str) -> None:
    training(workspace, *OF_HOLDOUT[way])
    (finding,) = check_all(workspace)
    assert str(finding).startswith(f"OB106 {PIPE}: stage 'second' trains a model and reads the holdout")
    assert ("through 'first'" in finding.words) == (way == "what another stage makes of it")


def test_training_beside_the_holdout_is_no_finding(workspace: Path) -> None:
    training(workspace, "data/train.parquet", OF_HOLDOUT["a folder in which a stage writes it"][1])
    assert found(workspace) == []


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
        "so an edit in lib, pipe, shared would not rerun it.\n      "
        "Mend: `make format`, where its `deps` are a list.   docs/checks/OB103.md"
    )


@pytest.mark.parametrize(
    "line",
    [
        'importlib.import_module(".mid", __package__)',
        'importlib.import_module(name="numpy")',
        "__import__(input())",
        "from importlib import import_module as load",
    ],
)
def test_an_import_by_a_name_is_refused_as_nobody_reads_it(workspace: Path, line: str) -> None:
    edit(workspace, DEEP, "import numpy\n", f"import numpy\nimport importlib\n{line}\n")
    (finding,) = check_all(workspace)
    assert (finding.check, finding.place) == ("OB104", f"{DEEP}:5")
    assert "write `import package.module`" in finding.mend


def test_what_no_stage_reaches_may_import_by_a_name(workspace: Path) -> None:
    edit(workspace, "packages/other/src/other/__init__.py", "def h", "import importlib\n\n\ndef h")
    edit(workspace, "packages/other/src/other/__init__.py", "return 1", "return importlib.import_module(input())")
    assert found(workspace) == []


@pytest.mark.parametrize(
    "command",
    [
        "mkdir -p data && python -m pipe.first 2>&1 | tee data/log",
        "OMP_NUM_THREADS=1 python -u -X dev -m pipe.first --seed 1",
        "[cp a b, python3 -m pipe.first]",
        "|\n      export A=1\n      python -m pipe.first \\\n        --seed 1\n",
    ],
)
def test_a_command_may_hold_what_has_no_code_behind_it(workspace: Path, command: str) -> None:
    edit(workspace, PIPE, "python -m pipe.first", command)
    assert found(workspace) == []


def test_a_frozen_stage_may_ignore_its_code(workspace: Path) -> None:
    edit(workspace, PIPE, "deps: [.code/second]", "deps: [data]\n    frozen: true")
    assert found(workspace) == []


@pytest.mark.parametrize("file", [DEEP, "pipelines/pipe/src/pipe/first.py"])
def test_a_syntax_error_is_named(workspace: Path, file: str) -> None:
    (workspace / file).write_text("x = 1\nx +\n", encoding="utf-8")
    (finding,) = check_all(workspace)
    assert f"cannot be followed: {file}:2: " in finding.words


@pytest.mark.parametrize("text", ["stages: [", "just words", "- a"])
def test_a_file_that_is_no_plan_is_named(workspace: Path, text: str) -> None:
    (workspace / PIPE).write_text(text, encoding="utf-8")
    (finding,) = check_all(workspace)
    assert f"cannot be followed: {PIPE}: not " in finding.words


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


MANY = """\
vars:
  - rates: {slow: 1, fast: 2}
stages:
  first:
    foreach: ${rates}
    do:
      cmd: python -m pipe.first ${key} ${item}
      outs: ["out/${key}"]
  second:
    matrix:
      seed: [1, 2]
    cmd: python -m pipe.second ${item.seed}
    deps:
      - out/slow
"""


def test_a_long_list_in_brackets_is_mended_on_several_lines(workspace: Path) -> None:
    many = ", ".join(f"data/part-{number}.parquet" for number in range(12))
    edit(workspace, PIPE, "deps: [.code/second]", f"deps: [{many}]")
    assert mend(workspace / PIPE)
    text = (workspace / PIPE).read_text(encoding="utf-8")
    assert max(map(len, text.splitlines())) <= 120
    assert text == "\n".join(line.rstrip() for line in text.splitlines()) + "\n"
    (stage,) = (one for one in read_plan(workspace / PIPE).stages if one.name == "second")
    assert stage.deps == [".code/second", *many.split(", ")]
    assert not mend(workspace / PIPE)


@pytest.mark.slow  # it calls DVC a dozen times
def test_stages_of_foreach_and_matrix_are_mended_and_known_to_have_been_run(
    workspace: Path, shell: Any, forget: Callable[[], None]
) -> None:
    (workspace / PIPE).write_text(MANY, encoding="utf-8")
    assert sorted(found(workspace)) == [f"OB101 {PIPE}", f"OB103 {PIPE}", f"OB103 {PIPE}"]
    assert mend(workspace / PIPE)
    assert found(workspace) == []
    assert not mend(workspace / PIPE)
    edit(workspace, "pipelines/pipe/src/pipe/first.py", "print('first')", WRITING)
    press_dvc(workspace, shell)
    assert forgotten(workspace) == []
    edit(workspace, PIPE, "fast: 2", "fast: 3")
    assert forgotten(workspace) == ["the command changed since 'first@fast' ran, so results are of another time"]
    edit(workspace, PIPE, "fast: 3", "fast: 2, faster: 4")
    assert forgotten(workspace) == ["'first@faster' never ran, so results are missing"]
    edit(workspace, PIPE, ", faster: 4", "")
    edit(workspace, DEEP, "x + 1", "x + 2")
    forget()
    (words,) = forgotten(workspace)
    assert words.startswith("code changed since 'second@1', 'second@2' ran, so ")


def test_what_nobody_can_fill_in_is_told_in_one_line(ran: Path) -> None:
    edit(ran, PIPE, "python -m pipe.first", "python -m pipe.first ${nobody.knows}")
    with pytest.raises(InputError, match=r"DVC cannot compare .*dvc\.yaml.*nobody\.knows") as told:
        forgotten(ran)
    assert "\n" not in str(told.value)


@pytest.mark.parametrize("text", ["vars: [{a: 1}]\n", "stages:\n", "stages:\n  first:\n"])
def test_a_plan_without_stages_is_told_and_mended_without_a_traceback(workspace: Path, text: str) -> None:
    (workspace / PIPE).write_text(text, encoding="utf-8")
    assert f"OB101 {PIPE}" in found(workspace)
    mend(workspace / PIPE)
    assert f"OB101 {PIPE}" not in found(workspace)


WRITING = (
    "import sys, pathlib\npathlib.Path('out').mkdir(exist_ok=True)\npathlib.Path('out', sys.argv[1]).write_text('')"
)


def press_dvc(root: Path, shell: Any) -> None:
    path = ":".join(map(str, [*sorted(root.glob("*/*/src")), ROOT / "packages/workbench/src"]))
    if not (root / ".dvc").is_dir():
        shell("git", "init", "--quiet", folder=root)
        shell("dvc", "init", "--quiet", folder=root)
    shell("dvc", "repro", "--quiet", PIPE, folder=root, PYTHONPATH=path)


@pytest.fixture(scope="module")
def ran_once(tmp_path_factory: pytest.TempPathFactory, write_workspace: Callable[[Path], Path], shell: Any) -> Path:
    """The small workspace after `dvc repro`, which takes seconds: no test may change it."""
    root = write_workspace(tmp_path_factory.mktemp("ran"))
    edit(root, PIPE, "deps: [.code/second]", "deps: [.code/second]\n    params: [rate, train.seed]")
    (root / "pipelines/pipe/params.yaml").write_text("rate: 1e-05\ntrain: {seed: 1}\n", encoding="utf-8")
    press_dvc(root, shell)
    return root


@pytest.fixture
def ran(ran_once: Path, tmp_path: Path) -> Path:
    """The same, for one test to change."""
    return shutil.copytree(ran_once, tmp_path, dirs_exist_ok=True, symlinks=True)


def forgotten(root: Path) -> list[str]:
    return [finding.words for finding in stale_stages([read_plan(root / PIPE)], root)]


def test_what_was_run_is_not_called_forgotten_and_what_changed_since_is(ran: Path, forget: Callable[[], None]) -> None:
    assert forgotten(ran) == []
    edit(ran, DEEP, "x + 1", "x + 2")
    forget()
    assert forgotten(ran) == ["code changed since 'second' ran, so results are of another time"]
    edit(ran, DEEP, "x + 2", "x + 1  # as before")
    forget()
    assert forgotten(ran) == []
    edit(ran, "pipelines/pipe/params.yaml", "seed: 1", "seed: 2")
    assert forgotten(ran) == ["parameters changed since 'second' ran, so results are of another time"]


@pytest.mark.slow  # it calls DVC
def test_a_fresh_clone_in_which_nothing_was_run_is_not_called_stale(
    workspace: Path, shell: Any, tmp_path_factory: pytest.TempPathFactory, forget: Callable[[], None]
) -> None:
    edit(workspace, "pipelines/pipe/src/pipe/first.py", "print('first')", "open('.code/checked', 'w').close()")
    edit(
        workspace, PIPE, "deps: [.code/first]", "deps: [.code/first]\n    outs:\n      - .code/checked: {cache: false}"
    )
    edit(workspace, PIPE, "deps: [.code/second]", "deps: [.code/second, .code/checked]")
    press_dvc(workspace, shell)
    (workspace / ".gitignore").write_text(".code/\n", encoding="utf-8")
    shell("git", "add", "--all", folder=workspace)
    shell("git", "commit", "--quiet", "--message", "all", folder=workspace)
    fresh = tmp_path_factory.mktemp("fresh") / "clone"
    shell("git", "clone", "--quiet", str(workspace), str(fresh), folder=workspace)
    forget()
    assert forgotten(fresh) == []


def test_results_of_another_time_are_not_deployed(
    ran: Path, forget: Callable[[], None], capsys: pytest.CaptureFixture[str]
) -> None:
    (ran / "pipelines/pipe/release.toml").touch()
    before_deployment(ran)
    edit(ran, "pipelines/pipe/params.yaml", "seed: 1", "seed: 2")
    forget()
    for pipeline in ("pipe", ""):
        with pytest.raises(InputError, match="nothing was deployed"):
            before_deployment(ran, pipeline=pipeline)
        assert "parameters changed since 'second' ran" in capsys.readouterr().out


@pytest.mark.slow  # it calls DVC
def test_a_new_champion_alone_stops_no_deployment(
    ran: Path, shell: Any, forget: Callable[[], None], capsys: pytest.CaptureFixture[str]
) -> None:
    (ran / "pipelines/pipe/release.toml").touch()
    name = ran / "pipelines/pipe/champion/champion.txt"
    name.parent.mkdir()
    name.write_text("v1\n", encoding="utf-8")
    for stage in ("first", "second"):
        edit(ran, PIPE, f"deps: [.code/{stage}]", f"deps: [.code/{stage}, champion]")
    press_dvc(ran, shell)
    name.write_text("v2\n", encoding="utf-8")
    shell("git", "add", "--all", folder=ran)
    forget()
    assert len(forgotten(ran)) == 1
    before_deployment(ran)
    edit(ran, "pipelines/pipe/params.yaml", "seed: 1", "seed: 2")
    with pytest.raises(InputError, match="nothing was deployed"):
        before_deployment(ran)
    assert "parameters, champion changed since" in capsys.readouterr().out


@pytest.mark.slow  # it calls DVC
def test_a_file_or_a_folder_of_git_that_changed_since_it_was_read_is_named(ran: Path, shell: Any) -> None:
    edit(ran, PIPE, "deps: [.code/second]", "deps: [.code/second, gates.toml, rules, data.csv]")
    files = {"gates.toml": "a = 1\n", "rules/b.md": "b\n", "rules/a/c.md": "c\n", "data.csv": "1\n"}
    for name, text in files.items():
        (ran / "pipelines/pipe" / name).parent.mkdir(parents=True, exist_ok=True)
        (ran / "pipelines/pipe" / name).write_text(text, encoding="utf-8")
    (ran / ".gitignore").write_text("data.csv\n", encoding="utf-8")
    press_dvc(ran, shell)
    shell("git", "add", "--all", folder=ran)
    assert forgotten(ran) == []
    (ran / "pipelines/pipe/data.csv").unlink()  # data: a pull request has none
    assert forgotten(ran) == []
    edit(ran, "pipelines/pipe/gates.toml", "1", "2")
    edit(ran, "pipelines/pipe/rules/a/c.md", "c", "d")
    assert forgotten(ran) == ["gates.toml, rules changed since 'second' ran, so results are of another time"]


def test_what_a_plan_newly_names_was_not_run_with(ran: Path) -> None:
    edit(ran, PIPE, "deps: [.code/second]", "deps: [.code/second, words.csv]")
    edit(ran, PIPE, "[rate, train.seed]", "[rate, train.seed, depth]\n    metrics: [m.json]")
    edit(ran, "pipelines/pipe/params.yaml", "rate:", "depth: 3\nrate:")
    changes = "parameters, what is written, words.csv changed"
    assert forgotten(ran) == [f"{changes} since 'second' ran, so results are of another time"]


def test_what_a_plan_no_longer_names_is_no_finding_as_dvc_would_run_nothing(ran: Path) -> None:
    edit(ran, PIPE, "[rate, train.seed]", "[rate]")
    edit(ran, "pipelines/pipe/params.yaml", "train: {seed: 1}", "")
    assert forgotten(ran) == []


@pytest.mark.slow  # it calls DVC a dozen times
def test_a_folder_of_which_dvc_keeps_a_part_is_compared_without_the_data(ran: Path, shell: Any) -> None:
    """As `make deploy` leaves it: a name in git, predictions in DVC."""
    champion = ran / "pipelines/pipe/champion"
    champion.mkdir()
    (champion / "champion.txt").write_text("v1\n", encoding="utf-8")

    def predict(text: str) -> None:
        (champion / "predictions.csv").write_text(text, encoding="utf-8")
        shell("dvc", "add", "--quiet", "pipelines/pipe/champion/predictions.csv", folder=ran)
        shell("git", "add", "--all", folder=ran)

    predict("0\n")
    edit(ran, PIPE, "deps: [.code/second]", "deps: [.code/second, champion]")
    edit(ran, PIPE, "deps: [.code/first]", "deps: [.code/first, champion/predictions.csv]")
    shell("git", "reset", "--quiet", folder=ran)
    press_dvc(ran, shell)
    assert forgotten(ran) == []  # although nothing of it is added yet
    predict("1\n")
    press_dvc(ran, shell)
    shell("git", "add", "--all", folder=ran)
    (champion / "predictions.csv").unlink()
    assert forgotten(ran) == []
    edit(ran, "pipelines/pipe/champion/champion.txt", "v1", "v2")
    words = "ran, so results are of another time"
    assert forgotten(ran) == [f"champion changed since 'second' {words}"]
    edit(ran, "pipelines/pipe/champion/champion.txt", "v2", "v1")
    predict("2\n")
    assert forgotten(ran) == [
        f"champion/predictions.csv changed since 'first' {words}",
        f"champion changed since 'second' {words}",
    ]


def test_a_stage_that_was_never_run_is_named(workspace: Path) -> None:
    write_fingerprints(workspace / "pipelines/pipe", workspace)
    assert forgotten(workspace) == ["'first', 'second' never ran, so results are missing"]
