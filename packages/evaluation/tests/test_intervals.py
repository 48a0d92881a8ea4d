"""Intervals: those of textbooks and papers, and as wide as the truth asks for."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass, replace
from statistics import NormalDist
from typing import TYPE_CHECKING, Any, Literal

import numpy as np
import pytest

from onebutton_evaluation.catalogue import BINARY, known_metrics
from onebutton_evaluation.influence import Metric, Rows, smooth
from onebutton_evaluation.intervals import KINDS, Interval, interval

if TYPE_CHECKING:
    from numpy.typing import ArrayLike, NDArray

Draw = Callable[..., dict[str, Any]]
CLASSES = ("adelie", "gentoo", "king")
OF_BINARY, OF_NUMBERS = known_metrics("binary"), known_metrics("regression", (), (0.1, 0.9))
OF_CLASSES = known_metrics("multiclass", CLASSES)


def binary(answers: ArrayLike, predictions: ArrayLike, units: NDArray[np.int64] | None = None) -> Rows:
    return Rows(np.asarray(answers, dtype=float), np.asarray(predictions, dtype=float), units, BINARY)


def judged(metric: Metric, rows: Rows) -> Interval:
    found = interval(rows, metric)
    assert found is not None
    return found


def test_the_interval_of_a_share_is_agresti_and_coulls() -> None:
    found = judged(OF_BINARY["share"], binary([1] * 10 + [0] * 90, np.linspace(0, 1, 100)))
    assert found.method == "Agresti-Coull"
    assert (found.low, found.high) == pytest.approx((0.0534, 0.1763), abs=2e-4)  # as textbooks print it


def test_a_share_of_nothing_is_not_held_to_be_nothing() -> None:
    found = judged(OF_BINARY["share"], binary([0] * 50, np.linspace(0, 1, 50)))
    assert found.low == pytest.approx(0, abs=1e-9)
    assert found.high == pytest.approx(0.0852, abs=1e-3)


def test_the_error_of_an_auc_is_delongs() -> None:
    random = np.random.default_rng(1)
    answers, predictions = (
        np.repeat([0, 1], [120, 80]),
        np.round(np.concatenate([random.random(120), random.beta(2, 1, 80)]), 2),
    )
    wins = (predictions[120:, None] > predictions[:120]) + 0.5 * (predictions[120:, None] == predictions[:120])
    delong = math.sqrt(wins.mean(axis=1).var(ddof=1) / 80 + wins.mean(axis=0).var(ddof=1) / 120)
    found = judged(OF_BINARY["auc"], binary(answers, predictions))
    assert found.estimate == pytest.approx(wins.mean())
    assert found.error == pytest.approx(delong, rel=0.01)  # one factor for small samples, not one a class
    assert 0.5 < found.low < found.estimate < found.high < 1


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
    found = judged(OF_BINARY["auc"], binary(drawn["answer"], probability, unit))
    assert found.error == pytest.approx(math.sqrt(variance), rel=0.01)


def test_units_of_one_row_each_give_the_auc_the_interval_of_independent_rows(draw: Draw) -> None:
    drawn = draw(np.random.default_rng(3), 120)
    alone, single = (
        judged(OF_BINARY["auc"], binary(drawn["answer"], drawn["challenger"], unit)) for unit in (None, drawn["unit"])
    )
    assert (alone.low, alone.high, alone.error) == pytest.approx((single.low, single.high, single.error))


@pytest.mark.parametrize("answer", [0, 1])
def test_an_auc_of_fewer_than_ten_rows_with_one_of_the_answers_is_not_told(answer: int) -> None:
    answers, predictions = np.full(200, 1 - answer), np.random.default_rng(1).random(200)
    answers[:9] = answer
    assert interval(binary(answers, predictions), OF_BINARY["auc"]) is None
    answers[9] = answer
    assert interval(binary(answers, predictions), OF_BINARY["auc"]) is not None


def test_many_late_flights_of_nine_days_are_too_few_for_an_auc() -> None:
    random = np.random.default_rng(1)
    day = np.repeat(np.arange(60), 20)
    late = np.isin(day, np.arange(9)) & (random.random(1200) < 0.9)
    assert interval(binary(late, random.random(1200), day), OF_BINARY["auc"]) is None
    assert interval(binary(late, random.random(1200)), OF_BINARY["auc"]) is not None


def test_a_perfect_ranking_of_few_is_not_held_to_be_perfect() -> None:
    ends = []
    for few in (10, 100, 1000):
        answers = np.repeat([0, 1], [2000, few])
        found = judged(OF_BINARY["auc"], binary(answers, answers + np.linspace(0, 0.5, len(answers))))
        assert found.estimate == 1
        assert found.high == pytest.approx(1)
        ends.append(found.low)
    assert ends == sorted(ends)
    assert ends[0] < 0.9  # ten rows say little, however well they are ranked
    assert ends[2] > 0.99


def test_predictions_that_are_all_alike_have_an_auc_and_no_ends() -> None:
    found = judged(OF_BINARY["auc"], binary([0, 1] * 50, [0.3] * 100))
    assert found.estimate == 0.5
    assert math.isnan(found.low)


def test_rows_that_share_a_day_tell_less_than_as_many_that_share_nothing(draw: Draw) -> None:
    drawn = draw(np.random.default_rng(2), 60, 40, 0.8)
    alone = binary(drawn["answer"], drawn["challenger"])
    shared = replace(alone, units=drawn["unit"])
    for name in ("share", "log_loss", "bias"):
        wide, narrow = judged(OF_BINARY[name], shared), judged(OF_BINARY[name], alone)
        assert wide.high - wide.low > 1.5 * (narrow.high - narrow.low)
        assert wide.estimate == narrow.estimate


def test_the_same_rows_give_the_same_interval_in_any_order(draw: Draw) -> None:
    drawn = draw(np.random.default_rng(4), 40, 5, 0.5)
    turned = {name: values[::-1] for name, values in drawn.items()}
    for metric in OF_BINARY.values():
        one, other = (
            interval(binary(each["answer"], each["challenger"], each["unit"]), metric) for each in (drawn, turned)
        )
        if one is not None and other is not None:
            assert (one.low, one.high) == pytest.approx((other.low, other.high), abs=1e-9)


def test_rows_that_are_all_alike_have_an_estimate_and_no_ends() -> None:
    found = judged(OF_BINARY["log_loss"], binary([1] * 100, [0.5] * 100))
    assert found.estimate == pytest.approx(math.log(2))
    assert math.isnan(found.low)


def test_the_interval_of_a_correlation_is_fishers() -> None:
    """Kappa's scale; of a correlation of normals the textbook's error is one over the root of rows."""
    rows = numbers(np.random.default_rng(3), 400)
    own = smooth("correlation", "higher", products, correlated, "agreement")
    found = judged(own, rows)
    fisher = np.tanh(np.arctanh(found.estimate) + np.array([-1, 1]) * 1.96 / math.sqrt(397))
    assert (found.low, found.high) == pytest.approx(tuple(fisher), abs=0.02)


def products(rows: Rows) -> NDArray[np.float64]:
    ours, theirs = rows.predictions, rows.answers
    return np.column_stack([ours * theirs, ours, theirs, ours**2, theirs**2])


def correlated(means: Any) -> Any:
    both, ours, theirs, our_square, their_square = (means[place] for place in range(5))
    return (both - ours * theirs) / np.sqrt((our_square - ours**2) * (their_square - theirs**2))


def test_the_interval_of_f1_is_that_of_the_share_that_answers_and_calls_have_in_common() -> None:
    """Where all that is called is right, f/(2-f) is the recall, and its interval the same."""
    answers, predictions = np.repeat([1, 0], [40, 160]), np.repeat([0.9, 0.1], [30, 170])
    f1, recall = (judged(OF_BINARY[name], binary(answers, predictions)) for name in ("f1[1]", "recall[1]"))
    assert f1.method == "Agresti-Coull of f/(2-f)"
    assert f1.estimate == pytest.approx(2 * 30 / 70)
    assert (f1.low / (2 - f1.low), f1.high / (2 - f1.high)) == pytest.approx((recall.low, recall.high), abs=1e-3)


@pytest.mark.parametrize(
    ("known", "kind"), [(OF_BINARY, "share"), (OF_BINARY, "loss"), (OF_CLASSES, "average"), (OF_NUMBERS, "r2")]
)
def test_with_fewer_units_than_declared_a_metric_is_not_told(known: dict[str, Metric], kind: str) -> None:
    metric = next(one for one in known.values() if one.kind == kind)
    draws = {id(OF_BINARY): yes_or_no, id(OF_CLASSES): species, id(OF_NUMBERS): numbers}
    least = KINDS[metric.kind].least
    few, enough = (draws[id(known)](np.random.default_rng(1), count) for count in (least - 1, 10 * least))
    assert interval(few, metric) is None
    assert interval(enough, metric) is not None


@pytest.mark.parametrize("name", ["f1[macro]", "kappa", "recall[king]", "accuracy"])
def test_classes_that_are_all_called_rightly_are_not_held_to_be_always(name: str) -> None:
    rows = species(np.random.default_rng(2), 300)
    perfect = replace(rows, predictions=np.eye(3)[rows.codes])
    found = judged(OF_CLASSES[name], perfect)
    assert found.estimate == 1
    assert found.low < 0.995
    assert found.high == pytest.approx(1)


def test_the_loss_of_an_interval_never_falls_under_nothing() -> None:
    found = judged(OF_NUMBERS["mae"], numbers(np.random.default_rng(1), 60))
    assert 0 < found.low < found.estimate < found.high
    assert found.high - found.estimate > found.estimate - found.low


def yes_or_no(random: np.random.Generator, count: int, per_unit: int = 1) -> Rows:
    unit, luck = units(random, count, per_unit)
    seen = random.normal(0, 1, count)
    answers = random.random(count) < 1 / (1 + np.exp(1 - seen - luck))
    return Rows(answers.astype(float), 1 / (1 + np.exp(1.2 - seen)), unit, BINARY)


def species(random: np.random.Generator, count: int, per_unit: int = 1) -> Rows:
    unit, luck = units(random, count, per_unit)
    codes = random.choice(3, count, p=[0.5, 0.3, 0.2])
    scores = random.normal(0, 1, (count, 3)) + (1.5 + luck)[:, None] * np.eye(3)[codes]
    likely = np.exp(scores) / np.exp(scores).sum(axis=1, keepdims=True)
    return Rows(codes.astype(float), likely, unit, CLASSES)


def numbers(random: np.random.Generator, count: int, per_unit: int = 1) -> Rows:
    unit, luck = units(random, count, per_unit)
    predictions = random.normal(0, 2, count)
    answers = predictions + random.normal(0.2, 1, count) + luck
    quantiles = {0.1: predictions - 1.28, 0.9: predictions + 1.28}
    return Rows(answers, predictions, unit, quantiles=quantiles)


def units(random: np.random.Generator, count: int, per_unit: int) -> tuple[NDArray[np.int64] | None, Any]:
    """Number the units of rows; those of one unit share some luck."""
    if per_unit == 1:
        return None, np.zeros(count)
    unit = np.arange(count) // per_unit
    return unit, random.normal(0, 0.5, unit[-1] + 1)[unit]


def coverage(
    draw: Callable[..., Rows], known: dict[str, Metric], cell: tuple[int, int], repeats: int
) -> dict[str, float]:
    """Draw data again and again, and count how often the truth lies in its interval; what is not told is left out."""
    random, large = np.random.default_rng(1), draw(np.random.default_rng(0), 400_000, cell[1])
    measured = {name: metric.measure(large) for name, metric in known.items()}
    truth = {name: one.estimate for name, one in measured.items() if one is not None}
    held: dict[str, list[bool]] = {name: [] for name in known}
    for _ in range(repeats):
        rows = draw(random, *cell)
        for name, metric in known.items():
            found = interval(rows, metric)
            if found is not None:
                held[name].append(found.low <= truth[name] <= found.high)
    return {name: float(np.mean(one)) for name, one in held.items() if len(one) > repeats / 2}


@pytest.mark.slow
@pytest.mark.parametrize(
    ("draw", "known"),
    [(yes_or_no, OF_BINARY), (species, OF_CLASSES), (numbers, OF_NUMBERS)],
    ids=["binary", "multiclass", "regression"],
)
@pytest.mark.parametrize("cell", [(50, 1), (200, 1), (1000, 20)], ids=["50 rows", "200 rows", "50 units of 20 rows"])
def test_nineteen_of_twenty_intervals_hold_the_truth(
    draw: Callable[..., Rows], known: dict[str, Metric], cell: tuple[int, int]
) -> None:
    found = coverage(draw, known, cell, 500)
    chance = 2 * math.sqrt(0.93 * 0.07 / 500)
    assert found
    assert all(share >= 0.93 - chance for share in found.values()), found


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
            found = interval(binary(answers, np.concatenate(self.draw(random))), OF_BINARY["auc"])
            covered += found is not None and found.low <= self.auc <= found.high
        return covered / repeats


@pytest.mark.parametrize(("auc", "few"), [(0.75, 10), (0.9, 10), (0.9, 20), (0.97, 20)])
def test_an_auc_of_a_rare_class_is_no_surer_than_it_should_be(auc: float, few: int) -> None:
    assert Rare("two normals", auc, few, 200 - few).coverage(600) >= 0.93


@pytest.mark.parametrize("scores", ["two normals", "rare ones twice as wide", "two exponentials"])
def test_nineteen_of_twenty_intervals_hold_an_auc_of_thirty_rows_of_the_rare_class(scores: Any) -> None:
    assert 0.93 <= Rare(scores, 0.75, 30, 170).coverage(1000) <= 0.98


@pytest.mark.slow
@pytest.mark.parametrize("scores", ["two normals", "rare ones twice as wide", "two exponentials"])
@pytest.mark.parametrize("auc", [0.6, 0.9, 0.99])
@pytest.mark.parametrize(("few", "many"), [(10, 190), (30, 30), (100, 2000)])
def test_an_auc_of_a_rare_class_is_never_surer_than_it_should_be(scores: Any, auc: float, few: int, many: int) -> None:
    assert Rare(scores, auc, few, many).coverage(500) >= 0.91


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
            found = interval(binary(answers, scores, day), OF_BINARY["auc"])
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
    assert days.coverage(auc, alike, 500) >= 0.91
