import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from onebutton_contracts.errors import InputError
from onebutton_serving.sealed import ServingError
from onebutton_workbench import cli
from onebutton_workbench.buttons import EVERY_DAY, page, read_buttons
from onebutton_workbench.workspace import ROOT, pipelines

MAKEFILE = (ROOT / "Makefile").read_text(encoding="utf-8")


def test_make_alone_lists_the_buttons_of_every_day_and_says_how_many_more_there_are(shell: Any) -> None:
    shown = shell("make", folder=ROOT)
    daily = [button for button in read_buttons(MAKEFILE) if button.group == EVERY_DAY]
    assert all(f"make {button.name} " in shown for button in daily)
    assert f"lists {len(read_buttons(MAKEFILE)) - len(daily)} more" in shown
    assert "make doctor" not in shown


def test_help_all_lists_every_button_in_its_group(shell: Any) -> None:
    shown = shell("make", "help", "ALL=1", folder=ROOT)
    assert all(f"make {button.name} " in shown for button in read_buttons(MAKEFILE))
    assert shown.index("Every day:") < shown.index("Checks:") < shown.index("Make it yours:")


def test_the_page_is_never_wider_than_a_terminal() -> None:
    assert max(map(len, page(read_buttons(MAKEFILE), everything=True).splitlines())) <= 120


@pytest.fixture
def probe(tmp_path: Path) -> Path:
    """The Makefile's treatment of values, with one target that prints what a program gets."""
    start = MAKEFILE.index("WORDS :=")
    rules = MAKEFILE[start : MAKEFILE.index("STDLIB :=")]
    makefile = tmp_path / "Makefile"
    makefile.write_text(rules + "\nshow:\n\t@env\n", encoding="utf-8")
    return tmp_path


def test_a_typed_value_reaches_the_program_unexpanded(probe: Path, shell: Any) -> None:
    trap = "$(shell touch trapped)`touch trapped`\"'$HOME a=b"
    shown = shell("make", "show", f"PIPELINE={trap}", "WHY:=late again", folder=probe)
    assert f"BUTTON_PIPELINE={trap}\n" in shown
    assert "BUTTON_WHY=late again\n" in shown
    assert not (probe / "trapped").exists()
    assert {line for line in shown.splitlines() if line.startswith(("PIPELINE=", "WHY=", "BUTTON_a", "a="))} == set()


def test_a_variable_of_the_shell_is_not_a_typed_value(probe: Path, shell: Any) -> None:
    shown = shell("make", "show", folder=probe, PIPELINE="from_the_shell", BUTTON_SLOW="from_the_shell")
    assert "BUTTON_PIPELINE" not in shown
    assert "BUTTON_SLOW" not in shown


def test_an_empty_value_is_none(probe: Path, shell: Any) -> None:
    assert "BUTTON_ROWS" not in shell("make", "show", "ROWS=", folder=probe)


def test_what_belongs_to_make_and_to_other_programs_is_no_value(probe: Path, shell: Any) -> None:
    shown = shell("make", "-j2", "show", "SHELL=/bin/sh", "MLFLOW_TRACKING_URI=http://there", folder=probe)
    assert "BUTTON_SHELL" not in shown
    assert "\nMLFLOW_TRACKING_URI=http://there\n" in shown


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["lint", "PIPELINES=x"], "lint: no button takes PIPELINES. Did you mean PIPELINE?"),
        (["run", "pipeline=x"], "run: no button takes pipeline. Did you mean PIPELINE?"),
        (["types", "PIPELINE=x"], "types: `make types` takes no PIPELINE. It takes JSON"),
        (["serve", "TO=x"], "serve: `make serve` takes no TO. It takes ENV, PIPELINE, PORT"),
        (["ui", "PORT=many"], 'ui: Invalid value for PORT: unable to convert "many" into int.'),
        (
            ["new-pipeline", "NAME=churn", "KIND=trees"],
            'new-pipeline: Invalid value "trees" for KIND. Choose from: "binary", "multiclass", "regression", "text".',
        ),
        (["adopt", "SAMPLES=yes"], 'adopt: Invalid value "yes" for SAMPLES. Choose from: "remove".'),
        (["test", "SLOW=perhaps"], 'test: Invalid value for SLOW: unable to convert "perhaps" into bool.'),
        (["run", "ROWS=0", "DATA=dummy"], "run: ROWS must be a whole number from 1 on, it is 0"),
        (["run", "ROWS=5"], "run: ROWS and FIT are about dummy data: type DATA=dummy, too"),
    ],
)
def test_a_value_that_cannot_be_is_refused_in_one_line(shell: Any, words: list[str], said: str) -> None:
    first, *rest = shell("make", *words, folder=ROOT, status=2).splitlines()
    assert first == said
    assert [line for line in rest if not line.startswith("make: ***")] == []


