"""The page of each task, from its stage to what a reader sees, and the importance of inputs."""

import re
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import pytest
from packages.evaluation.tests.test_evaluate import TASKS, write

from onebutton_evaluation import evaluate
from onebutton_evaluation.catalogue import known_metrics
from onebutton_evaluation.influence import Rows
from onebutton_evaluation.pages import render
from onebutton_evaluation.report import Around, read_results
from onebutton_evaluation.robustness import MOST_ROWS, Asked, importance

CARD = 'title = "A model"\npredicts = "P"\nowner = "O"\ndata = "D"\nintended = "I"\nforbidden = "F"\nlimits = "L"\npeople = "P"\n'
MORE = {
    "binary": ("thresholds", "importance"),
    "multiclass": ("classes", "importance"),
    "regression": ("residuals_by_slice", "coverage", "importance"),
}
SHOWN = {
    "binary": {"ROC", "Calibration", "Thresholds", "Thresholds in numbers"},
    "multiclass": {"Confusion matrix", "Costliest confusions", "Class by class"},
    "regression": {"Predicted against observed", "Errors by prediction", "Coverage", "Errors by slice"},
}


def shown(folder: Path) -> str:
    """What a reader sees of the page: no tags, single blanks."""
    text = render("report.html", **read_results(folder, Around()))
    return " ".join(re.sub(r"<style>.*?</style>|<[^>]+>", " ", text, flags=re.DOTALL).split())


def judged(folder: Path, kind: str, more: tuple[str, ...] = ()) -> None:
    """Run the stage in a folder with all plots of its task, and what others it declares."""
    write(folder, replace(TASKS[kind], plots=(*TASKS[kind].plots, *MORE[kind], *more)))
    (folder / "card.toml").write_text(CARD, encoding="utf-8")
    evaluate.main()


@pytest.mark.parametrize("kind", TASKS)
def test_a_page_has_what_its_task_has_and_nothing_of_another(
    kind: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    judged(tmp_path, kind)
    words = shown(tmp_path)
    assert all(heading in words for heading in SHOWN[kind])
    foreign = set().union(*(headings for other, headings in SHOWN.items() if other != kind))
    assert not [heading for heading in foreign if f" {heading} " in words]
    method = {"binary": "DeLong", "multiclass": "delta method, log scale", "regression": "delta method, log scale"}
    assert f"Intervals: {method[kind]}" in words
    assert "each input is shuffled among 600 rows" in words
    assert words.index("first +") < words.index("second +")  # the first input tells more


def test_what_dvc_yaml_does_not_declare_is_not_drawn(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    judged(tmp_path, "regression")
    stray = pl.DataFrame({"false_positive_rate": [0.0, 1.0], "true_positive_rate": [0.0, 1.0]})
    stray.write_csv(tmp_path / "plots/roc.csv")
    assert "ROC" not in shown(tmp_path)


def test_a_team_s_own_plot_is_drawn_by_its_title_where_it_has_numbers(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    judged(tmp_path, "multiclass")
    pl.DataFrame({"trees": [1, 2], "loss": [0.5, 0.4]}).write_csv(tmp_path / "plots/growth.csv")
    pl.DataFrame({"word": ["a", "b"], "loss": [0.5, 0.4]}).write_csv(tmp_path / "plots/words.csv")
    own = "{plots/growth.csv: {title: While growing, x: trees, y: loss}}, {plots/words.csv: {title: By word, x: word, y: loss}}"
    declared = (tmp_path / "dvc.yaml").read_text(encoding="utf-8")
    (tmp_path / "dvc.yaml").write_text(declared.replace("plots: [", f"plots: [{own}, "), encoding="utf-8")
    words = shown(tmp_path)
    assert "While growing" in words
    assert "By word" not in words


def test_the_costliest_confusion_is_the_one_with_most_of_the_log_loss(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    judged(tmp_path, "multiclass")
    wrong = pl.read_csv("plots/confusion.csv").filter(pl.col("answer") != pl.col("called"))
    worst = wrong.sort("log_loss", descending=True).row(0, named=True)
    part = shown(tmp_path).partition("of the log loss ")[2]
    assert part.startswith(f"{worst['answer']} {worst['called']} {worst['rows']} ")
    assert pl.read_csv("plots/confusion.csv")["log_loss"].sum() == pytest.approx(1, abs=1e-5)


def sums(inputs: pl.DataFrame) -> np.ndarray[Any, Any]:
    return (inputs["much"] + inputs["little"] / 4).to_numpy()


def test_importance_tells_much_from_little_from_nothing_on_some_of_many_rows() -> None:
    random = np.random.default_rng(3)
    inputs = pl.DataFrame({name: random.normal(0, 1, MOST_ROWS + 5000) for name in ("unused", "little", "much")})
    answers = sums(inputs) + random.normal(0, 0.5, inputs.height)
    rows = Rows(answers, sums(inputs))
    found, again = (importance(rows, Asked(inputs, sums), known_metrics("regression")["mae"]) for _ in range(2))
    assert found.equals(again)
    assert found["input"].to_list() == ["much", "little", "unused"]
    assert found["rows"].unique().to_list() == [MOST_ROWS]
    assert found["low"][0] > found["high"][1]
    assert found["low"][1] > 0
    assert found.row(2)[1:4] == pytest.approx((0, 0, 0), abs=1e-12)


def test_the_interval_of_importance_is_wider_where_rows_belong_together() -> None:
    random = np.random.default_rng(5)
    days = np.repeat(np.arange(50), 40)
    inputs = pl.DataFrame({"much": random.normal(0, 1, 50)[days], "little": random.normal(0, 1, 2000)})
    answers = sums(inputs) + random.normal(0, 0.5, 2000)
    rows = Rows(answers, sums(inputs))
    mae = known_metrics("regression")["mae"]
    alone, together = (
        importance(one, Asked(inputs, sums), mae).row(0, named=True) for one in (rows, replace(rows, units=days))
    )
    assert alone["importance"] == together["importance"]
    assert together["high"] - together["low"] > 1.5 * (alone["high"] - alone["low"])


def test_the_interval_of_importance_holds_the_truth_as_often_as_it_says() -> None:
    random, held = np.random.default_rng(8), 0
    mae = known_metrics("regression")["mae"]
    truth = np.sqrt(2 / np.pi) * (
        np.sqrt(2 + 0.25) - 0.5
    )  # of normal errors, with variance 2 more once `much` is another's
    for _ in range(200):
        inputs = pl.DataFrame({name: random.normal(0, 1, 200) for name in ("much", "little")})
        rows = Rows(sums(inputs) + random.normal(0, 0.5, 200), sums(inputs))
        found = importance(rows, Asked(inputs, sums), mae).row(0, named=True)
        held += found["low"] <= truth <= found["high"]
    assert held >= 184
