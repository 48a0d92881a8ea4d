import dataclasses
import math
from collections.abc import Callable
from statistics import NormalDist
from typing import Any

import numpy as np
import polars as pl
import pytest
from hypothesis import given
from hypothesis import strategies as st

from onebutton_contracts.errors import InputError
from onebutton_evaluation.catalogue import known_metrics
from onebutton_evaluation.comparison import compare, difference, holm, rows_needed
from onebutton_evaluation.declarations import Judging, SliceRule
from onebutton_evaluation.metrics import read_rows
from onebutton_evaluation.slices import find_slices

Draw = Callable[..., dict[str, Any]]


def compared(frame: pl.DataFrame, judging: Judging, rules: list[SliceRule]) -> dict[str, Any]:
    return compare(frame, find_slices(frame, rules), judging, "champion")


def verdict_on(comparison: dict[str, Any], name: str) -> str:
    verdict: str = comparison["slices"][name]["verdict"]
    return verdict


def verdicts(comparison: dict[str, Any]) -> set[str]:
    return {one["verdict"] for one in comparison["slices"].values()}


def on_all_rows(frame: pl.DataFrame, judging: Judging) -> dict[str, Any]:
    whole: dict[str, Any] = compared(frame, judging, [])["slices"]["all"]
    return whole


def test_a_better_model_is_better_and_the_other_way_round_it_is_worse(
    days: pl.DataFrame, judging: Judging, parts: list[SliceRule]
) -> None:
    better = compared(days, judging, parts)
    turned = days.rename({"challenger": "champion", "champion": "challenger"})
    worse = compared(turned, judging, parts)
    assert (better["verdict"], worse["verdict"]) == ("better", "worse")
    for one, other in zip(better["slices"].values(), worse["slices"].values(), strict=True):
        ends = one["difference"]["low"], one["difference"]["high"]
        assert ends == pytest.approx((-other["difference"]["high"], -other["difference"]["low"]))


def test_less_loss_is_better(days: pl.DataFrame, judging: Judging) -> None:
    by_loss = compared(days, dataclasses.replace(judging, champion="log_loss"), [])
    assert by_loss["verdict"] == "better"
    assert by_loss["slices"]["all"]["difference"]["low"] > 0


def test_an_identical_challenger_is_the_same(days: pl.DataFrame, judging: Judging, parts: list[SliceRule]) -> None:
    same = compared(days.with_columns(champion="challenger"), judging, parts)
    assert same["verdict"] == "same"
    assert verdicts(same) == {"no difference"}
    assert same["in_words"] == "same: no difference seen anywhere"


def test_a_random_challenger_is_worse(days: pl.DataFrame, judging: Judging, parts: list[SliceRule]) -> None:
    noise = np.random.default_rng(5).random(days.height)
    assert compared(days.with_columns(challenger=noise), judging, parts)["verdict"] == "worse"


def worse_on_part_three(frame: pl.DataFrame) -> pl.DataFrame:
    """Give the challenger the good predictions everywhere but on part 3, where the champion has them."""
    odds = (pl.col("champion") / (1 - pl.col("champion"))).log() + pl.Series(
        np.random.default_rng(5).normal(0, 1, frame.height)
    )
    bad, there = 1 / (1 + (-odds).exp()), pl.col("part") == 3
    return frame.with_columns(
        pl.when(there).then(bad).otherwise("challenger").alias("challenger"),
        pl.when(there).then("challenger").otherwise(bad).alias("champion"),
    )


def test_better_overall_and_worse_somewhere_is_mixed_and_says_where(days: pl.DataFrame, judging: Judging) -> None:
    found = compared(worse_on_part_three(days), judging, [SliceRule(by=("part",), labels={"3": "EWR"})])
    assert found["verdict"] == "mixed"
    assert verdict_on(found, "all") == "better"
    assert verdict_on(found, "part EWR") == "worse"
    assert "worse on part EWR (-" in found["in_words"]
    assert " points)" in found["in_words"]


def test_too_few_rows_are_never_no_difference(days: pl.DataFrame, judging: Judging) -> None:
    found = compared(days, judging, [SliceRule(name="to Honolulu", where="unit = 1")])
    assert verdict_on(found, "to Honolulu") == "not enough data"
    assert "not enough data on to Honolulu" in found["in_words"]


