"""Every metric: equal to scikit-learn's, and with the influence that its rows really have."""

from __future__ import annotations

import warnings
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
import sklearn.metrics as sk
from hypothesis import given, settings
from hypothesis import strategies as st

from onebutton_evaluation.catalogue import BINARY, known_metrics
from onebutton_evaluation.influence import Metric, Rows, smooth

if TYPE_CHECKING:
    from numpy.typing import NDArray

CLASSES = ("adelie", "chinstrap", "gentoo", "king")
LEVELS = (0.1, 0.9)
PROBABILITY = st.sampled_from([0.0, 0.1, 0.25, 0.5, 0.75, 1.0]) | st.floats(0, 1)  # ties are common
JUDGED = st.lists(st.tuples(st.integers(0, 1), PROBABILITY), min_size=1, max_size=40)


def regression(seed: int = 1, count: int = 400) -> Rows:
    random = np.random.default_rng(seed)
    answers = random.normal(10_000, 3, count)  # far from 0, where carelessly summed squares lose their digits
    predictions = answers + random.standard_t(4, count)
    return Rows(answers, predictions, quantiles={0.1: predictions - 1.2, 0.9: predictions + 1.2})


def classes(size: int, *, ties: bool = False, count: int = 600) -> Rows:
    random = np.random.default_rng(size)
    odds = np.array([0.5, 0.3, 0.15, 0.05])[:size]
    answers = random.choice(size, count, p=odds / odds.sum())
    scores = np.exp(random.normal(0, 1, (count, size)) + 1.5 * np.eye(size)[answers])
    likely = scores / scores.sum(axis=1, keepdims=True)
    if ties:
        likely = np.round(likely, 2) + 0.005
        likely /= likely.sum(axis=1, keepdims=True)
    if size == 2:
        return Rows(answers.astype(float), likely[:, 1], classes=BINARY)
    return Rows(answers.astype(float), likely, classes=CLASSES[:size])


def estimates(known: dict[str, Metric], rows: Rows) -> dict[str, float]:
    measured = {name: metric.measure(rows) for name, metric in known.items()}
    return {name: one.estimate for name, one in measured.items() if one is not None}


def of_scikit_learn(rows: Rows) -> dict[str, float]:
    """Ask scikit-learn for every metric of called classes."""
    answers, called = rows.codes, rows.called
    expected = {"accuracy": sk.accuracy_score(answers, called), "kappa": sk.cohen_kappa_score(answers, called)}
    scores: dict[str, Callable[..., Any]] = {
        "precision": sk.precision_score,
        "recall": sk.recall_score,
        "f1": sk.f1_score,
    }
    for name, score in scores.items():
        each = score(answers, called, average=None)
        expected |= {f"{name}[{label}]": each[code] for code, label in enumerate(rows.classes)}
        expected[f"{name}[macro]"] = score(answers, called, average="macro")
    return expected


def test_the_estimates_of_a_regression_are_those_of_scikit_learn() -> None:
    rows = regression()
    answers, predictions = rows.answers, rows.predictions
    low, high = rows.quantiles[0.1], rows.quantiles[0.9]
    assert estimates(known_metrics("regression", (), LEVELS), rows) == pytest.approx(
        {
            "mae": sk.mean_absolute_error(answers, predictions),
            "rmse": sk.root_mean_squared_error(answers, predictions),
            "r2": sk.r2_score(answers, predictions),
            "bias": (predictions - answers).mean(),
            "median_ae": sk.median_absolute_error(answers, predictions),
            "pinball[0.1]": sk.mean_pinball_loss(answers, low, alpha=0.1),
            "pinball[0.9]": sk.mean_pinball_loss(answers, high, alpha=0.9),
            "coverage[0.1,0.9]": ((low <= answers) & (answers <= high)).mean(),
        },
        rel=1e-9,
    )


@pytest.mark.parametrize("ties", [False, True])
def test_the_estimates_of_a_binary_task_are_those_of_scikit_learn(*, ties: bool) -> None:
    rows = classes(2, ties=ties)
    answers, predictions = rows.answers, rows.predictions
    assert estimates(known_metrics("binary"), rows) == pytest.approx(
        {
            "share": answers.mean(),
            "bias": (predictions - answers).mean(),
            "log_loss": sk.log_loss(answers, predictions),
            "brier": sk.brier_score_loss(answers, predictions),
            "auc": sk.roc_auc_score(answers, predictions),
            "average_precision": sk.average_precision_score(answers, predictions),
            **of_scikit_learn(rows),
        },
        rel=1e-9,
    )


@pytest.mark.parametrize("ties", [False, True])
@pytest.mark.parametrize("size", [3, 4])
def test_the_estimates_of_classes_are_those_of_scikit_learn(size: int, *, ties: bool) -> None:
    rows = classes(size, ties=ties)
    codes, likely = rows.codes, rows.predictions
    assert estimates(known_metrics("multiclass", rows.classes), rows) == pytest.approx(
        {
            **{f"share[{label}]": (codes == code).mean() for code, label in enumerate(rows.classes)},
            "log_loss": sk.log_loss(codes, likely),
            "brier": sk.brier_score_loss(codes, likely, scale_by_half=False),
            "auc": sk.roc_auc_score(codes, likely, multi_class="ovr"),
            "average_precision": sk.average_precision_score(np.eye(size)[codes], likely, average="macro"),
            **of_scikit_learn(rows),
        },
        rel=1e-9,
    )


