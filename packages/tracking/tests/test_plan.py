import json
from pathlib import Path

import pytest

from onebutton_contracts.dvc_files import Output
from onebutton_tracking.results import all_metrics, collect, locked_digests, produced_files, read_metrics

PLAN = """\
stages:
  train:
    foreach: {slow: 1, fast: 2}
    do:
      cmd: python -m demo.train ${key} ${item}
      outs: ["model/${key}.onnx"]
      metrics:
        - "metrics/${key}.json": {cache: false}
  judge:
    matrix: {month: [7, 8]}
    cmd: python -m demo.judge ${item.month}
    metrics: ["judged/${item.month}.json"]
  card:
    cmd: python -m demo.card
    outs: [card.md]
"""
LOCK = """\
schema: '2.0'
stages:
  train@slow:
    cmd: python -m demo.train slow 1
    deps: [{path: .code/train, md5: c0de}]
    outs: [{path: metrics/slow.json, md5: a}, {path: model/slow.onnx, md5: b}]
  train@fast:
    cmd: python -m demo.train fast 2
    deps: [{path: .code/train, md5: c0de}]
    outs: [{path: metrics/fast.json, md5: c}, {path: model/fast.onnx, md5: d}]
  judge@7: {cmd: python -m demo.judge 7, outs: [{path: judged/7.json, md5: e}]}
  judge@8: {cmd: python -m demo.judge 8, outs: [{path: judged/8.json, md5: f}]}
  card: {cmd: python -m demo.card, outs: [{path: card.md, md5: "0"}]}
"""


@pytest.fixture
def many(tmp_path: Path) -> Path:
    """A pipeline that DVC ran four stages of for two of the plan."""
    folder = tmp_path / "pipelines/many"
    for name, auc in {"metrics/slow": 0.7, "metrics/fast": 0.6, "judged/7": 0.5, "judged/8": 0.4}.items():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / f"{name}.json").write_text(json.dumps({"auc": auc}), encoding="utf-8")
    (folder / "dvc.yaml").write_text(PLAN, encoding="utf-8")
    (folder / "dvc.lock").write_text(LOCK, encoding="utf-8")
    return folder


def test_each_of_several_stages_keeps_its_own_metrics(many: Path) -> None:
    assert all_metrics(many) == {"slow.auc": 0.7, "fast.auc": 0.6, "7.auc": 0.5, "8.auc": 0.4}


def test_the_code_behind_several_stages_is_one(many: Path) -> None:
    assert locked_digests(collect(many).lock)[1] == {"train": "c0de"}


def test_what_several_stages_write_into_git_is_theirs_and_no_edit_of_yours(many: Path) -> None:
    assert produced_files(many) == [Path("dvc.lock"), Path("metrics/slow.json"), Path("metrics/fast.json")]


def test_before_the_first_run_nothing_was_written(many: Path) -> None:
    (many / "dvc.lock").unlink()
    assert produced_files(many) == [Path("dvc.lock")]


def test_a_key_becomes_a_name_that_mlflow_takes() -> None:
    found = read_metrics('{"auc": 0.7}', Output("train@lr=0.1,depth:3", "metrics.json", {}))
    assert found == {"lr_0.1_depth_3.auc": 0.7}


def test_metrics_that_are_no_mapping_of_names_stop_nobody(many: Path) -> None:
    (many / "judged/7.json").write_text("[0.5, 0.4]", encoding="utf-8")
    assert "7.auc" not in all_metrics(many)
