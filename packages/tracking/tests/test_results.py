from pathlib import Path

import pytest

from onebutton_contracts.errors import InputError
from onebutton_tracking.results import collect, curves, declared_plots, lock_digest, locked_digests, produced_files


def test_a_pipelines_results_are_read_from_what_dvc_left(pipeline: Path) -> None:
    results = collect(pipeline)
    assert results.params == {"train.rate": "0.1", "train.leaves": "[15, 31]"}
    assert results.metrics == {"model.auc": 0.75, "model.rows": 100, "by_month.07.auc": 0.5}
    assert results.model == pipeline / "model/model.onnx"
    assert [*results.plots] == ["plots/by_month.csv", "plots/roc.csv"]


def test_what_a_stage_reads_of_gates_toml_is_no_parameter(pipeline: Path) -> None:
    lock = pipeline / "dvc.lock"
    text = lock.read_text(encoding="utf-8")
    judged = text.replace("    params:\n", "    params:\n      gates.toml:\n        judging: {metrics: [auc]}\n")
    assert judged != text
    lock.write_text(judged, encoding="utf-8")
    assert set(collect(pipeline).params) == {"train.rate", "train.leaves"}


def test_a_plot_over_a_whole_number_becomes_curves_and_an_empty_cell_is_left_out(pipeline: Path) -> None:
    assert [*curves(pipeline / "plots/by_month.csv", "month")] == [
        ("curves/by_month.auc", 0.75, 7),
        ("curves/by_month.auc", 0.71, 8),
        ("curves/by_month.log_loss", 0.5, 7),
        ("curves/by_month.log_loss", 0.6, 8),
        ("curves/by_month.log_loss", 0.4, 9),
    ]
    assert not [*curves(pipeline / "plots/roc.csv", "false_positive_rate")]


def test_fingerprints_are_neither_data_nor_results_to_commit(pipeline: Path) -> None:
    assert set(locked_digests(collect(pipeline).lock)[0]) == {"data/raw", "metrics.json", "model/model.onnx"}
    assert set(map(str, produced_files(pipeline))) == {
        "dvc.lock",
        "plots/by_month.csv",
        "plots/roc.csv",
        "metrics.json",
    }


def test_a_pipeline_that_was_never_run_says_so(pipeline: Path) -> None:
    (pipeline / "dvc.lock").unlink()
    with pytest.raises(InputError, match="never run to its end"):
        lock_digest(pipeline)


def test_a_torn_metrics_file_is_named(pipeline: Path) -> None:
    (pipeline / "metrics.json").write_text('{"model": ', encoding="utf-8")
    with pytest.raises(InputError, match=r"metrics\.json cannot be read .* `make run` writes it again"):
        collect(pipeline)


def test_plots_count_wherever_dvc_lets_them_stand() -> None:
    plan = {"stages": {"train": {"plots": ["roc.csv", {"tuning.csv": {"x": "trees"}}]}}, "plots": [{"last.csv": {}}]}
    assert declared_plots(plan, {}) == {"roc.csv": {}, "tuning.csv": {"x": "trees"}, "last.csv": {}}
