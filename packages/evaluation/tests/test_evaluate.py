"""The stage `evaluate`, from an ONNX file and two tables to every result, in a folder of its own; of each task."""

import json
import re
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import pytest
from sklearn.linear_model import LinearRegression, LogisticRegression
from sklearn.pipeline import Pipeline
from sklearn.preprocessing import StandardScaler

from onebutton_contracts.contract import contract_of, load_contract
from onebutton_contracts.errors import InputError
from onebutton_contracts.tables import write_split
from onebutton_contracts.validation import validate
from onebutton_evaluation import catalogue, evaluate
from onebutton_evaluation.holdout import golden_examples
from onebutton_evaluation.influence import smooth
from onebutton_evaluation.splits import at_random
from onebutton_models.conversion import to_onnx
from onebutton_models.scoring import OnnxModel, ScoringError

CONTRACT = """
apiVersion: v3.1.0
kind: DataContract
id: {name}
version: 1.0.0
status: active
team: {{name: us}}
schema:
  - name: {name}
    properties:
      - {{name: row, logicalType: integer, primaryKey: true}}
"""
COLUMN = "      - {{name: '{0}', logicalType: {1}}}\n"
TYPES = {pl.String: "string", pl.Int64: "integer", pl.Float64: "number", pl.Date: "date"}
GATES = """
[judging]
owner = "us"
{judging}
[baselines]
{baselines}
[[slices]]
by = ["place"]
[[slices]]
by = ["first"]
quantiles = 2
[[perturbations]]
name = "first is noisy"
columns = ["first"]
noise = 1.0
[[gates]]
id = "better"
check = "no-worse"
why = "because"
than = "simple"
"""
PLOTS = "stages:\n  evaluate:\n    plots: [{}]\n"
INPUTS = ["first", "second"]


@dataclass(frozen=True)
class Task:
    """What is predicted in a folder.

    Attributes:
        answers: made of a number that the inputs tell half of.
        plots: that the task has.
        shown: numbers of `metrics.json` for each model.
    """

    judging: str
    constant: str
    answers: Any
    estimator: Any
    columns: tuple[str, ...]
    plots: tuple[str, ...]
    shown: set[str]


KINDS = ("adelie", "gentoo", "king")
SPECIES = tuple(f"probability[{kind}]" for kind in KINDS)
TASKS = {
    "binary": Task(
        'answer = "answer"\nprediction = "probability"\nchampion = "auc"\ntolerance = 0.05\n'
        'metrics = ["share", "auc", "log_loss", "bias"]',
        "base-rate",
        lambda number: (number > 0).astype(np.int64),
        LogisticRegression(),
        ("probability",),
        ("roc", "calibration"),
        {"rows", "share", "auc", "log_loss", "calibration_error"},
    ),
    "multiclass": Task(
        'task = "multiclass"\nclasses = ["adelie", "gentoo", "king"]\nanswer = "answer"\nprediction = "probability"\n'
        'champion = "log_loss"\ntolerance = 0.05\nmetrics = ["log_loss", "recall[gentoo]"]',
        "most-frequent",
        lambda number: np.array(KINDS)[(number > -0.5).astype(int) + (number > 0.5)],
        LogisticRegression(),
        (*SPECIES, "label"),
        ("confusion",),
        {"rows", "log_loss", "recall[gentoo]"},
    ),
    "regression": Task(
        'task = "regression"\nanswer = "answer"\nprediction = "predicted"\nchampion = "mae"\ntolerance = 0.1\n'
        'metrics = ["mae", "bias", "coverage[0.1,0.9]"]\nquantiles = { "0.1" = "p10", "0.9" = "p90" }',
        "median",
        lambda number: number,
        LinearRegression(),
        ("predicted", "p10", "p90"),
        ("predicted", "residuals"),
        {"rows", "mae"},
    ),
}


