"""Regressions and classes from their predictions to the verdicts of gates, the card and the page."""

import json
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import polars as pl
import pytest

from onebutton_contracts.contract import load_contract
from onebutton_contracts.errors import InputError
from onebutton_evaluation import catalogue
from onebutton_evaluation.card import read_card
from onebutton_evaluation.champion import Champion
from onebutton_evaluation.checks import verdicts
from onebutton_evaluation.declarations import load_declarations
from onebutton_evaluation.influence import Rows, smooth
from onebutton_evaluation.judgement import judgement, write_judgement
from onebutton_evaluation.pages import render
from onebutton_evaluation.report import Around, read_results
from onebutton_evaluation.robustness import Asked

CONTRACT = """
apiVersion: v3.1.0
kind: DataContract
id: predictions
version: 1.0.0
status: active
team: {name: us}
schema:
  - name: predictions
    properties:
      - {name: key, logicalType: integer, primaryKey: true}
"""
CARD = "\n".join(
    f'{name} = "written"'
    for name in ("title", "predicts", "owner", "data", "intended", "forbidden", "limits", "people")
)
GATES = """
[judging]
owner = "us"
minimum_rows = 50
{judging}
[[slices]]
by = ["place"]
[[perturbations]]
name = "nothing known"
columns = ["seen"]
[[gates]]
id = "good"
check = "limit"
why = "because"
{limit}
slices = ["all", "place"]
[[gates]]
id = "champion"
check = "no-worse"
why = "because"
than = "champion"
protected = ["place"]
"""
PRICES = GATES.format(
    judging='task = "regression"\nanswer = "price"\nprediction = "predicted"\nchampion = "mae"\ntolerance = 20\n'
    'metrics = ["mae", "rmse", "r2", "bias", "median_ae", "pinball[0.1]", "coverage[0.1,0.9]"]\n'
    'quantiles = { "0.1" = "p10", "0.9" = "p90" }',
    limit='metric = "mae"\nat_most = 200',
)
SPECIES = GATES.format(
    judging='task = "multiclass"\nclasses = ["adelie", "gentoo", "king"]\nanswer = "species"\nprediction = "probability"\n'
    'metrics = ["share[gentoo]", "auc", "log_loss", "f1[macro]", "recall[gentoo]"]\nchampion = "f1[macro]"\ntolerance = 0.05',
    limit='metric = "recall[gentoo]"\nat_least = 0.7',
)


@dataclass
class Pipeline:
    """A folder with results, and the rows that they are of."""

    folder: Path
    frame: pl.DataFrame

    def judge(self, champion: pl.DataFrame | None = None) -> dict[str, tuple[str, str]]:
        """Write the results, and return the verdicts on them."""
        said = load_declarations(self.folder / "gates.toml")
        names = said.judging.predicted()

        def predict(inputs: pl.DataFrame) -> np.ndarray:
            answers = self.frame.select(names).to_numpy()
            blind = np.where(inputs["seen"].is_null().to_numpy()[:, None], answers.mean(axis=0), answers)
            return blind if len(names) > 1 else blind[:, 0]

        named = None if champion is None else Champion("v7", champion)
        asked = Asked(self.frame.select("seen"), predict)
        files = judgement(self.frame, said, load_contract(self.folder / "contract.yaml"), asked, named)
        write_judgement(files, self.folder)
        return {one.id: (one.result, one.words) for one in verdicts(self.folder, said)}

    def slices(self) -> dict[str, dict[str, dict[str, float]]]:
        content = json.loads((self.folder / "slices.json").read_text(encoding="utf-8"))
        return {name: one["metrics"] for name, one in content["slices"].items()}


def pipeline(folder: Path, gates: str, frame: pl.DataFrame) -> Pipeline:
    (folder / "gates.toml").write_text(gates, encoding="utf-8")
    (folder / "contract.yaml").write_text(CONTRACT, encoding="utf-8")
    (folder / "card.toml").write_text(f'{CARD}\nmodel = "model.onnx"\n', encoding="utf-8")
    (folder / "model.onnx").write_text("a model", encoding="utf-8")
    (folder / "metrics.json").write_text("{}", encoding="utf-8")
    return Pipeline(folder, frame.with_row_index("key").with_columns(seen=pl.lit(1.0)))


@pytest.fixture
def prices(tmp_path: Path) -> Pipeline:
    """900 prices in three places, with quantiles."""
    random = np.random.default_rng(8)
    price = random.normal(4_000, 800, 900)
    predicted = price + random.normal(0, 200, 900)
    frame = {"price": price, "predicted": predicted, "p10": predicted - 256, "p90": predicted + 256}
    return pipeline(tmp_path, PRICES, pl.DataFrame({**frame, "place": np.array(["a", "b", "c"])[np.arange(900) % 3]}))


