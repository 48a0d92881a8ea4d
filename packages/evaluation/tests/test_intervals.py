from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from itertools import pairwise
from statistics import NormalDist
from typing import Any, Literal

import numpy as np
import pytest
from scipy.special import stdtr

from onebutton_evaluation.influence import METRICS, sorted_rows
from onebutton_evaluation.intervals import interval

Draw = Callable[..., dict[str, Any]]
NAMES = ("share", "auc", "log_loss", "brier", "bias")


def test_the_interval_of_a_share_is_wilsons() -> None:
    judged = interval(sorted_rows([1] * 10 + [0] * 90, np.linspace(0, 1, 100))[0], METRICS["share"])
    assert judged is not None
    assert judged.method == "Wilson"
    assert (judged.low, judged.high) == pytest.approx((0.0552, 0.1744), abs=1e-4)  # as printed in textbooks


def test_a_share_of_nothing_is_not_held_to_be_nothing() -> None:
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
    assert judged.error == pytest.approx(delong)
    assert 0.5 < judged.low < judged.estimate < judged.high < 1


def test_the_error_of_a_clustered_auc_is_obuchowskis(draw: Draw) -> None:
    drawn = draw(np.random.default_rng(3), 60, 5, 0.8)
    unit, late, probability = drawn["unit"], drawn["answer"] == 1, drawn["challenger"]
    wins = probability[late][:, None] > probability[~late]
    ones, zeros = (np.bincount(unit[side], minlength=60) for side in (late, ~late))
    rights = (
        np.bincount(unit[side], weights=wins.mean(axis=axis), minlength=60) for side, axis in ((late, 1), (~late, 0))
    )
    first, second = (total - count * wins.mean() for total, count in zip(rights, (ones, zeros), strict=True))
    m, n, i, j = ones.sum(), zeros.sum(), np.count_nonzero(ones), np.count_nonzero(zeros)
    variance = (  # equations 5 to 8 of Obuchowski 1997
        i / (i - 1) * (first @ first) / m**2
        + j / (j - 1) * (second @ second) / n**2
        + 2 * 60 / 59 * (first @ second) / (m * n)
    )
    judged = interval(sorted_rows(drawn["answer"], probability, unit)[0], METRICS["auc"])
    assert judged is not None
    assert judged.error == pytest.approx(math.sqrt(variance))


def test_units_of_one_row_each_give_the_auc_the_interval_of_independent_rows(draw: Draw) -> None:
    drawn = draw(np.random.default_rng(3), 120)
    alone, single = (
        interval(sorted_rows(drawn["answer"], drawn["challenger"], unit)[0], METRICS["auc"])
        for unit in (None, drawn["unit"])
    )
    assert alone is not None
    assert single is not None
    assert (alone.low, alone.high, alone.error) == pytest.approx((single.low, single.high, single.error))


@pytest.mark.parametrize("answer", [0, 1])
def test_an_auc_of_fewer_than_ten_rows_with_one_of_the_answers_is_not_told(answer: int) -> None:
    answers, predictions = np.full(200, 1 - answer), np.random.default_rng(1).random(200)
    answers[:9] = answer
    assert interval(sorted_rows(answers, predictions)[0], METRICS["auc"]) is None
    answers[9] = answer
    assert interval(sorted_rows(answers, predictions)[0], METRICS["auc"]) is not None


def test_many_late_flights_of_nine_days_are_too_few_for_an_auc() -> None:
    random = np.random.default_rng(1)
    day = np.repeat(np.arange(60), 20)
    late = np.isin(day, np.arange(9)) & (random.random(1200) < 0.9)
    assert interval(sorted_rows(late, random.random(1200), day)[0], METRICS["auc"]) is None
    assert interval(sorted_rows(late, random.random(1200))[0], METRICS["auc"]) is not None


def test_a_perfect_ranking_of_few_is_not_held_to_be_perfect() -> None:
    ends = []
    for few in (10, 100, 1000):
        answers = np.repeat([0, 1], [2000, few])
        judged = interval(sorted_rows(answers, answers + np.linspace(0, 0.5, len(answers)))[0], METRICS["auc"])
        assert judged is not None
        assert judged.estimate == 1
        assert judged.high == pytest.approx(1)
        ends.append(judged.low)
    assert ends == sorted(ends)
    assert ends[0] < 0.8  # of ten rows one in four may be ranked wrongly, and none of these is
    assert ends[2] > 0.99


def test_predictions_that_are_all_alike_have_an_auc_and_no_ends() -> None:
    judged = interval(sorted_rows([0, 1] * 50, [0.3] * 100)[0], METRICS["auc"])
    assert judged is not None
    assert judged.estimate == 0.5
    assert math.isnan(judged.low)


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


def p_value(values: Any) -> float:
    """Ask how likely a mean as far from 0 as that of these values is."""
    judged = interval(sorted_rows(np.zeros(len(values)), values)[0], METRICS["mean"])
    assert judged is not None
    assert judged.method == "studentised bootstrap"
    return judged.p


