"""Against a real MLflow in a SQLite file."""

import re
import subprocess
import sys
from pathlib import Path

import pandas as pd
import pytest
from onnx import TensorProto, helper
from packages.tracking.tests.conftest import client, runs

from onebutton_contracts.errors import InputError
from onebutton_tracking.mirror import mirror
from onebutton_tracking.store import StoreError, find_runs


def text_file(path: Path) -> None:
    """Write a model that adds 10 to `x` where `origin` is JFK, and 20 elsewhere."""
    columns = [("origin", TensorProto.STRING), ("x", TensorProto.FLOAT)]
    graph = helper.make_graph(
        [
            helper.make_node(
                "LabelEncoder",
                ["origin"],
                ["code"],
                domain="ai.onnx.ml",
                keys_strings=["JFK"],
                values_floats=[10.0],
                default_float=20.0,
            ),
            helper.make_node("Add", ["code", "x"], ["y"]),
        ],
        "model",
        [helper.make_tensor_value_info(name, kind, [None, 1]) for name, kind in columns],
        [helper.make_tensor_value_info("y", TensorProto.FLOAT, [None, 1])],
    )
    opsets = [helper.make_opsetid("", 18), helper.make_opsetid("ai.onnx.ml", 3)]
    path.write_bytes(helper.make_model(graph, opset_imports=opsets, ir_version=9).SerializeToString())


def rerun(pipeline: Path) -> None:
    """Leave the pipeline as another run with another parameter would."""
    lock = pipeline / "dvc.lock"
    lock.write_text(lock.read_text(encoding="utf-8").replace("rate: 0.1", "rate: 0.2"), encoding="utf-8")


def test_one_run_holds_all_that_dvc_holds(pipeline: Path, uri: str) -> None:
    assert "model demo version 1" in mirror(pipeline, uri)
    (run,) = runs(uri)
    assert run.info.status == "FINISHED"
    assert run.data.params == {"train.rate": "0.1", "train.leaves": "[15, 31]"}
    assert run.data.metrics["model.auc"] == 0.75
    curve = client(uri).get_metric_history(run.info.run_id, "curves/by_month.auc")
    assert [(point.step, point.value) for point in curve] == [(7, 0.75), (8, 0.71)]
    plots = client(uri).list_artifacts(run.info.run_id, "plots")
    assert [plot.path for plot in plots] == ["plots/by_month.csv", "plots/roc.csv"]
    assert run.data.tags["onebutton.md5.data.raw"] == "11111111111111111111111111111111.dir"
    assert run.data.tags["onebutton.dirty"] == "false"


def test_a_run_tells_metric_gates_and_commit_in_its_name_and_shows_its_card(judged: Path, uri: str) -> None:
    mirror(judged, uri)
    (run,) = runs(uri)
    assert run.info.run_name == "uncommitted auc 0.75 gates failed: log-loss"
    assert run.data.tags["onebutton.gates"] == "failed: log-loss"
    assert run.data.tags["mlflow.note.content"] == "# Demo, the card\n"
    assert "card.md" in {file.path for file in client(uri).list_artifacts(run.info.run_id)}


def test_pressing_again_adds_neither_run_nor_version(pipeline: Path, uri: str) -> None:
    mirror(pipeline, uri)
    assert "already" in mirror(pipeline, uri)
    assert len(runs(uri)) == 1
    assert len(client(uri).search_model_versions("name = 'demo'")) == 1


def test_another_lock_is_another_run_and_the_same_model_keeps_its_version(pipeline: Path, uri: str) -> None:
    mirror(pipeline, uri)
    rerun(pipeline)
    assert "version 1 as before" in mirror(pipeline, uri)
    assert len(runs(uri)) == 2
    made = [[output.model_id for output in run.outputs.model_outputs] if run.outputs else [] for run in runs(uri)]
    assert made[0] == made[1] != []  # both pages of MLflow show the one model
    assert len(client(uri).search_model_versions("name = 'demo'")) == 1


def test_a_run_that_an_earlier_try_left_half_done_is_completed_without_doubling_anything(
    pipeline: Path, uri: str
) -> None:
    mirror(pipeline, uri)
    (run,) = runs(uri)
    client(uri).update_run(run.info.run_id, status="RUNNING")  # as a killed process leaves it
    assert "already" not in mirror(pipeline, uri)
    (whole,) = runs(uri)
    assert whole.info.status == "FINISHED"
    assert whole.info.run_id == run.info.run_id
    assert len(client(uri).get_metric_history(run.info.run_id, "curves/by_month.auc")) == 2
    assert len(client(uri).search_model_versions("name = 'demo'")) == 1
    assert len(client(uri).search_logged_models([run.info.experiment_id])) == 1