def test_too_few_rows_with_one_of_the_answers_are_never_no_difference_in_auc(
    days: pl.DataFrame, judging: Judging
) -> None:
    late = days.filter(pl.col("answer") == 1).unique("unit", keep="first", maintain_order=True)
    few = [pl.concat([late.head(count), days.filter(pl.col("answer") == 0)]) for count in (9, 10)]
    assert [verdict_on(compared(frame, judging, []), "all") for frame in few] == ["not enough data", "no difference"]
    by_loss = dataclasses.replace(judging, champion="log_loss")
    assert verdict_on(compared(few[0], by_loss, []), "all") != "not enough data"


def test_two_perfect_rankings_of_few_are_not_held_equal_unless_they_are_the_same() -> None:
    frame = pl.DataFrame(
        {
            "answer": [0] * 300 + [1] * 20,
            "challenger": np.linspace(0, 1, 320),
            "champion": [*np.linspace(0.5, 0, 300), *np.linspace(0.6, 1, 20)],
        }
    )
    judging = Judging(
        owner="us",
        answer="answer",
        prediction="challenger",
        metrics=("auc",),
        champion="auc",
        tolerance=0.01,
        minimum_rows=50,
    )
    other = on_all_rows(frame, judging)
    same = on_all_rows(frame.with_columns(champion=pl.col("challenger") ** 2), judging)
    assert (other["verdict"], same["verdict"]) == ("no difference", "no difference")
    assert other["difference"]["low"] < -judging.tolerance  # a wrongly ranked row in twenty would be five points
    assert (same["difference"]["low"], same["difference"]["high"]) == (0, 0)


def test_a_column_that_is_not_there_cannot_be_compared_with(days: pl.DataFrame, judging: Judging) -> None:
    with pytest.raises(InputError, match="'nobody' is no column"):
        compare(days, find_slices(days, []), judging, "nobody")


PRICES = Judging(
    owner="us",
    answer="price",
    prediction="challenger",
    metrics=("mae", "bias"),
    champion="mae",
    tolerance=20,
    minimum_rows=50,
    task="regression",
)


def prices(count: int = 400) -> pl.DataFrame:
    random = np.random.default_rng(8)
    price = random.normal(4_000, 800, count)
    hard = random.normal(0, 200, count)  # what every model finds hard: pairing takes it out
    return pl.DataFrame({"price": price, "champion": price + hard, "part": np.arange(count) % 4})


def test_a_regression_with_150_added_to_every_answer_is_worse() -> None:
    frame = prices().with_columns(challenger=pl.col("champion") + 150)
    found = compared(frame, PRICES, [SliceRule(by=("part",))])
    assert found["verdict"] == "worse"
    assert verdict_on(found, "all") == "worse"


def test_an_error_that_grew_by_the_same_in_every_row_is_worse() -> None:
    """All answers were too high already, so each error is exactly 150 larger."""
    frame = prices().with_columns(champion=pl.col("price") + 100, challenger=pl.col("price") + 250)
    assert compared(frame, PRICES, [])["verdict"] == "worse"


def test_a_regression_is_compared_pair_by_pair() -> None:
    noise = np.random.default_rng(1).normal(0, 30, 400)
    found = compared(
        prices().with_columns(challenger=pl.col("champion") - 0.3 * (pl.col("champion") - pl.col("price")) + noise),
        PRICES,
        [],
    )
    one = found["slices"]["all"]["difference"]
    assert found["verdict"] == "better"
    assert one["high"] - one["low"] < 20  # unpaired it would be 70


def test_a_champion_from_the_same_seed_makes_no_difference() -> None:
    frame = prices().with_columns(challenger="champion")
    found = compared(frame, PRICES, [SliceRule(by=("part",))])
    assert (found["verdict"], found["in_words"]) == ("same", "same: no difference seen anywhere")
    assert {(one["difference"]["low"], one["difference"]["high"]) for one in found["slices"].values()} == {(0, 0)}


SPECIES = Judging(
    owner="us",
    answer="species",
    prediction="probability",
    metrics=("f1[macro]", "recall[gentoo]"),
    champion="f1[macro]",
    tolerance=0.05,
    minimum_rows=50,
    task="multiclass",
    classes=("adelie", "gentoo", "king"),
)