def test_the_p_value_of_a_bootstrap_falls_on_where_no_draw_is_as_far() -> None:
    random = np.random.default_rng(2)
    values = random.normal(0, 1, 80)
    values -= values.mean()
    found = [p_value(values + step * values.std() / np.sqrt(80)) for step in np.linspace(0, 12, 121)]
    assert all(before >= after for before, after in pairwise(found))
    assert found[0] > 0.9
    assert found[20] == pytest.approx(0.05, abs=0.015)  # two standard errors
    assert found[-1] < 1e-10
    for step in (30, 35, 40):  # about Student's, as these values are normal
        student = 2 * float(stdtr(79, -step / 10 * np.sqrt(79 / 80)))
        assert student / 3 < found[step] < 3 * student


@pytest.mark.parametrize("side", [1, -1])
def test_small_p_values_are_not_rarer_or_more_frequent_than_they_say_where_tails_are_even(side: int) -> None:
    random, few = np.random.default_rng(9), 0
    for _ in range(1500):
        few += p_value(side * random.laplace(0, 1, 40)) < 0.01
    assert 0.002 <= few / 1500 <= 0.018


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


@dataclass(frozen=True)
class Rare:
    """Draws of a rare class and a common one, of known AUC."""

    scores: Literal["two normals", "rare ones twice as wide", "two exponentials"]
    auc: float
    few: int
    many: int

    def draw(self, random: np.random.Generator) -> tuple[Any, Any]:
        if self.scores == "two exponentials":
            return random.exponential(self.auc / (1 - self.auc), self.few), random.exponential(1, self.many)
        wide = 1 if self.scores == "two normals" else 2
        apart = NormalDist().inv_cdf(self.auc) * math.hypot(1, wide)
        return random.normal(apart, wide, self.few), random.normal(0, 1, self.many)

    def coverage(self, repeats: int) -> float:
        """Draw again and again; what has no interval holds nothing."""
        random, covered = np.random.default_rng(4), 0
        answers = np.repeat([1, 0], [self.few, self.many])
        for _ in range(repeats):
            found = interval(sorted_rows(answers, np.concatenate(self.draw(random)))[0], METRICS["auc"])
            covered += found is not None and found.low <= self.auc <= found.high
        return covered / repeats


@pytest.mark.parametrize(("auc", "few"), [(0.75, 10), (0.9, 10), (0.9, 20), (0.97, 20)])
def test_an_auc_of_a_rare_class_is_no_surer_than_it_should_be(auc: float, few: int) -> None:
    assert Rare("two normals", auc, few, 200 - few).coverage(600) >= 0.93


@pytest.mark.parametrize("scores", ["two normals", "rare ones twice as wide", "two exponentials"])
def test_nineteen_of_twenty_intervals_hold_an_auc_of_thirty_rows_of_the_rare_class(scores: Any) -> None:
    assert 0.93 <= Rare(scores, 0.75, 30, 170).coverage(1000) <= 0.97


@pytest.mark.slow
@pytest.mark.parametrize("scores", ["two normals", "rare ones twice as wide", "two exponentials"])
@pytest.mark.parametrize("auc", [0.6, 0.9, 0.99])
@pytest.mark.parametrize(("few", "many"), [(10, 190), (30, 30), (100, 2000)])
def test_an_auc_of_a_rare_class_is_never_surer_than_it_should_be(scores: Any, auc: float, few: int, many: int) -> None:
    assert Rare(scores, auc, few, many).coverage(2000) >= 0.93


@dataclass(frozen=True)
class RareDays:
    """Draws of days, of which some have rows of a rare class too; rows of one day and class share a part of their luck."""

    days: int
    common: int
    rare_days: int
    rare: int

    def coverage(self, auc: float, alike: float, repeats: int) -> float:
        random, covered = np.random.default_rng(4), 0
        day = np.concatenate(
            [np.repeat(np.arange(self.rare_days), self.rare), np.repeat(np.arange(self.days), self.common)]
        )
        answers = np.repeat([1, 0], [self.rare_days * self.rare, self.days * self.common])
        apart = math.sqrt(2) * NormalDist().inv_cdf(auc)
        for _ in range(repeats):
            own, shared = random.normal(0, 1, len(day)), random.normal(0, 1, (2, self.days))[answers, day]
            scores = apart * answers + math.sqrt(alike) * shared + math.sqrt(1 - alike) * own
            found = interval(sorted_rows(answers, scores, day)[0], METRICS["auc"])
            covered += found is not None and found.low <= auc <= found.high
        return covered / repeats


def test_an_auc_of_few_days_with_the_rare_class_is_no_surer_than_it_should_be() -> None:
    assert RareDays(100, 10, 12, 5).coverage(0.9, 0.8, 500) >= 0.93


@pytest.mark.slow
@pytest.mark.parametrize("auc", [0.75, 0.97])
@pytest.mark.parametrize("alike", [0.0, 0.9])
@pytest.mark.parametrize("days", [RareDays(200, 10, 10, 5), RareDays(200, 10, 20, 5), RareDays(60, 30, 30, 5)])
def test_an_auc_of_few_days_with_the_rare_class_is_never_surer_than_it_should_be(
    auc: float, alike: float, days: RareDays
) -> None:
    assert days.coverage(auc, alike, 2000) >= 0.93
