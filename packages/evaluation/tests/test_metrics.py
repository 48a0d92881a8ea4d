from __future__ import annotations

import math
import subprocess
import sys
from typing import TYPE_CHECKING, Any

import numpy as np
import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.metrics import log_loss, roc_auc_score, roc_curve

from onebutton_evaluation.catalogue import BINARY
from onebutton_evaluation.curves import roc_points
from onebutton_evaluation.declarations import Judging
from onebutton_evaluation.influence import Rows
from onebutton_evaluation.metrics import calibration_curve, calibration_error, metrics, metrics_by

if TYPE_CHECKING:
    from numpy.typing import NDArray

# A few probabilities come often, so that ties are common.
PROBABILITY = st.sampled_from([0.0, 0.1, 0.25, 0.5, 0.75, 1.0]) | st.floats(0, 1)
JUDGED = st.lists(st.tuples(st.integers(0, 1), PROBABILITY), min_size=1, max_size=40)


JUDGING = Judging(
    owner="us",
    answer="late",
    prediction="probability",
    metrics=("share", "auc", "log_loss", "bias"),
    champion="auc",
    tolerance=0.01,
)


def judged_rows(answers: NDArray[Any], probabilities: NDArray[Any]) -> Rows:
    return Rows(answers.astype(np.float64), probabilities.astype(np.float64), classes=BINARY)


def measured(answers: NDArray[Any], probabilities: NDArray[Any], bins: int) -> dict[str, float | int]:
    return metrics(judged_rows(answers, probabilities), JUDGING, bins)


def columns(rows: list[tuple[int, float]]) -> tuple[NDArray[np.int64], NDArray[np.float64]]:
    return np.array([row[0] for row in rows]), np.array([row[1] for row in rows])


def honest(seed: int, rows: int = 20_000) -> tuple[NDArray[np.int64], NDArray[np.float64]]:
    """Simulate a model whose probabilities are those by which the answers come about."""
    random = np.random.default_rng(seed)
    probabilities = random.beta(1.5, 4, rows)
    return (random.random(rows) < probabilities).astype(np.int64), probabilities


@settings(deadline=None)
@given(rows=JUDGED)
def test_the_metrics_are_those_of_their_definitions_and_of_scikit_learn(rows: list[tuple[int, float]]) -> None:
    answers, probabilities = columns(rows)
    judged = measured(answers, probabilities, bins=10)
    assert judged["rows"] == len(rows)
    assert judged["share"] == pytest.approx(sum(answers) / len(rows), abs=1e-6)
    assert judged["log_loss"] == pytest.approx(log_loss(answers, probabilities, labels=[0, 1]), abs=1e-6)
    pairs = [(yes > no) + (yes == no) / 2 for yes in probabilities[answers == 1] for no in probabilities[answers == 0]]
    if pairs:
        assert judged["auc"] == pytest.approx(sum(pairs) / len(pairs), abs=1e-6)
        assert judged["auc"] == pytest.approx(roc_auc_score(answers, probabilities), abs=1e-6)
    else:
        assert "auc" not in judged