def species(count: int = 900) -> pl.DataFrame:
    """Two models of one kind, of which the challenger knows nothing of gentoos on Biscoe."""
    random = np.random.default_rng(4)
    codes, island = random.integers(0, 3, count), random.integers(0, 3, count)
    frame = {"species": np.array(SPECIES.classes)[codes], "island": np.array(["Biscoe", "Dream", "Torgersen"])[island]}
    for model in ("probability", "champion"):
        scores = random.normal(0, 0.3, (count, 3)) + 2 * np.eye(3)[codes]
        if model == "probability":
            scores[(island == 0) & (codes == 1)] = [2.0, 0.0, 0.0]
        likely = np.exp(scores) / np.exp(scores).sum(axis=1, keepdims=True)
        frame |= {f"{model}[{label}]": likely[:, code] for code, label in enumerate(SPECIES.classes)}
    return pl.DataFrame(frame)


def test_a_class_that_got_worse_on_one_slice_is_found_there() -> None:
    by_island = [SliceRule(by=("island",))]
    for metric in ("f1[macro]", "recall[gentoo]", "auc", "log_loss"):
        found = compared(species(), dataclasses.replace(SPECIES, champion=metric), by_island)
        assert verdict_on(found, "island Biscoe") == "worse", metric
        assert verdict_on(found, "island Dream") == "no difference", metric


def test_an_answer_that_is_none_of_the_classes_is_refused_by_its_name() -> None:
    frame = species().with_columns(species=pl.col("species").str.replace("king", "emperor"))
    with pytest.raises(
        InputError, match=r"species 'emperor' is none of the classes: judging\.classes has adelie, gentoo"
    ):
        compared(frame, SPECIES, [])