def test_the_registered_model_is_the_file_and_needs_no_code_of_ours(pipeline: Path, uri: str) -> None:
    import mlflow

    mirror(pipeline, uri)
    mlflow.set_tracking_uri(uri)
    model = mlflow.pyfunc.load_model("models:/demo/1")
    answer = model.predict(pd.DataFrame({"x": pd.Series([1.5, 4.0], dtype="float32")}))
    assert answer["y"].tolist() == [[3.0], [8.0]]
    folder = Path(mlflow.artifacts.download_artifacts("models:/demo/1", dst_path=str(pipeline / "downloaded")))
    requirements = (folder / "requirements.txt").read_text(encoding="utf-8").split()
    assert [line.partition("==")[0] for line in requirements] == ["mlflow", "onnxruntime", "onnx", "numpy", "pandas"]
    assert (folder / "model.onnx").read_bytes() == (pipeline / "model/model.onnx").read_bytes()
    assert not list(folder.rglob("*.pkl"))


def test_a_model_that_was_not_pulled_is_named_and_no_run_counts(pipeline: Path, uri: str) -> None:
    (pipeline / "model/model.onnx").unlink()
    with pytest.raises(InputError, match=r"model\.onnx is not here"):
        mirror(pipeline, uri)
    from onebutton_tracking.results import lock_digest

    assert find_runs(client(uri), "demo", lock_digest(pipeline)) == []


def test_a_file_that_is_no_database_is_refused_and_left_as_it_is(pipeline: Path, uri: str) -> None:
    file = pipeline.parents[1] / "mlflow.db"
    file.write_text("a text of mine", encoding="utf-8")
    with pytest.raises(StoreError, match="cannot be written"):
        mirror(pipeline, uri)
    assert file.read_text(encoding="utf-8") == "a text of mine"


def test_a_place_that_cannot_be_written_is_refused(pipeline: Path) -> None:
    with pytest.raises(StoreError, match="cannot be written"):
        mirror(pipeline, f"sqlite:///{pipeline}/no/such/folder/mlflow.db")


def test_a_run_with_nothing_new_imports_no_mlflow_once_the_results_were_seen_there(pipeline: Path, uri: str) -> None:
    mirror(pipeline, uri)
    mirror(pipeline, uri)
    program = (
        "import sys; from pathlib import Path; from onebutton_tracking.mirror import mirror\n"
        f"print(mirror(Path({str(pipeline)!r}), {uri!r}, just_run=True))\n"
        "print([name for name in ('mlflow', 'pandas', 'sqlalchemy', 'yaml') if name in sys.modules])\n"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    said, imported = done.stdout.splitlines()
    assert "already" in said
    assert imported == "[]"


def test_the_package_imports_in_under_a_tenth_of_a_second() -> None:
    program = (
        "import sys, time; begun = time.process_time()\n"
        "import onebutton_tracking.mirror, onebutton_tracking.why, onebutton_tracking.reproduce\n"
        "print(time.process_time() - begun, *{'mlflow', 'pandas', 'sqlalchemy'} & {*sys.modules})"
    )
    least, imported = 1.0, set[str]()
    for _ in range(20):  # also processor time is longer on a busy machine, whose other programs take the caches
        done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
        seconds, *names = done.stdout.split()
        least = min(least, float(seconds))
        imported |= {*names}
        if least < 0.1:
            break
    assert least < 0.1
    assert imported == set()


def test_inputs_name_their_digests_and_the_stages_that_read_them(pipeline: Path, uri: str) -> None:
    mirror(pipeline, uri)
    (run,) = runs(uri)
    (entry,) = run.inputs.dataset_inputs  # type: ignore[union-attr]
    assert (entry.dataset.name, entry.dataset.digest) == ("data/raw", "1" * 32 + ".dir")
    assert [(tag.key, tag.value) for tag in entry.tags] == [("mlflow.data.context", "train")]


def test_a_frame_with_text_is_answered_by_the_registered_model(pipeline: Path, uri: str) -> None:
    import mlflow

    text_file(pipeline / "model/model.onnx")
    mirror(pipeline, uri)
    mlflow.set_tracking_uri(uri)
    model = mlflow.pyfunc.load_model("models:/demo/1")
    flights = pd.DataFrame({"origin": ["JFK", "EWR"], "x": [1.5, 4.0]})  # as JSON or a csv file gives them
    assert model.predict(flights)["y"].tolist() == [[11.5], [24.0]]


def test_each_text_of_a_prompt_is_one_version_and_knows_its_runs(pipeline: Path, uri: str) -> None:
    file = pipeline / "prompts/short.prompt.md"
    file.parent.mkdir()
    for rate, text in enumerate(["Mood of {text}?\n", "Mood of {text}?\n", "What mood? {text}\n"]):
        file.write_text(text, encoding="utf-8")
        lock = (pipeline / "dvc.lock").read_text(encoding="utf-8")
        (pipeline / "dvc.lock").write_text(re.sub(r"rate: [\d.]+", f"rate: 0.{rate + 1}", lock), encoding="utf-8")
        mirror(pipeline, uri)
    versions = client(uri).search_prompt_versions("demo.short")
    assert {one.version: one.template for one in versions} == {1: "Mood of {{text}}?\n", 2: "What mood? {{text}}\n"}
    linked = [run.data.tags["mlflow.linkedPrompts"] for run in runs(uri)]
    assert sorted(text.count('"version": "1"') for text in linked) == [0, 1, 1]