@settings(deadline=None)
@given(rows=JUDGED, bins=st.integers(1, 12))
def test_the_calibration_curve_is_that_of_its_definition(rows: list[tuple[int, float]], bins: int) -> None:
    found: dict[int, list[tuple[int, float]]] = {}
    for row in sorted(rows, key=lambda row: row[1]):
        below = sum(other[1] < row[1] for other in rows)
        among = sum(other[1] == row[1] for other in rows)
        place = below + (among - 1) / 2  # where it stands, counted from 0; equal probabilities stand together
        found.setdefault(int(place * bins // len(rows)), []).append(row)
    curve = calibration_curve(judged_rows(*columns(rows)), bins)
    assert curve["rows"].to_list() == [len(part) for part in found.values()]
    for predicted, observed, part in zip(curve["predicted"], curve["observed"], found.values(), strict=True):
        assert predicted == pytest.approx(sum(row[1] for row in part) / len(part))
        assert observed == pytest.approx(sum(row[0] for row in part) / len(part))
    error = sum(abs(sum(row[1] - row[0] for row in part)) for part in found.values()) / len(rows)
    assert calibration_error(curve) == pytest.approx(error)


def test_a_perfect_model_ranks_all_and_loses_nothing() -> None:
    answers = np.array([0, 1, 1, 0, 1])
    judged = measured(answers, answers.astype(np.float64), bins=2)
    assert judged == {"rows": 5, "share": 0.6, "auc": 1.0, "log_loss": 0.0, "calibration_error": 0.0}


def test_a_model_that_is_certain_and_wrong_loses_much_but_not_without_end() -> None:
    answers = np.array([0, 1, 1, 0])
    judged = measured(answers, 1.0 - answers, bins=2)
    assert judged["auc"] == 0.0
    assert judged["calibration_error"] == 1.0
    assert 30 < judged["log_loss"] < 40


def test_always_saying_the_share_ranks_by_chance_and_is_calibrated() -> None:
    answers = np.array([1, 0, 0, 0])
    judged = measured(answers, np.full(4, 0.25), bins=10)
    entropy = -0.25 * math.log(0.25) - 0.75 * math.log(0.75)
    assert judged["auc"] == 0.5
    assert judged["log_loss"] == pytest.approx(entropy, abs=1e-6)
    assert judged["calibration_error"] == 0.0


@pytest.mark.parametrize("answer", [0, 1])
def test_where_one_answer_occurs_the_auc_is_left_out_and_the_rest_stays(answer: int) -> None:
    judged = measured(np.full(3, answer), np.array([0.2, 0.3, 0.4]), bins=2)
    assert set(judged) == {"rows", "share", "log_loss", "calibration_error"}
    assert judged["share"] == answer
    assert judged["calibration_error"] == pytest.approx(abs(answer - 0.3), abs=1e-6)


def test_numbers_are_short_enough_to_read() -> None:
    judged = measured(*honest(1, 1000), bins=10)
    assert all(len(str(value)) <= 8 for value in judged.values())


@pytest.mark.parametrize("seed", range(5))
def test_an_honest_model_lies_on_the_diagonal_within_chance(seed: int) -> None:
    answers, probabilities = honest(seed)
    curve = calibration_curve(judged_rows(answers, probabilities), bins=10)
    assert curve["rows"].to_list() == [2000] * 10
    for predicted, observed, rows in curve.select("predicted", "observed", "rows").iter_rows():
        chance = math.sqrt(predicted * (1 - predicted) / rows)
        assert abs(predicted - observed) < 4 * chance
    assert measured(answers, probabilities, bins=10)["calibration_error"] < 0.015


@pytest.mark.parametrize(
    "bend", [lambda p: p**2, np.sqrt, lambda p: 0.3 + 0.4 * p], ids=["too low", "too high", "too timid"]
)
def test_a_dishonest_model_leaves_the_diagonal_though_it_ranks_as_well(bend: Any) -> None:
    answers, probabilities = honest(0)
    true, bent = measured(answers, probabilities, bins=10), measured(answers, bend(probabilities), bins=10)
    assert bent["auc"] == true["auc"]
    assert true["calibration_error"] < 0.015
    assert bent["calibration_error"] > 0.05
    assert bent["log_loss"] > true["log_loss"]


def test_equal_probabilities_share_a_bin() -> None:
    answers = np.array([0, 1] * 50)
    probabilities = np.array([0.2] * 60 + [0.7] * 40)
    curve = calibration_curve(judged_rows(answers, probabilities), bins=10)
    assert curve.to_dict(as_series=False) == {
        "predicted": pytest.approx([0.2, 0.7]),
        "observed": [0.5, 0.5],
        "rows": [60, 40],
    }


def test_the_roc_curve_goes_from_corner_to_corner_and_never_back() -> None:
    curve = roc_points(judged_rows(*honest(0)), points=200)
    assert 100 < curve.height <= 200
    assert curve.row(0) == (0.0, 0.0)
    assert curve.row(-1) == (1.0, 1.0)
    for rates in curve:
        assert rates.is_sorted()


def test_few_points_of_the_roc_curve_hold_the_same_area() -> None:
    answers, probabilities = honest(0)
    curve = roc_points(judged_rows(answers, probabilities))
    area = np.trapezoid(curve["true_positive_rate"], curve["false_positive_rate"])
    assert area == pytest.approx(measured(answers, probabilities, bins=10)["auc"], abs=2e-3)


@settings(deadline=None)
@given(rows=JUDGED.filter(lambda rows: len({answer for answer, _ in rows}) == 2), points=st.integers(2, 10))
def test_every_roc_curve_goes_from_corner_to_corner_and_never_back(rows: list[tuple[int, float]], points: int) -> None:
    curve = roc_points(judged_rows(*columns(rows)), points)
    assert (curve.row(0), curve.row(-1)) == ((0.0, 0.0), (1.0, 1.0))
    assert all(rates.is_sorted() for rates in curve)


SCORED = pl.DataFrame(
    {
        "month": [10, 7, 10, 7, 12],
        "origin": ["LGA", "EWR", "EWR", "LGA", "EWR"],
        "weekend": [False, True, True, False, False],
        "late": [1, 0, 0, 1, 1],
        "probability": [0.6, 0.2, 0.7, 0.4, 0.9],
    }
)


@pytest.mark.parametrize(
    ("column", "parts"),
    [("month", ["07", "10", "12"]), ("origin", ["EWR", "LGA"]), ("weekend", ["False", "True"])],
)
def test_parts_are_named_by_their_values_and_sorted(column: str, parts: list[str]) -> None:
    names = list(metrics_by(SCORED, column, JUDGING, bins=2))
    assert names == parts == sorted(names)


def test_each_part_is_judged_by_its_own_rows() -> None:
    by_month = metrics_by(SCORED, "month", JUDGING, bins=2)
    assert by_month["07"] == measured(np.array([0, 1]), np.array([0.2, 0.4]), bins=2)
    assert by_month["07"]["auc"] == 1.0
    assert by_month["10"]["auc"] == 0.0
    assert "auc" not in by_month["12"]
    assert sum(numbers["rows"] for numbers in by_month.values()) == SCORED.height


@settings(deadline=None)
@given(rows=JUDGED.filter(lambda rows: len({answer for answer, _ in rows}) > 1))
def test_the_roc_curve_is_that_of_scikit_learn(rows: list[tuple[int, float]]) -> None:
    answers, probabilities = columns(rows)
    false_positive, true_positive, _ = roc_curve(answers, probabilities)
    drawn = roc_points(judged_rows(answers, probabilities))
    assert drawn["false_positive_rate"].to_list() == pytest.approx(false_positive, abs=1e-6)
    assert drawn["true_positive_rate"].to_list() == pytest.approx(true_positive, abs=1e-6)


def test_judging_rows_does_not_wait_for_scikit_learn() -> None:
    """Its import took longer than all the judging of a stage."""
    program = (
        "import sys, numpy\nfrom onebutton_evaluation import evaluate\nfrom onebutton_evaluation.curves import curves\n"
        "from onebutton_evaluation.influence import Rows\n"
        "curves(Rows(numpy.array([0.0, 1.0]), numpy.array([0.2, 0.3]), classes=('0', '1')), 10, [])\n"
        "print('sklearn' in sys.modules)"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert done.stdout == "False\n"