@dataclass(frozen=True)
class Folder:
    """A pipeline's folder before its stage `evaluate` has run."""

    path: Path
    task: Task
    model: OnnxModel
    held_out: pl.DataFrame

    def run(self) -> dict[str, Any]:
        evaluate.main()
        found: dict[str, Any] = json.loads((self.path / "metrics.json").read_text(encoding="utf-8"))
        return found

    def edit(self, name: str, old: str, new: str) -> None:
        text = (self.path / name).read_text(encoding="utf-8")
        assert old in text
        (self.path / name).write_text(text.replace(old, new), encoding="utf-8")

    def results(self) -> dict[str, Any]:
        names = ("slices", "comparison", "robustness")
        return {name: json.loads((self.path / f"{name}.json").read_text(encoding="utf-8")) for name in names}


def contract(name: str, columns: dict[str, str]) -> str:
    return CONTRACT.format(name=name) + "".join(COLUMN.format(*column) for column in columns.items())


def write(folder: Path, task: Task) -> Folder:
    random = np.random.default_rng(4)
    first, second = random.normal(0, 1, (2, 1200))
    rows = pl.DataFrame({"row": range(1200), "first": first, "second": second})
    answers = task.answers(first + second / 2 + random.normal(0, 1, 1200))
    places = np.array(["north", "south"])[random.integers(0, 2, 1200)]
    rows = rows.with_columns(pl.Series("place", places), pl.Series("answer", answers))
    known = at_random(rows, holdout_share=0.5, seed=1)
    types = {name: TYPES[type(kind)] for name, kind in rows.drop("row").schema.items()}
    predicted = {"place": "string", "answer": types["answer"]}
    predicted |= {name: "string" if name == "label" else "number" for name in task.columns}
    (folder / "contracts").mkdir()
    (folder / "contracts/predictions.odcs.yaml").write_text(contract("predictions", predicted), encoding="utf-8")
    write_split(known, contract_of(contract("rows", types), Path("rows.odcs.yaml")), folder / "data")
    training = known.filter(split="fit")
    (folder / "model").mkdir()
    for name, inputs in (("model", INPUTS), ("simple", INPUTS[:1]), ("p10", INPUTS), ("p90", INPUTS)):
        seen = training.select(pl.col(inputs).cast(pl.Float32))
        shift = {"p10": -1.4, "p90": 1.4}.get(name, 0.0)
        aim = training["answer"].to_numpy()
        fitted = Pipeline([("scale", StandardScaler()), ("line", task.estimator)]).fit(
            seen, aim + shift if shift and aim.dtype.kind == "f" else aim
        )
        (folder / f"model/{name}.onnx").write_bytes(to_onnx(fitted, seen))
    text = GATES.format(judging=task.judging, baselines=f'simple = "model/simple.onnx"\nconstant = "{task.constant}"')
    (folder / "gates.toml").write_text(text, encoding="utf-8")
    (folder / "params.yaml").write_text(
        "train: {seed: 1}\nevaluate: {calibration_bins: 5, other: 1}\n", encoding="utf-8"
    )
    plots = ", ".join(f"plots/{name}.csv" for name in (*task.plots, "by_place"))
    (folder / "dvc.yaml").write_text(PLOTS.format(plots), encoding="utf-8")
    return Folder(
        folder, task, OnnxModel(folder / "model/model.onnx"), pl.read_parquet(folder / "data/holdout.parquet")
    )