@settings(deadline=None)
@given(rows=JUDGED)
def test_binary_estimates_are_those_of_scikit_learn_on_any_rows(rows: list[tuple[int, float]]) -> None:
    answers, predictions = np.array([row[0] for row in rows]), np.array([row[1] for row in rows])
    found = estimates(known_metrics("binary"), Rows(answers.astype(float), predictions, classes=BINARY))
    assert found["log_loss"] == pytest.approx(sk.log_loss(answers, predictions, labels=[0, 1]))
    assert found["brier"] == pytest.approx(sk.brier_score_loss(answers, predictions, labels=[0, 1], scale_by_half=True))
    if len(set(answers.tolist())) == 2:
        assert found["auc"] == pytest.approx(sk.roc_auc_score(answers, predictions))
        assert found["average_precision"] == pytest.approx(sk.average_precision_score(answers, predictions))
    else:
        assert "auc" not in found


@settings(deadline=None)
@given(rows=JUDGED)
def test_the_influence_of_all_rows_together_is_nothing(rows: list[tuple[int, float]]) -> None:
    judged = Rows(np.array([float(row[0]) for row in rows]), np.array([row[1] for row in rows]), classes=BINARY)
    for metric in known_metrics("binary").values():
        measured = metric.measure(judged)
        if measured is not None:
            assert measured.influence.sum() == pytest.approx(0, abs=1e-8)


def moved(metric: Metric, rows: Rows, place: int, weight: int = 200) -> float:
    """Let a row weigh a little more, and return how the metric moves for it: the influence that it really has."""
    heavier = np.append(np.repeat(np.arange(len(rows)), weight), place)
    before, after = metric.measure(rows), metric.measure(rows.take(heavier))
    assert before is not None
    assert after is not None
    return (after.estimate - before.estimate) * len(heavier)


@pytest.mark.parametrize(
    ("known", "rows"),
    [
        (known_metrics("regression", (), LEVELS), regression(count=150)),
        (known_metrics("binary"), classes(2, ties=True, count=150)),
        (known_metrics("multiclass", CLASSES[:3]), classes(3, count=150)),
    ],
    ids=["regression", "binary", "multiclass"],
)
def test_the_influence_says_how_a_metric_moves_when_a_row_weighs_a_little_more(
    known: dict[str, Metric], rows: Rows
) -> None:
    for metric in known.values():
        measured = metric.measure(rows)
        assert measured is not None
        if metric.kind == "quantile":  # it moves in steps
            continue
        largest = np.abs(measured.influence).max()
        for place in range(0, 150, 29):
            assert moved(metric, rows, place) == pytest.approx(measured.influence[place], abs=1e-3 * largest), (
                metric.name
            )


def test_without_rows_nothing_is_measured() -> None:
    for rows, known in (
        (regression(), known_metrics("regression", (), LEVELS)),
        (classes(2), known_metrics("binary")),
        (classes(3), known_metrics("multiclass", CLASSES[:3])),
    ):
        nothing = rows.take(np.zeros(len(rows), dtype=np.bool_))
        assert {metric.measure(nothing) for metric in known.values()} == {None}


def test_a_class_that_is_never_called_has_a_precision_of_nothing_in_the_mean_as_in_scikit_learn() -> None:
    rows = classes(3)
    likely = rows.predictions * np.array([1.0, 1.0, 0.0])
    never = Rows(rows.answers, likely, classes=rows.classes)
    measured = known_metrics("multiclass", rows.classes)["precision[macro]"].measure(never)
    assert measured is not None
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        assert measured.estimate == pytest.approx(sk.precision_score(never.codes, never.called, average="macro"))


def correlated(means: Any) -> Any:
    both, ours, theirs, our_square, their_square = (means[place] for place in range(5))
    return (both - ours * theirs) / np.sqrt((our_square - ours**2) * (their_square - theirs**2))


def products(rows: Rows) -> NDArray[np.float64]:
    one, other = rows.predictions - 10_000, rows.answers - 10_000
    return np.column_stack([one * other, one, other, one**2, other**2])


def test_a_team_s_own_metric_is_five_lines_and_has_the_influence_of_any_other() -> None:
    own = smooth("correlation", "higher", products, correlated, kind="agreement")
    measured = own.measure(regression(count=150))
    assert measured is not None
    expected = np.corrcoef(regression(count=150).answers, regression(count=150).predictions)[0, 1]
    assert measured.estimate == pytest.approx(expected)
    assert moved(own, regression(count=150), 7) == pytest.approx(measured.influence[7], abs=1e-4)


@pytest.mark.parametrize(
    "value",
    [lambda means: abs(means[0]) * means[1] ** 2, lambda means: means[0] if means[1] > 0 else means[0] * means[1] ** 2],
    ids=["abs", "comparison"],
)
def test_a_metric_of_one_s_own_may_be_any_function_of_means(value: Callable[[Any], Any]) -> None:
    rows = regression(count=150)
    own = smooth("worst", "lower", lambda rows: np.column_stack([-rows.answers, rows.predictions - 10_002]), value)
    measured = own.measure(rows)
    assert measured is not None
    largest = np.abs(measured.influence).max()
    assert moved(own, rows, 7) == pytest.approx(measured.influence[7], abs=1e-2 * largest)
