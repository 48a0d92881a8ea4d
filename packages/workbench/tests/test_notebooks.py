from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from onebutton_workbench.git import listed
from onebutton_workbench.workspace import ROOT


def test_the_example_notebook_runs_as_far_as_it_can_be_compiled() -> None:
    """Its cells are Python; that it runs on real results is seen by a slow test."""
    notebooks = {
        name: json.loads((ROOT / name).read_text(encoding="utf-8"))["cells"] for name in listed(ROOT, "*.ipynb")
    }
    sources = ["".join(cell["source"]) for cells in notebooks.values() for cell in cells if cell["cell_type"] == "code"]
    assert [source for source in sources if not _is_python(source)] == []


def _is_python(source: str) -> bool:
    try:
        compile(source, "cell", "exec")
    except SyntaxError:
        return False
    return True


def test_only_notebooks_that_git_would_take_are_held_to_rules(tmp_path: Path, shell: Any) -> None:
    shell("git", "init", "--quiet", folder=tmp_path)
    (tmp_path / ".gitignore").write_text("private/\n", encoding="utf-8")
    for name in ("seen.ipynb", "private/mine.ipynb"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_text("{}", encoding="utf-8")
    assert listed(tmp_path, "*.ipynb") == ["seen.ipynb"]
