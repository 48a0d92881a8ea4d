"""A prompt is asked by the pipeline that has it, and the answer stands where a person looks for it."""

from pathlib import Path

import pytest

from onebutton_contracts.errors import InputError
from onebutton_workbench.runs import prompts

ASK = "import sys\nprint('positive', *sys.argv[1:])\nsys.exit('--text=fail' in sys.argv)\n"


@pytest.fixture
def root(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A repository with one pipeline that has prompts, which answers with what it was asked."""
    (tmp_path / "pipelines/moods/prompts").mkdir(parents=True)
    (tmp_path / "pipelines/moods/pyproject.toml").write_text('[project]\nname = "moods"\n', encoding="utf-8")
    (tmp_path / "code/moods").mkdir(parents=True)
    (tmp_path / "code/moods/ask.py").write_text(ASK, encoding="utf-8")
    monkeypatch.setattr(prompts, "ROOT", tmp_path)
    monkeypatch.setenv("PYTHONPATH", str(tmp_path / "code"))
    return tmp_path


def test_the_only_pipeline_with_prompts_is_asked(root: Path, capfd: pytest.CaptureFixture[str]) -> None:
    assert root.is_dir()
    assert prompts.ask("", "plain", "I love it; $(rm x)") == 0
    assert capfd.readouterr().out == "positive --prompt=plain --text=I love it; $(rm x)\n"


def test_in_a_workflow_the_answer_is_in_the_summary(root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("GITHUB_STEP_SUMMARY", str(root / "summary.md"))
    assert prompts.ask("", "", "I love it") == 0
    assert (root / "summary.md").read_text(encoding="utf-8") == "```text\npositive --prompt= --text=I love it\n\n```\n"


def test_a_failure_is_the_failure_of_the_button(root: Path) -> None:
    assert root.is_dir()
    assert prompts.ask("", "", "fail") == 1


def test_where_no_pipeline_has_prompts_there_is_nothing_to_ask(root: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (root / "pipelines/moods/prompts").rmdir()
    assert prompts.ask("", "", "hello") == 0
    assert "no pipeline has prompts" in capsys.readouterr().out


def test_without_a_text_or_with_two_such_pipelines_it_says_what_to_type(root: Path) -> None:
    with pytest.raises(InputError, match="TEXT says what to ask about"):
        prompts.ask("", "", "")
    (root / "pipelines/tones/prompts").mkdir(parents=True)
    with pytest.raises(InputError, match=r"PIPELINE can be: moods, tones"):
        prompts.ask("", "", "I love it")
