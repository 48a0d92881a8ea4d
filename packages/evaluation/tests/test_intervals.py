from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

from onebutton_evaluation.influence import METRICS, sorted_rows
from onebutton_evaluation.intervals import interval

Draw = Callable[..., dict[str, Any]]
NAMES = ("share", "auc", "log_loss", "brier", "bias")


def test_the_interval_of_a_share_is_wilsons() -> None:
    judged = interval(sorted_rows([1] * 10 + [0] * 90, np.linspace(0, 1, 100))[0], METRICS["share"])
    assert judged is not None
    assert judged.method == "Wilson"
    assert (judged.low, judged.high) == pytest.approx((0.0552, 0.1744), abs=1e-4)  # as printed in textbooks


def test_a_share_of_nothing_is_not_surely_nothing() -> None:
    judged = interval(sorted_rows([0] * 50, np.linspace(0, 1, 50))[0], METRICS["share"])
    assert judged is not None
    assert judged.low == pytest.approx(0, abs=1e-9)
    assert judged.high == pytest.approx(0.0714, abs=1e-4)


def test_the_error_of_an_auc_is_delongs() -> None:
    random = np.random.default_rng(1)
    answers, predictions = (
        np.repeat([0, 1], [120, 80]),
        np.round(np.concatenate([random.random(120), random.beta(2, 1, 80)]), 2),
    )
    wins = (predictions[120:, None] > predictions[:120]) + 0.5 * (predictions[120:, None] == predictions[:120])
    delong = math.sqrt(wins.mean(axis=1).var(ddof=1) / 80 + wins.mean(axis=0).var(ddof=1) / 120)
    judged = interval(sorted_rows(answers, predictions)[0], METRICS["auc"])
    assert judged is not None
    assert judged.estimate == pytest.approx(wins.mean())
    assert judged.error == pytest.approx(delong, rel=0.01)
    assert 0.5 < judged.low < judged.estimate < judged.high < 1


def test_rows_that_share_a_day_tell_less_than_as_many_that_share_nothing(draw: Draw) -> None:
    drawn = draw(np.random.default_rng(2), 60, 40, 0.8)
    alone = sorted_rows(drawn["answer"], drawn["challenger"])[0]
    shared = sorted_rows(drawn["answer"], drawn["challenger"], drawn["unit"])[0]
    for name in ("share", "log_loss", "bias"):
        wide, narrow = interval(shared, METRICS[name]), interval(alone, METRICS[name])
        assert wide is not None
        assert narrow is not None
        assert wide.high - wide.low > 1.5 * (narrow.high - narrow.low)
        assert wide.estimate == narrow.estimate


def test_the_same_rows_give_the_same_interval_in_any_order(draw: Draw) -> None:
    drawn = draw(np.random.default_rng(4), 40, 5, 0.5)
    turned = {name: values[::-1] for name, values in drawn.items()}
    for name in NAMES:
        one, other = (
            interval(sorted_rows(each["answer"], each["challenger"], each["unit"])[0], METRICS[name])
            for each in (drawn, turned)
        )
        assert one is not None
        assert other is not None
        assert (one.low, one.high) == pytest.approx((other.low, other.high), abs=1e-9)


def test_rows_that_are_all_alike_have_an_estimate_and_no_ends() -> None:
    judged = interval(sorted_rows([1] * 30, [0.5] * 30)[0], METRICS["log_loss"])
    assert judged is not None
    assert judged.estimate == pytest.approx(math.log(2))
    assert math.isnan(judged.low)


def coverage(draw: Draw, units: int, per_unit: int, luck: float, repeats: int) -> dict[str, float]:
    """Draw data again and again, and count how often the truth lies in its interval."""
    many = 10_000 if per_unit > 1 else 400_000
    large = draw(np.random.default_rng(0), many, per_unit, luck)
    whole = sorted_rows(large["answer"], large["challenger"])[0]
    truth = {}
    for name in NAMES:
        measured = METRICS[name].measure(whole)
        assert measured is not None
        truth[name] = measured[0]
    random, covered, judged = np.random.default_rng(1), dict.fromkeys(NAMES, 0), dict.fromkeys(NAMES, 0)
    for _ in range(repeats):
        drawn = draw(random, units, per_unit, luck)
        rows, _ = sorted_rows(drawn["answer"], drawn["challenger"], drawn["unit"])
        for name in NAMES:
            found = interval(rows, METRICS[name])
            if found is not None and not math.isnan(found.low):
                judged[name] += 1
                covered[name] += found.low <= truth[name] <= found.high
    assert min(judged.values()) > 0.99 * repeats
    return {name: covered[name] / judged[name] for name in NAMES}


def test_nineteen_of_twenty_intervals_hold_the_truth_at_many_independent_rows(draw: Draw) -> None:
    assert all(0.93 <= share <= 0.97 for share in coverage(draw, 400, 1, 0.0, 1000).values())


@pytest.mark.slow
@pytest.mark.parametrize(
    ("units", "per_unit", "luck"),
    [
        (80, 1, 0.0),
        (150, 1, 0.0),
        (1000, 1, 0.0),
        (20, 40, 0.7),
        (30, 40, 0.7),
        (60, 40, 0.7),
        (184, 20, 0.7),
        (250, 20, 0.7),
    ],
)
def test_nineteen_of_twenty_intervals_hold_the_truth(draw: Draw, units: int, per_unit: int, luck: float) -> None:
    found = coverage(draw, units, per_unit, luck, 2000)
    assert all(0.93 <= share <= 0.97 for share in found.values()), found
