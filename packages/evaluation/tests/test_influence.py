from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.metrics import accuracy_score, brier_score_loss, log_loss, roc_auc_score

from onebutton_evaluation.influence import METRICS, sorted_rows, take

if TYPE_CHECKING:
    from numpy.typing import NDArray

PROBABILITY = st.sampled_from([0.0, 0.1, 0.25, 0.5, 0.75, 1.0]) | st.floats(0, 1)  # ties are common
JUDGED = st.lists(st.tuples(st.integers(0, 1), PROBABILITY), min_size=1, max_size=40)


def measure(name: str, answers: NDArray[np.int64], predictions: NDArray[np.float64]) -> float | None:
    measured = METRICS[name].measure(sorted_rows(answers, predictions)[0])
    return None if measured is None else measured[0]


@settings(deadline=None)
@given(rows=JUDGED)
def test_every_metric_is_that_of_scikit_learn(rows: list[tuple[int, float]]) -> None:
    answers, predictions = np.array([row[0] for row in rows]), np.array([row[1] for row in rows])
    assert measure("log_loss", answers, predictions) == pytest.approx(log_loss(answers, predictions, labels=[0, 1]))
    assert measure("brier", answers, predictions) == pytest.approx(
        brier_score_loss(answers, predictions, labels=[0, 1], scale_by_half=True)
    )
    assert measure("share", answers, predictions) == pytest.approx(answers.mean())
    assert measure("bias", answers, predictions) == pytest.approx(predictions.mean() - answers.mean(), abs=1e-12)
    assert measure("accuracy", answers, np.round(predictions)) == accuracy_score(answers, np.round(predictions))
    if len(set(answers.tolist())) == 2:
        assert measure("auc", answers, predictions) == pytest.approx(roc_auc_score(answers, predictions))
    else:
        assert measure("auc", answers, predictions) is None


@settings(deadline=None)
@given(rows=JUDGED)
def test_the_influence_of_all_rows_together_is_nothing(rows: list[tuple[int, float]]) -> None:
    judged, _ = sorted_rows([row[0] for row in rows], [row[1] for row in rows])
    for metric in METRICS.values():
        measured = metric.measure(judged)
        if measured is not None:
            assert measured[1].sum() == pytest.approx(0, abs=1e-9)


def test_the_influence_says_how_the_auc_moves_when_a_row_weighs_a_little_more() -> None:
    random = np.random.default_rng(3)
    answers, predictions = random.integers(0, 2, 60), np.round(random.random(60), 1)
    rows, order = sorted_rows(answers, predictions)
    measured = METRICS["auc"].measure(rows)
    assert measured is not None
    for place in range(0, 60, 7):
        weights = np.ones(60)
        weights[order[place]] += 1e-5
        moved = roc_auc_score(answers, predictions, sample_weight=weights)
        assert (moved - measured[0]) / 1e-5 * 60 == pytest.approx(measured[1][place], abs=1e-3)


def test_without_rows_nothing_is_measured() -> None:
    nothing = take(sorted_rows([0, 1], [0.2, 0.8])[0], np.array([False, False]))
    assert [metric.measure(nothing) for metric in METRICS.values()] == [None] * len(METRICS)
