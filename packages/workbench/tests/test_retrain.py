"""The months that a retraining moves on to, and the sentence that says whether it helps."""

from copy import deepcopy
from typing import Any

import pytest

from onebutton_contracts.errors import InputError
from onebutton_workbench.files import edit_yaml
from onebutton_workbench.lineage.months import move
from onebutton_workbench.runs.retrain import sentence

UNTIL = "2013-09"
BY_NUMBER = {
    "train": {"fit_months": [1, 2, 3, 4, 5], "tune_months": [6]},
    "evaluate": {"test_months": [7, 8, 9, 10, 11, 12]},
    "retrain": {"train.fit_months": ["first", 2], "train.tune_months": [1, 1], "evaluate.test_months": [0, 0]},
}


def with_interval(estimate: float, low: float, high: float) -> dict[str, float]:
    return {"estimate": estimate, "low": low, "high": high}


def comparison(verdict: str, difference: dict[str, float] | None) -> dict[str, Any]:
    whole = {"verdict": verdict, "rows": 27020} | ({"difference": difference} if difference else {})
    slices = {"all": whole, "to Honolulu": {"verdict": "not enough data", "rows": 31}}
    return {"name": "20130701-0123abcd", "metric": "log_loss", "slices": slices, "in_words": "no difference seen"}


def moved(params: dict[str, Any], until: str) -> dict[str, Any]:
    """Move a copy on."""
    copied = deepcopy(params)
    move(copied, until)
    return copied


def test_months_move_on_by_the_rule_and_never_meet() -> None:
    assert moved(BY_NUMBER, UNTIL) == {
        "train": {"fit_months": [1, 2, 3, 4, 5, 6, 7], "tune_months": [8]},
        "evaluate": {"test_months": [9]},
        "retrain": BY_NUMBER["retrain"],
        "retrained_until": "2013-09",
    }


def test_a_list_of_months_keeps_its_comment_and_its_brackets() -> None:
    text = "train:\n  months: [1, 2] # of a year\nretrain:\n  train.months: [first, 0]\n"
    said = edit_yaml(text, lambda params: move(params, UNTIL))
    assert said.startswith("train:\n  months: [1, 2, 3, 4, 5, 6, 7, 8, 9] # of a year\n")


def test_months_that_name_their_year_cross_it() -> None:
    params = {"train": {"months": ["2012-11"]}, "retrain": {"train.months": ["first", 8]}}
    assert moved(params, UNTIL)["train"]["months"] == ["2012-11", "2012-12", "2013-01"]


def test_a_day_that_begins_the_holdout_becomes_the_first_of_a_month() -> None:
    params = {"split": {"holdout_from": "2013-07-01"}, "retrain": {"split.holdout_from": [2, 0]}}
    assert moved(params, UNTIL)["split"]["holdout_from"] == "2013-07-01"
    assert moved(params, "2013-12")["split"]["holdout_from"] == "2013-10-01"


@pytest.mark.parametrize(
    ("params", "until", "says"),
    [
        ({}, UNTIL, "no section `retrain`"),
        (
            BY_NUMBER | {"retrain": {"train.months": [0, 0]}},
            UNTIL,
            "retrain names train.months, which is neither a list of months",
        ),
        (BY_NUMBER, "2013-02", "UNTIL=2013-02 leaves train.fit_months of params.yaml without a month"),
        ({"from": 7, "retrain": {"from": [0, 0]}}, UNTIL, "neither a list of months nor a day"),
        ({"from": "2013-07-01", "retrain": {"from": ["first", 0]}}, UNTIL, "neither a list of months nor a day"),
        (BY_NUMBER | {"retrain": {"evaluate.test_months": [3, 0]}}, "2014-01", "or with months of two years"),
    ],
)
def test_a_rule_that_leads_nowhere_is_named(params: dict[str, Any], until: str, says: str) -> None:
    with pytest.raises(InputError, match=says):
        moved(params, until)


def test_the_sentence_says_when_retraining_does_not_help() -> None:
    said = sentence(comparison("no difference", with_interval(0.003, -0.004, 0.010)), "2013-12")
    assert said.startswith(
        "no difference after Holm over 1 slices: +0.003 (95 % interval -0.004 to +0.010) log loss beside 20130701-0123abcd, "
        "27,020 rows; "
        "retraining does not mend 2013-12."
    )
    assert "retraining helps" in sentence(comparison("better", with_interval(0.02, 0.01, 0.03)), "2013-12")
    assert "nothing says that retraining helps" in sentence(comparison("not enough data", None), "2013-12")
