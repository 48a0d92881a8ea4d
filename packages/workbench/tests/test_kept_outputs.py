from __future__ import annotations

import contextlib
from pathlib import Path

import pytest

from onebutton_workbench.lineage.stages import dvc_files
from onebutton_workbench.runs.run import kept, small_results
from onebutton_workbench.workspace import ROOT, pipelines

STAGES = """\
stages:
  code:
    cmd: python -m onebutton_workbench.lineage.fingerprint
    outs: [.code/train: {cache: false}]
  train:
    cmd: python -m toy.train
    outs:
      - model.onnx
      - card.md: {cache: false}
    metrics:
      - metrics.json: {cache: false}
"""


@pytest.fixture
def root(tmp_path: Path) -> Path:
    folder = tmp_path / "pipelines/toy"
    folder.mkdir(parents=True)
    (folder / "dvc.yaml").write_text(STAGES, encoding="utf-8")
    for name in ("model.onnx", "card.md", "metrics.json"):
        (folder / name).write_text("before", encoding="utf-8")
    return tmp_path


def test_a_stage_that_fails_takes_no_result_out_of_git(root: Path) -> None:
    folder = root / "pipelines/toy"
    with contextlib.suppress(KeyboardInterrupt), kept(root):
        for name in ("model.onnx", "card.md", "metrics.json"):
            (folder / name).unlink()
        (folder / "card.md").write_text("made anew", encoding="utf-8")
        raise KeyboardInterrupt
    assert (folder / "metrics.json").read_text(encoding="utf-8") == "before"
    assert (folder / "card.md").read_text(encoding="utf-8") == "made anew"
    assert not (folder / "model.onnx").exists(), "what DVC caches is DVC's"


def test_every_result_here_that_is_no_data_is_kept_and_every_stage_can_come_out_of_the_cache() -> None:
    names = {path.name for path in small_results(ROOT)}
    assert not pipelines() or {"metrics.json", "card.md"} <= names
    plans = [*dvc_files(ROOT), ROOT / "templates/pipeline/member/dvc.yaml.jinja"]
    assert [path for path in plans if "{cache: false, persist" in path.read_text(encoding="utf-8")] == []
