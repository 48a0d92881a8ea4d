from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import polars as pl
import pytest

from onebutton_contracts.errors import InputError
from onebutton_workbench.checks.notebooks import load_stage
from onebutton_workbench.git import listed
from onebutton_workbench.workspace import ROOT


@pytest.fixture
def root(tmp_path: Path) -> Path:
    """A pipeline whose stage `features` was run."""
    folder = tmp_path / "pipelines/demo"
    (folder / "data/raw").mkdir(parents=True)
    pl.DataFrame({"a": [1, 2]}).write_parquet(folder / "data/raw/flights.parquet")
    pl.DataFrame({"b": [3]}).write_csv(folder / "data/features.csv")
    (folder / "dvc.yaml").write_text("stages: {}\n", encoding="utf-8")
    (folder / "params.yaml").write_text("features: {hours: 1}\n", encoding="utf-8")
    outs = [{"path": "data/features.csv"}, {"path": "model.onnx"}]
    lock = {"stages": {"features": {"deps": [{"path": "data/raw"}], "outs": outs}}}
    (folder / "dvc.lock").write_text(json.dumps(lock), encoding="utf-8")
    return tmp_path


def test_one_call_loads_inputs_outputs_and_params(root: Path) -> None:
    stage = load_stage("demo", "features", root)
    assert stage.inputs["flights"]["a"].to_list() == [1, 2]
    assert stage.outputs["features"]["b"].to_list() == [3]
    assert stage.params == {"features": {"hours": 1}}
    assert stage.files["model.onnx"] == root / "pipelines/demo/model.onnx"


def test_an_unknown_stage_is_refused_with_those_that_were_run(root: Path) -> None:
    with pytest.raises(InputError, match="has no stage 'train' that was run; stages: features"):
        load_stage("demo", "train", root)


def test_data_that_is_not_here_names_the_button(root: Path) -> None:
    (root / "pipelines/demo/data/features.csv").unlink()
    with pytest.raises(InputError, match=r"features\.csv is not here\. `make run` writes it"):
        load_stage("demo", "features", root)


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