@pytest.fixture
def species(tmp_path: Path) -> Pipeline:
    """900 animals of three species on two islands."""
    random = np.random.default_rng(8)
    codes, names = random.integers(0, 3, 900), ("adelie", "gentoo", "king")
    scores = np.exp(random.normal(0, 0.8, (900, 3)) + 2 * np.eye(3)[codes])
    likely = scores / scores.sum(axis=1, keepdims=True)
    columns = {f"probability[{name}]": likely[:, code] for code, name in enumerate(names)}
    island = np.array(["Biscoe", "Dream"])[random.integers(0, 2, 900)]
    return pipeline(tmp_path, SPECIES, pl.DataFrame({"species": np.array(names)[codes], **columns, "place": island}))


def test_a_regression_is_judged_on_every_slice_with_intervals(prices: Pipeline) -> None:
    found = prices.judge()
    assert found["good"][0] == "passed"
    assert "; worst of 3 slices: place " in found["good"][1]
    assert "MAE 1" in found["good"][1]
    assert found["champion"] == ("passed", "first release: there is no champion yet")
    whole, place = prices.slices()["all"], prices.slices()["place a"]
    assert whole["coverage[0.1,0.9]"]["low"] < 0.8 < whole["coverage[0.1,0.9]"]["high"]
    assert whole["bias"]["low"] < 0 < whole["bias"]["high"]
    assert "pinball[0.1]" in whole
    assert "pinball[0.1]" not in place  # 300 rows are too few for what 30 of them make


def test_a_regression_with_150_added_to_every_answer_does_not_pass(prices: Pipeline) -> None:
    champion = prices.frame.select("key", "predicted")
    prices.frame = prices.frame.with_columns(pl.col("predicted") + 150)
    result, words = prices.judge(champion)["champion"]
    assert result == "failed"
    assert words.startswith("improvement in MAE over v7 -")


def costs(rows: Rows) -> np.ndarray:
    """Too little costs five times as much as too much."""
    return np.where(rows.answers > rows.predictions, 5.0, 1.0) * np.abs(rows.answers - rows.predictions)


def test_a_metric_of_one_s_own_decides_like_any_other(prices: Pipeline, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(catalogue, "_OWN", {})
    gates = PRICES.replace('"mae", "rmse"', '"cost", "mae"').replace('champion = "mae"', 'champion = "cost"')
    own = gates.replace("tolerance", 'own = { cost = "lower" }\ntolerance').replace('metric = "mae"', 'metric = "cost"')
    (prices.folder / "gates.toml").write_text(own.replace("at_most = 200", "at_most = 1000"), encoding="utf-8")
    champion = prices.frame.select("key", "predicted")
    with pytest.raises(InputError, match=r"judging\.own names cost, and no metric of that name is registered"):
        prices.judge(champion)
    catalogue.register(smooth("cost", "lower", costs, kind="loss"))
    prices.frame = prices.frame.with_columns(pl.col("predicted") - 50)  # too little, more often
    found = prices.judge(champion)
    assert found["good"][0] == "passed"
    assert found["champion"][1].startswith("improvement in cost over v7 -")


def test_a_champion_from_the_same_seed_is_no_worse(prices: Pipeline) -> None:
    result, words = prices.judge(prices.frame.select("key", "predicted"))["champion"]
    assert result == "passed"
    assert "improvement in MAE over v7 +0.000" in words


def test_classes_are_judged_each_and_together(species: Pipeline) -> None:
    found = species.judge()
    assert found["good"][0] == "passed"
    assert "recall of gentoo 0." in found["good"][1]
    assert set(species.slices()["place Dream"]) == {"share[gentoo]", "auc", "log_loss", "f1[macro]", "recall[gentoo]"}
    blind = json.loads((species.folder / "robustness.json").read_text(encoding="utf-8"))["perturbed"]["nothing known"]
    assert blind["auc"]["estimate"] == 0.5
    assert "share[gentoo]" not in blind


def test_a_class_that_got_worse_on_one_island_turns_the_gate_red(species: Pipeline) -> None:
    names = ["adelie", "gentoo", "king"]
    champion = species.frame.select("key", *(f"probability[{name}]" for name in names))
    lost = (pl.col("place") == "Biscoe") & (pl.col("species") == "gentoo")
    spoilt = {"adelie": 0.9, "gentoo": 0.05, "king": 0.05}
    species.frame = species.frame.with_columns(
        pl.when(lost).then(spoilt[name]).otherwise(f"probability[{name}]").alias(f"probability[{name}]")
        for name in names
    )
    result, words = species.judge(champion)["champion"]
    assert result == "failed"
    assert "; worst of 2 slices: place Biscoe, improvement in mean F1 of the classes over v7 -0." in words
    assert "place Dream" not in words


@pytest.mark.parametrize("kind", ["prices", "species"])
def test_card_and_page_of_any_task_name_its_metrics(kind: str, request: pytest.FixtureRequest) -> None:
    judged: Pipeline = request.getfixturevalue(kind)
    judged.judge()
    said = load_declarations(judged.folder / "gates.toml")
    words = {"prices": "median absolute error", "species": "mean F1 of the classes"}[kind]
    assert words in render("card.md", **read_card(judged.folder, said))
    text = render("report.html", **read_results(judged.folder, Around()))
    assert {"prices": "MAE by slice", "species": "mean F1 of the classes by slice"}[kind] in text