@pytest.fixture(params=TASKS)
def folder(request: pytest.FixtureRequest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Folder:
    """Half of 1,200 rows to judge by, and a model of the others."""
    monkeypatch.chdir(tmp_path)
    return write(tmp_path, TASKS[request.param])


@pytest.fixture
def binary(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Folder:
    """The folder of a binary task."""
    monkeypatch.chdir(tmp_path)
    return write(tmp_path, TASKS["binary"])


def test_every_row_of_the_holdout_is_answered_as_the_file_that_ships_answers(folder: Folder) -> None:
    folder.run()
    found = pl.read_parquet("data/predictions.parquet")
    validate(found, load_contract(Path("contracts/predictions.odcs.yaml")))
    assert found.select("row", "answer").equals(folder.held_out.select("row", "answer"))
    columns = [name for name in folder.task.columns if name not in {"label", "p10", "p90"}]
    answers = folder.model.predict(folder.held_out)
    assert np.array_equal(found.select(columns).to_numpy().squeeze(), answers)
    if "label" in found.columns:
        assert found["label"].to_list() == [KINDS[code] for code in answers.argmax(axis=1)]


def test_the_model_stands_beside_its_baselines_on_all_rows_and_by_part(folder: Folder) -> None:
    found = folder.run()
    assert list(found) == ["model", "simple", "constant", "by_place", "training"]
    of_quantiles = {"coverage[0.1,0.9]"} if "p10" in folder.task.columns else set()
    assert set(found["model"]) == folder.task.shown | of_quantiles
    assert set(found["simple"]) == set(found["constant"]) == folder.task.shown
    loss = "mae" if "mae" in folder.task.shown else "log_loss"
    assert found["model"][loss] < found["simple"][loss] < found["constant"][loss]
    assert sum(part["rows"] for part in found["by_place"].values()) == found["model"]["rows"] == 600
    assert found["training"]["rows"] == 600


def test_slices_comparisons_and_perturbations_are_written_too(folder: Folder) -> None:
    folder.run()
    results = folder.results()
    assert len(results["slices"]["slices"]) == 5
    assert results["slices"]["holdout"]["rows"] == 600
    assert results["slices"]["holdout"]["likely_leaks"] == []
    compared = results["comparison"]
    ranks = "auc" in folder.task.shown  # what is always said ranks nothing
    assert list(compared) == ["champion", "simple"] + ["constant"] * (not ranks)
    assert compared["champion"]["in_words"] == "first release: there is no champion yet"
    assert {one["verdict"] for name, one in compared.items() if name != "champion"} == {"better"}
    assert set(results["robustness"]["perturbed"]) == {"first is noisy"}


def test_the_curves_of_the_task_that_dvc_yaml_declares_are_drawn_and_no_other(folder: Folder) -> None:
    folder.edit("dvc.yaml", ", plots/by_place.csv", "")
    folder.run()
    assert sorted(file.stem for file in Path("plots").iterdir()) == sorted(folder.task.plots)
    for file in Path("plots").iterdir():
        assert pl.read_csv(file).height > 4


def test_the_declared_metrics_by_part_are_drawn(folder: Folder) -> None:
    found = folder.run()
    drawn = pl.read_csv("plots/by_place.csv")
    assert drawn["place"].to_list() == ["north", "south"]
    assert drawn["rows"].to_list() == [part["rows"] for part in found["by_place"].values()]


def test_running_again_gives_the_same_bytes(folder: Folder) -> None:
    written = []
    for _ in range(2):
        folder.run()
        written.append({file: file.read_bytes() for file in Path().rglob("*.*") if file.is_file()})
    assert len(written[0]) > 15
    assert written[0] == written[1]


def test_golden_examples_reach_from_the_lowest_answer_to_the_highest(folder: Folder) -> None:
    folder.run()
    found = pl.read_parquet("data/predictions.parquet")
    golden = json.loads(Path("model/golden.json").read_text(encoding="utf-8"))
    name = folder.task.columns[0]
    answers = [row["output"][name] for row in golden["rows"]]
    assert {found[name].min(), found[name].max()} <= set(answers)
    assert len(answers) == 50
    assert all(set(row["input"]) == set(INPUTS) for row in golden["rows"])
    numbers = [number for row in golden["rows"] for number in row["output"].values()]  # with those of quantiles
    largest = max(1.0, *map(abs, numbers))  # a float32 of minutes or prices has fewer digits behind the point
    assert 1e-5 <= golden["tolerance"] <= 1.0001e-5 * largest


def test_a_row_that_a_server_refuses_is_no_golden_example() -> None:
    inputs = pl.DataFrame({"place": ["north", None, "south"], "first": [1.0, 2.0, None]})
    rows = golden_examples(inputs, pl.DataFrame({"answer": [1.0, 3.0, 2.0]}))["rows"]
    assert [row["input"]["place"] for row in rows] == ["north", "south"]


def test_a_unit_on_both_sides_of_the_split_is_told_as_a_likely_leak(binary: Folder) -> None:
    binary.edit("gates.toml", "[judging]", '[judging]\nunit = "place"')
    binary.run()
    told = "600 of 600 rows of the holdout share their place with a row of training"
    assert binary.results()["slices"]["holdout"]["likely_leaks"] == [told]


def test_a_metric_of_the_pipelines_own_is_measured_as_any_other(
    binary: Folder, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(catalogue, "_OWN", {})
    catalogue.register(smooth("cost", "lower", lambda rows: 5 * np.abs(rows.answers - rows.predictions), kind="loss"))
    binary.edit("gates.toml", 'metrics = ["share"', 'own = { cost = "lower" }\nmetrics = ["cost", "share"')
    found = binary.run()
    assert found["model"]["cost"] < found["constant"]["cost"]
    assert binary.results()["slices"]["slices"]["all"]["metrics"]["cost"]["low"] < found["model"]["cost"]


def test_a_champion_is_compared_with(binary: Folder) -> None:
    binary.run()
    champion = Path("champion")
    champion.mkdir()
    pl.read_parquet("data/predictions.parquet").write_parquet(champion / "predictions.parquet")
    (champion / "champion.txt").write_text("v7\n", encoding="utf-8")
    binary.run()
    compared = binary.results()["comparison"]["champion"]
    assert (compared["name"], compared["verdict"]) == ("v7", "same")


def test_a_champion_that_does_not_fit_leaves_nothing_half_written(binary: Folder) -> None:
    champion = Path("champion")
    champion.mkdir()
    few = binary.held_out.head(10).select("row", probability=pl.lit(0.5))
    few.write_parquet(champion / "predictions.parquet")
    (champion / "champion.txt").write_text("v7\n", encoding="utf-8")
    with pytest.raises(InputError, match="no prediction for"):
        evaluate.main()
    assert not list(Path().rglob("*.json"))
    assert not Path("data/predictions.parquet").exists()


def test_classes_in_another_order_than_the_model_has_them_are_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    three = write(tmp_path, TASKS["multiclass"])
    three.edit("gates.toml", '"adelie", "gentoo", "king"', '"gentoo", "adelie", "king"')
    with pytest.raises(InputError, match=r"the classes adelie, gentoo, king, in this order, .* Write them there as"):
        evaluate.main()
    assert not Path("metrics.json").exists()


OF_THREE = 'metrics = ["log_loss"]\ntask = "multiclass"\nclasses = ["0", "1", "2"]'
REFUSED: dict[str, tuple[Callable[[Folder], object], str]] = {
    "a model that is not here": (lambda _: Path("model/simple.onnx").unlink(), "not a model that can be loaded: "),
    "a file that is no model": (
        lambda _: Path("model/simple.onnx").write_bytes(b"x"),
        "not a model that can be loaded: ",
    ),
    "a column that is not there": (
        lambda one: one.held_out.drop("second").write_parquet("data/holdout.parquet"),
        "model/model.onnx cannot score the holdout: the model needs the column 'second'",
    ),
    "a baseline called as a column": (
        lambda one: one.edit("gates.toml", "constant =", "place ="),
        "has a column 'place' already",
    ),
    "a baseline of another task": (
        lambda one: one.edit("gates.toml", "base-rate", "median"),
        "baseline 'constant' is 'median'; it can be base-rate, most-frequent or an ONNX file",
    ),
    "a baseline called as the champion": (
        lambda one: one.edit("gates.toml", "constant =", "champion ="),
        "no baseline can be called 'champion'",
    ),
    "fewer classes than the task has": (
        lambda one: one.edit("gates.toml", 'metrics = ["share", "auc", "log_loss", "bias"]', OF_THREE),
        "model/model.onnx gives 1 numbers for a row; for the task in gates.toml it must give 3",
    ),
    "parameters that are none": (
        lambda one: one.edit("params.yaml", "calibration_bins: 5", "calibration_bins: 0"),
        "evaluate.calibration_bins: input should be greater than or equal to 1",
    ),
}


@pytest.mark.parametrize("what", REFUSED)
def test_what_cannot_be_judged_is_refused_and_nothing_is_written(binary: Folder, what: str) -> None:
    plant, words = REFUSED[what]
    plant(binary)
    with pytest.raises((InputError, ScoringError), match=re.escape(words)):
        evaluate.main()
    assert not list(Path().rglob("*.json"))
