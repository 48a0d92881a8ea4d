"""A draft is told its mistakes and stops nobody: not lint, types, tests, status or a run of the other pipelines."""

import shutil
import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from onebutton_contracts.errors import InputError
from onebutton_workbench.checks import lint, stage_rules
from onebutton_workbench.findings import TOLD, tell
from onebutton_workbench.runs import testing, typecheck
from onebutton_workbench.runs.status import status
from onebutton_workbench.workspace import ROOT

Shell = Callable[..., str]  # of conftest.py
TRIAL = "pipelines/trial"
WRONG = "x = = 1\n"


@pytest.fixture
def with_draft(workspace: Path, shell: Shell, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The small workspace under git and DVC, run once, with a draft `trial` beside its pipeline."""
    monkeypatch.setenv("PATH", f"{ROOT / '.venv/bin'}:{ROOT / '.tools/bin'}", prepend=":")
    pipe, trial = workspace / "pipelines/pipe", workspace / TRIAL
    shutil.copytree(pipe / "src/pipe", trial / "src/trial")
    for name in ("pyproject.toml", "dvc.yaml"):
        text = (pipe / name).read_text(encoding="utf-8").replace("pipe", "trial")
        (trial / name).write_text(text, encoding="utf-8")
    with (trial / "pyproject.toml").open("a", encoding="utf-8") as file:
        file.write("\n[tool.onebutton]\ndraft = true\n")
    (workspace / ".gitignore").write_text(".code/\n__pycache__/\n.*_cache/\n", encoding="utf-8")
    shell("git", "init", "--quiet", folder=workspace)
    shell("dvc", "init", "--quiet", folder=workspace)
    path = ":".join(map(str, [*sorted(workspace.glob("*/*/src")), ROOT / "packages/workbench/src"]))
    shell("dvc", "repro", "--quiet", "--all-pipelines", folder=workspace, PYTHONPATH=path)
    shell("git", "add", "--all", folder=workspace)
    shell("git", "commit", "--quiet", "--message", "first", folder=workspace)
    return workspace


def write(root: Path, name: str, text: str) -> None:
    (root / name).parent.mkdir(parents=True, exist_ok=True)
    (root / name).write_text(text, encoding="utf-8")


@pytest.fixture
def tidy(
    tmp_path: Path, tmp_path_factory: pytest.TempPathFactory, shell: Shell, monkeypatch: pytest.MonkeyPatch
) -> Path:
    """A workspace without a mistake, under git, of two pipelines: `pipe`, and the draft `trial`."""
    settings = '[tool.uv.workspace]\nmembers = ["pipelines/*"]\n\n[tool.mypy]\nstrict = true\nfiles = []\n'
    write(tmp_path, "pyproject.toml", settings)
    for name, more in (("pipe", ""), ("trial", "\n[tool.onebutton]\ndraft = true\n")):
        write(tmp_path, f"pipelines/{name}/pyproject.toml", f'[project]\nname = "{name}"\n{more}')
        write(tmp_path, f"pipelines/{name}/src/{name}/__init__.py", "")
    shell("git", "init", "--quiet", folder=tmp_path)
    shell("git", "add", "--all", folder=tmp_path)
    shell("git", "commit", "--quiet", "--message", "first", folder=tmp_path)
    monkeypatch.setattr(typecheck, "ROOT", tmp_path)
    monkeypatch.setenv("MYPY_CACHE_DIR", str(tmp_path_factory.getbasetemp() / "mypy"))  # of Python's own library
    monkeypatch.setenv("PATH", str(ROOT / ".venv/bin"), prepend=":")
    return tmp_path


def result(finds: str, root: Path, *, changed: bool = False) -> str:
    (check,) = [check for check in lint.CHECKS if check.finds == finds]
    return lint.run(check, root, [TRIAL], changed=changed).result


@pytest.mark.parametrize("changed", [False, True])
@pytest.mark.parametrize(
    ("finds", "file", "text"),
    [
        ("layout of code", "src/trial/planted.py", "x  =  1\n"),
        ("mistakes in code", "src/trial/planted.py", "print(x)\n"),
        ("mistakes in YAML", "params.yaml", "a:   1\na: 2\n"),
        ("mistakes in TOML", "gates.toml", "a = \n"),
        ("spelling", "notes.md", "t<cut>eh\n".replace("<cut>", "")),
        ("Markdown and dead links", "notes.md", "# Notes\n\n[x](nowhere.md)\n"),
    ],
)
def test_what_lint_finds_in_a_draft_counts_nowhere_and_beside_it_counts(  # noqa: PLR0913
    finds: str, file: str, text: str, tidy: Path, shell: Shell, *, changed: bool
) -> None:
    write(tidy, f"{TRIAL}/{file}", text)
    shell("git", "add", "--all", folder=tidy)
    assert result(finds, tidy, changed=changed) == "told"
    write(tidy, f"pipelines/pipe/{file}", text)
    shell("git", "add", "--all", folder=tidy)
    assert result(finds, tidy, changed=changed) == "failed"


def test_what_git_would_keep_for_ever_stops_in_a_draft_too(tidy: Path) -> None:
    write(tidy, f"{TRIAL}/large.csv", "1234567\n" * 100_000)
    assert result("files too large for git", tidy) == "failed"


def test_lint_never_says_that_a_draft_has_no_mistake(
    tidy: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    code = [check for check in lint.CHECKS if check.finds in {"layout of code", "mistakes in code"}]
    monkeypatch.setattr(lint, "CHECKS", code)
    write(tidy, f"{TRIAL}/src/trial/planted.py", "print(x)\n")
    assert lint.lint(tidy) == 0
    said = capsys.readouterr().out
    assert "planted.py:1:7" in said
    assert "1 check found nothing, 1 found mistakes in drafts (pipelines/trial), which stop nobody" in said


def test_a_commit_is_held_to_the_files_that_it_changes(tidy: Path, shell: Shell) -> None:
    write(tidy, "pipelines/pipe/src/pipe/old.py", "x  =  1\n")
    shell("git", "add", "--all", folder=tidy)
    assert result("layout of code", tidy, changed=True) == "failed"
    shell("git", "commit", "--quiet", "--message", "old", folder=tidy)
    write(tidy, "pipelines/pipe/src/pipe/__init__.py", "y = 1\n")
    assert result("layout of code", tidy, changed=True) == "passed"
    assert result("layout of code", tidy) == "failed"


@pytest.mark.slow
@pytest.mark.parametrize("file", ["dvc.yaml", "src/trial/second.py"])
def test_a_draft_that_cannot_be_read_stops_neither_rules_nor_status(
    file: str, with_draft: Path, capsys: pytest.CaptureFixture[str], forget: Callable[[], None]
) -> None:
    assert status(with_draft) == 0
    write(with_draft, f"{TRIAL}/{file}", WRONG if file.endswith(".py") else "stages: [")
    forget()
    assert tell(stage_rules.check_all(with_draft), "nothing", [TRIAL]) == TOLD
    assert status(with_draft) == 0
    said = capsys.readouterr().out
    assert "OB105 pipelines/trial/dvc.yaml: cannot be compared with what was run: pipelines/trial/" in said
    assert "status: the lines above are about drafts (pipelines/trial), so they stop nobody" in said
    write(with_draft, "pipelines/pipe/src/pipe/first.py", "print('another')\n")
    forget()
    assert status(with_draft) == 1


@pytest.mark.parametrize(
    ("text", "count"),
    [("a: int = ''\nb: int = ''\n", "2 mistakes"), (WRONG, "1 mistake")],
)
def test_types_of_drafts_are_counted_and_told(
    text: str, count: str, tidy: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    write(tidy, "pipelines/trial/src/trial/planted.py", text)
    typecheck.check()
    said = capsys.readouterr().out
    assert f"types: {count} in drafts (pipelines/trial), which stop nobody" in said
    assert "no mistake found" not in said
    write(tidy, "pipelines/pipe/src/pipe/planted.py", "a: int = ''\n")
    with pytest.raises(InputError, match="1 mistake, where the lines above say"):
        typecheck.check()


def test_a_pipeline_needs_no_annotations_and_its_mistakes_are_found_all_the_same(
    tidy: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    write(tidy, "pipelines/pipe/src/pipe/planted.py", "def f(x):\n    return x\n\n\na: list = f(1)\n")
    typecheck.check()
    assert "types: no mistake found" in capsys.readouterr().out
    write(tidy, "pipelines/pipe/src/pipe/planted.py", "def f(x):\n    return len(1)\n")
    with pytest.raises(InputError, match="1 mistake"):
        typecheck.check()
    assert 'Argument 1 to "len"' in capsys.readouterr().err


@pytest.mark.slow
def test_a_failing_test_of_a_draft_stops_nobody_unless_it_is_asked_for(
    tidy: Path, capfd: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PYTEST_XDIST_AUTO_NUM_WORKERS", "0")
    write(tidy, "pipelines/pipe/tests/test_good.py", "def test_good():\n    pass\n")
    write(tidy, f"{TRIAL}/tests/test_bad.py", "import nothing_of_that_name\n")
    testing.run_together(["pipelines/pipe/tests", f"{TRIAL}/tests"], [TRIAL], root=tidy)
    said = capfd.readouterr().out
    assert "nothing_of_that_name" in said
    assert "test: a test of a draft failed, which stops nobody (pipelines/trial/tests)" in said
    with pytest.raises(InputError, match="a test failed"):
        testing.run_together([f"{TRIAL}/tests"], [], root=tidy)


FIRST_CODE = """\
import pandas as pd
import numpy as np

np.random.seed(42)
DATA = "data/"


def preprocess(df, target="y", verbose=True):
    if verbose == True:
        print("shape: {}".format(df.shape))
    X = df.drop(columns=target).values
    y = df[target]
    return X / 255.0, y


X_train, y_train = preprocess(pd.read_csv(DATA + "train.csv"))
# X_test = 0
assert len(X_train) == len(y_train)
with open("out.txt", "w") as f:
    f.write("AUC: %.3f" % X_train.mean())
"""


@pytest.mark.parametrize(
    ("line", "id_"),
    [
        ("", ""),
        ("from joblib import dump\n\nprint(dump)\n", "TID251"),
        ("print(undefined)\n", "F821"),
        ("def f(options={}):\n    options['a'] = 1\n", "B006"),
        ("try:\n    print(1)\nexcept:\n    print(2)\n", "E722"),
        ("eval(input())\n", "S307"),
    ],
)
def test_the_first_code_of_a_data_scientist_in_a_pipeline_is_held_to_mistakes(line: str, id_: str) -> None:
    code = FIRST_CODE + line
    place = (
        "--ignore",
        "INP001",
        "--stdin-filename",
        "pipelines/trial/src/trial/first.py",
        "-",
    )  # its folder is not there
    for command in (["check", "--fix-only"], ["format"]):  # as `make format`
        whole = ["ruff", *command, "--quiet", *place[-3:]]
        code = subprocess.run(whole, cwd=ROOT, input=code, capture_output=True, text=True, check=True).stdout
    whole = ["ruff", "check", "--output-format", "concise", *place]
    said = subprocess.run(whole, cwd=ROOT, input=code, capture_output=True, text=True, check=False).stdout
    assert [row.split()[1] for row in said.splitlines() if row.startswith("pipelines")] == ([id_] if id_ else [])


@pytest.mark.slow
def test_a_draft_that_cannot_run_is_told_after_the_others_ran_to_their_end(clone: Path, shell: Shell) -> None:
    def press(*words: str, status: int = 0) -> Any:
        return shell("make", *words, folder=clone, status=status)

    press("setup")
    said = press("new-pipeline", "NAME=trial")
    assert "`git add pipelines/trial uv.lock` and `git commit`" in said
    press("new-pipeline", "NAME=sound")
    declared = clone / "pipelines/sound/pyproject.toml"
    declared.write_text(declared.read_text(encoding="utf-8").replace("draft = true\n", ""), encoding="utf-8")
    shell("git", "rm", "-r", "--quiet", "--ignore-unmatch", "pipelines", folder=clone)
    press("lock")
    shell("git", "add", "--all", folder=clone)
    params, plan = clone / TRIAL / "params.yaml", clone / TRIAL / "dvc.yaml"
    code = clone / TRIAL / "src/trial/train.py"
    mistakes = (
        (params, "surprise: 1\n"),
        (params, "seed: [\n"),
        (plan, "stages: [\n"),
        (plan, "stages:\n  code:\n    shell: true\n"),  # only DVC knows that there is no such key
        (code, "raise SystemExit('no such table')\n"),
    )
    for file, text in mistakes:
        before = file.read_text(encoding="utf-8")
        file.write_text(text, encoding="utf-8")
        said = press("run")
        assert "\nsound:\n" in said  # its numbers, at the end
        assert "run: every stage is up to date" in said
        assert "run: the draft trial failed, which stops nobody: " in said
        file.write_text(before, encoding="utf-8")
    assert "Next: `git add pipelines/sound pipelines/trial uv.lock`, then `git commit`" in press("run")
    gates = clone / TRIAL / "gates.toml"
    before = gates.read_text(encoding="utf-8")
    gates.write_text(WRONG, encoding="utf-8")
    said = press("run")
    assert "\nsound:\n" in said
    assert "run: the draft trial failed, which stops nobody: " in said
    gates.write_text(before, encoding="utf-8")
    shell("git", "add", "--all", folder=clone)
    code.write_text(WRONG, encoding="utf-8")
    params.write_text("surprise: 1\n", encoding="utf-8")
    assert "a stage failed" in press("run", "PIPELINE=trial", status=2)
    said = press("types", "status", "gates", "metrics")
    assert "mistake in drafts (pipelines/trial), which stop nobody" in said
    press("gates", "MEASURE=1")
