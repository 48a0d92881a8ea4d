"""The page of a pipeline whose team writes into `metrics.json` what it likes."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from onebutton_evaluation.card_text import CardText
from onebutton_evaluation.declarations import Declarations, HoldoutGate, Judging, SliceRule
from onebutton_evaluation.report import Around, Results, page
from onebutton_evaluation.slices import find_slices, judge

if TYPE_CHECKING:
    import polars as pl


def results(metrics: dict[str, Any], other: dict[str, Any], days: pl.DataFrame, judging: Judging) -> Results:
    parts = find_slices(days, [SliceRule(by=("part",))])
    slices = judge(days, parts, judging)
    return Results(
        name="prices",
        said=Declarations(judging=judging, gates=(HoldoutGate(id="holdout", why="Of use.", check="holdout"),)),
        text=CardText(
            title="Prices",
            predicts="What a flat costs.",
            owner="us",
            data="",
            intended="",
            forbidden="",
            limits="",
            people="",
        ),
        draft=False,
        verdicts=[],
        metrics=metrics,
        slices={"answer_label": "late flats", "unit": "day", "slices": slices},
        comparison={"champion": {"name": None, "in_words": "first release"}},
        robustness={"perturbed": {}},
        curves={},
        axes={},
        around=Around(other=other),
    )


@pytest.mark.parametrize("training", [0.3, None, "not yet", {"share": None}, {"share": "a third"}])
def test_a_page_is_written_whatever_training_is_called_in_the_metrics(
    training: object, days: pl.DataFrame, judging: Judging
) -> None:
    text = page(results({"training": training}, {}, days, judging))
    assert "Late flats by part" in text
    assert "in training" not in text


def test_a_metric_that_is_no_number_is_not_compared_with_that_of_before(days: pl.DataFrame, judging: Judging) -> None:
    for before, now in ((0.7, None), ("old", 0.7)):
        text = page(results({"model": {"auc": now}}, {"model": {"auc": before}}, days, judging))
        assert "not known: metrics.json has no number model.auc" in text
    assert "-0.05, was 0.750" in page(results({"model": {"auc": 0.7}}, {"model": {"auc": 0.75}}, days, judging))