def test_a_far_worse_model_is_worse_however_many_slices_there_are(draw: Draw, judging: Judging) -> None:
    """180 slices of 100 rows: Holm asks of each for a p-value of 1 in 3,600."""
    drawn = pl.DataFrame(draw(np.random.default_rng(3), 18_000)).with_columns(part=pl.int_range(pl.len()) // 100)
    far = drawn.with_columns(challenger=0.5 + 0.49 * (1 - 2 * pl.col("answer")))  # nearly sure, and always wrong
    asked = dataclasses.replace(judging, champion="brier", unit="")
    found = compared(far, asked, [SliceRule(by=("part",))])
    assert len(found["slices"]) == 181
    assert verdicts(found) == {"worse"}


@given(p=st.lists(st.floats(0, 1), max_size=12))
def test_holms_correction_is_that_of_its_definition(p: list[float]) -> None:
    rank = sorted(range(len(p)), key=lambda place: p[place])
    expected, highest = [0.0] * len(p), 0.0
    for step, place in enumerate(rank):
        highest = max(highest, min(1.0, (len(p) - step) * p[place]))
        expected[place] = highest
    assert holm(p) == pytest.approx(expected)


def test_the_rows_needed_are_those_with_which_the_tolerance_is_seen_four_times_of_five(
    draw: Draw, judging: Judging
) -> None:
    """What is needed for a difference as large as the true one is drawn again and again: it must be seen in 80 % of draws."""
    plain = dataclasses.replace(judging, unit="", champion="brier")
    large = pl.DataFrame(draw(np.random.default_rng(0), 200_000))
    ours, theirs = (read_rows(large, plain, side) for side in ("challenger", "champion"))
    whole = difference(ours, theirs, known_metrics("binary")["brier"])
    assert whole is not None
    needed = rows_needed(whole, whole.estimate)
    assert needed is not None
    random, seen = np.random.default_rng(1), 0
    for _ in range(300):
        drawn = pl.DataFrame(draw(random, needed))
        seen += on_all_rows(drawn, plain)["verdict"] == "better"
    assert 0.74 <= seen / 300 <= 0.86


def alarms(draw: Draw, judging: Judging, units: int, per_unit: int, repeats: int) -> float:
    """Compare two models of which neither is better, again and again; return how often a difference is claimed anywhere."""
    random, claimed = np.random.default_rng(2), 0
    for _ in range(repeats):
        drawn = pl.DataFrame(draw(random, units, per_unit, 0.5 if per_unit > 1 else 0.0))
        noisy = [
            1 / (1 + np.exp(np.log(1 / drawn["champion"].to_numpy() - 1) + random.normal(0, 0.5, drawn.height)))
            for _ in range(2)
        ]
        equal = drawn.with_columns(challenger=noisy[0], champion=noisy[1])
        found = compared(equal, judging, [SliceRule(by=("part",))])
        claimed += found["verdict"] in {"better", "worse", "mixed"}
    return claimed / repeats


@pytest.mark.slow
def test_false_alarms_over_all_slices_together_stay_within_one_in_twenty(draw: Draw, judging: Judging) -> None:
    assert alarms(draw, judging, 250, 8, 200) <= 0.08  # 0.05, and the chance of 200 draws


@pytest.mark.slow
@pytest.mark.parametrize(("metric", "units", "per_unit"), [("auc", 30, 60), ("log_loss", 30, 60), ("brier", 150, 1)])
def test_false_alarms_stay_within_one_in_twenty(
    draw: Draw, judging: Judging, metric: Any, units: int, per_unit: int
) -> None:
    asked = dataclasses.replace(judging, champion=metric)
    assert alarms(draw, asked, units, per_unit, 400) <= 0.072  # 0.05, and the chance of 400 draws


def difference_coverage(draw: Draw, judging: Judging, units: int, per_unit: int, repeats: int) -> float:
    luck = 0.7 if per_unit > 1 else 0.0
    large = draw(np.random.default_rng(0), 10_000 if per_unit > 1 else 400_000, per_unit, luck)
    metric, frame = known_metrics("binary")[judging.champion], pl.DataFrame(large)
    measured = [metric.measure(read_rows(frame, judging, side)) for side in ("challenger", "champion")]
    ours, theirs = (one.estimate for one in measured if one is not None)
    truth = (ours - theirs) * (1 if metric.better == "higher" else -1)
    random, covered = np.random.default_rng(1), 0
    for _ in range(repeats):
        drawn = pl.DataFrame(draw(random, units, per_unit, luck))
        found = on_all_rows(drawn, judging)["difference"]
        covered += found["low"] <= truth <= found["high"]
    return covered / repeats


@pytest.mark.slow
def test_nineteen_of_twenty_intervals_of_a_difference_hold_the_truth(draw: Draw, judging: Judging) -> None:
    assert 0.93 <= difference_coverage(draw, judging, 300, 1, 1500) <= 0.97


def rare_difference_coverage(
    judging: Judging, aucs: tuple[float, float], few: int, alike: float, repeats: int
) -> float:
    """Compare two models of known AUC, whose errors are alike in part, on 200 rows of which few have the answer 1."""
    random, covered = np.random.default_rng(6), 0
    answers = np.repeat([1, 0], [few, 200 - few])
    plain = dataclasses.replace(judging, unit="")
    for _ in range(repeats):
        both = random.normal(0, math.sqrt(alike), 200)
        sides = {
            name: both
            + math.sqrt(2) * NormalDist().inv_cdf(auc) * answers
            + random.normal(0, math.sqrt(1 - alike), 200)
            for name, auc in zip(("challenger", "champion"), aucs, strict=True)
        }
        drawn = pl.DataFrame({"answer": answers, **sides})
        found = on_all_rows(drawn, plain).get("difference")
        covered += found is not None and found["low"] <= aucs[0] - aucs[1] <= found["high"]
    return covered / repeats


@pytest.mark.parametrize(("aucs", "few"), [((0.75, 0.75), 10), ((0.94, 0.98), 10), ((0.94, 0.98), 20)])
def test_a_difference_on_a_rare_class_is_no_surer_than_it_should_be(
    judging: Judging, aucs: tuple[float, float], few: int
) -> None:
    assert rare_difference_coverage(judging, aucs, few, 0.5, 400) >= 0.93


@pytest.mark.slow
@pytest.mark.parametrize("aucs", [(0.72, 0.78), (0.85, 0.92), (0.97, 0.97)])
@pytest.mark.parametrize("few", [10, 50])
@pytest.mark.parametrize("alike", [0.5, 0.9])
def test_a_difference_on_a_rare_class_is_never_surer_than_it_should_be(
    judging: Judging, aucs: tuple[float, float], few: int, alike: float
) -> None:
    assert rare_difference_coverage(judging, aucs, few, alike, 500) >= 0.91  # 0.93, and the chance of 500 draws


@pytest.mark.slow
@pytest.mark.parametrize("metric", ["auc", "log_loss", "brier"])
@pytest.mark.parametrize(("units", "per_unit"), [(100, 1), (30, 40), (250, 20)])
def test_nineteen_of_twenty_intervals_of_a_difference_hold_the_truth_whatever_the_metric(
    draw: Draw, judging: Judging, metric: Any, units: int, per_unit: int
) -> None:
    asked = dataclasses.replace(judging, champion=metric)
    assert 0.91 <= difference_coverage(draw, asked, units, per_unit, 500) <= 0.98
