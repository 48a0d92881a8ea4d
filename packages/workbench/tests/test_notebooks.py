from pathlib import Path
from typing import Any

from onebutton_workbench.git import listed


def test_only_notebooks_that_git_would_take_are_held_to_rules(tmp_path: Path, shell: Any) -> None:
    shell("git", "init", "--quiet", folder=tmp_path)
    (tmp_path / ".gitignore").write_text("private/\n", encoding="utf-8")
    for name in ("seen.ipynb", "private/mine.ipynb"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_text("{}", encoding="utf-8")
    assert listed(tmp_path, "*.ipynb") == ["seen.ipynb"]