def test_a_value_of_one_of_several_buttons_is_no_mistake(shell: Any) -> None:
    """The first one takes no RUN, the second does."""
    shown = shell("make", "remote", "why", "RUN=no-such-run", "MODEL=x", folder=ROOT, status=2)
    assert "takes no" not in shown
    assert "why: one of MODEL=" in shown


def test_every_button_that_the_makefile_calls_is_there_and_takes_the_values_of_its_help_line() -> None:
    called = set(re.findall(r"^\t@onebutton ([a-z-]+)$", MAKEFILE, re.MULTILINE))
    assert called == set(cli.buttons())
    for button in read_buttons(MAKEFILE):
        if button.name in called:
            assert set(re.findall(r"\b([A-Z0-9]+)=", button.help)) <= cli.values_of(button.name), button.name


def test_there_are_at_most_42_buttons() -> None:
    assert len(read_buttons(MAKEFILE)) <= 42


@pytest.mark.parametrize(
    ("error", "code", "said"),
    [
        (InputError("it is so"), 1, "lint: it is so\n"),
        (ServingError("the place is away"), 1, "lint: the place is away\n"),
        (OSError(28, "No space left on device", "a.txt"), 1, "lint: a.txt: No space left on device\n"),
        (KeyboardInterrupt(), 130, "\nlint: interrupted\n"),
    ],
)
def test_a_mistake_of_a_person_is_one_line(
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    error: BaseException,
    code: int,
    said: str,
) -> None:
    with pytest.raises(SystemExit) as ended:
        press(monkeypatch, error)
    assert ended.value.code == code
    assert capsys.readouterr().err == said


@pytest.mark.parametrize("error", [ValueError("a bug"), FileNotFoundError(2, "No such file", "uv"), KeyError("x")])
def test_a_mistake_of_ours_keeps_its_traceback(monkeypatch: pytest.MonkeyPatch, error: Exception) -> None:
    with pytest.raises(type(error)):
        press(monkeypatch, error)


def press(monkeypatch: pytest.MonkeyPatch, error: BaseException) -> None:
    """Press `lint`, which ends as it is told."""

    def broken(_: object) -> int:
        raise error

    monkeypatch.setattr(cli, "press", broken)
    monkeypatch.setattr(sys, "argv", ["onebutton", "lint"])
    monkeypatch.delitem(sys.modules, "mlflow", raising=False)
    cli.main()


def test_a_reader_that_has_seen_enough_is_no_mistake(shell: Any) -> None:
    shown = shell("sh", "-c", "{ onebutton --help; echo status $? >&2; } | head -1", folder=ROOT)
    assert "Traceback" not in shown
    assert "Error" not in shown


def test_a_button_starts_without_anything_heavy() -> None:
    heavy = {"polars", "mlflow", "dvc", "yaml", "numpy"}
    code = (
        f"import sys, onebutton_workbench.cli, onebutton_workbench.runs.run; print(sorted({heavy} & {{*sys.modules}}))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout == "[]\n"


def test_every_line_of_a_recipe_goes_through_a_shell(tmp_path: Path, shell: Any) -> None:
    """Where make starts a program itself, that of macOS looks for it in a PATH without `.venv`, and finds no `python`."""
    makefile = tmp_path / "Makefile"
    makefile.write_text(f"include {ROOT}/Makefile\nprobe:\n\t@no-such-program\n", encoding="utf-8")
    shown = shell("make", "--file", str(makefile), "probe", folder=ROOT, status=2)
    assert "no-such-program" in shown
    assert "make: no-such-program" not in shown  # make itself would say so


def test_an_unknown_pipeline_is_refused_with_those_that_exist(shell: Any) -> None:
    for button in ("run", "test", "gates"):
        shown = shell("make", button, "PIPELINE=no_such", folder=ROOT, status=2)
        assert f"there is no pipeline 'no_such'. PIPELINE can be: {', '.join(pipelines()) or '(none yet)'}" in shown
        assert "Traceback" not in shown


def test_an_unknown_base_is_refused(shell: Any) -> None:
    shown = shell("make", "metrics", "BASE=nowhere", folder=ROOT, status=2)
    assert "'nowhere' is no commit here" in shown
    assert "Traceback" not in shown
