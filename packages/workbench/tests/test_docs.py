"""What the pages show can be typed as it stands."""

import re
import subprocess

import pytest

from onebutton_tracking.commit import git_environment
from onebutton_workbench.buttons import read_buttons
from onebutton_workbench.workspace import ROOT

BUTTONS = {button.name for button in read_buttons((ROOT / "Makefile").read_text(encoding="utf-8"))}
PAGES = subprocess.run(
    ["git", "ls-files", "*.md", "*.md.jinja"],
    cwd=ROOT,
    env=git_environment(),
    capture_output=True,
    text=True,
    check=True,
).stdout.split()
LEFT_OUT = re.compile(r"\.\.\.|…|<[a-z_-]+>")  # `...` in the middle of a line; `<file>` is a redirection to a shell


def commands(page: str) -> list[str]:
    """The lines that a page gives to type, without the comments behind them."""
    text = (ROOT / page).read_text(encoding="utf-8")
    blocks = re.findall(r"^```(?:console|sh|bash)\n(.*?)^```", text, re.MULTILINE | re.DOTALL)
    return [re.sub(r"(^| )# .*", "", line) for block in blocks for line in block.splitlines()]


@pytest.mark.parametrize("page", PAGES)
def test_every_command_can_be_pasted(page: str) -> None:
    assert [line for line in commands(page) if LEFT_OUT.search(line)] == []


@pytest.mark.parametrize("page", [page for page in PAGES if page.endswith(".md")])
def test_every_button_that_a_page_tells_to_press_exists(page: str) -> None:
    pressed = {name for line in commands(page) for name in re.findall(r"^make ([a-z][a-z-]*)\b", line)}
    assert pressed <= BUTTONS


def test_the_threat_model_names_only_rules_buttons_and_sections_that_exist() -> None:
    page = (ROOT / ".github/SECURITY.md").read_text(encoding="utf-8")
    assert {f"{one}.md" for one in re.findall(r"OB\d{3}", page)} <= {
        file.name for file in (ROOT / "docs/checks").iterdir()
    }
    assert set(re.findall(r"`make ([a-z][a-z-]*)\b", page)) <= BUTTONS
    model = page.partition("## Threat model")[2]
    parts = dict(re.findall(r"^### (.+)\n((?:(?!###).*\n?)*)", model, re.MULTILINE))
    assert list(parts) == [
        *("Data set", "Package", "Model file", "Notebook", "Prompt", "Workflow", "Server", "Laptop", "Agent"),
    ]
    for words in parts.values():
        assert all(word in words for word in ("Risk: ", "Threat: ", "Vulnerability: ", "Gate: "))


def test_the_page_of_buttons_names_every_one() -> None:
    page = (ROOT / "docs/buttons.md").read_text(encoding="utf-8")
    assert BUTTONS - set(re.findall(r"make ([a-z][a-z-]*)\b", page)) == set()


@pytest.mark.parametrize(
    ("path", "ignored"),
    [
        ("pipelines/churn/src/churn/__pycache__/train.cpython-311.pyc", True),
        ("pipelines/churn/data/raw/rows.parquet", True),
        ("pipelines/churn/model/model.onnx", True),
        ("pipelines/churn/data/raw/rows.parquet.dvc", False),
        ("pipelines/churn/data/.gitignore", False),
        ("pipelines/churn/src/churn/data/words.txt", False),
    ],
)
def test_git_keeps_what_people_write_and_not_what_programs_leave(path: str, ignored: bool) -> None:  # noqa: FBT001
    asked = ["git", "check-ignore", "--quiet", "--no-index", path]
    assert (subprocess.run(asked, cwd=ROOT, env=git_environment(), check=False).returncode == 0) is ignored
