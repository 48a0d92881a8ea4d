from pathlib import Path

import pytest

from onebutton_contracts.errors import InputError
from onebutton_evaluation.declarations import load_declarations

GOOD = """
[judging]
owner = "us"
answer = "late"
prediction = "probability"
metrics = ["auc", "share"]
champion = "auc"
tolerance = 0.01

[[slices]]
by = ["month"]

[[gates]]
id = "auc-overall"
check = "limit"
why = "because"
metric = "auc"
slices = ["all"]
at_least = 0.7
"""


def refusal(folder: Path, text: str) -> str:
    file = folder / "gates.toml"
    file.write_text(text, encoding="utf-8")
    with pytest.raises(InputError) as refused:
        load_declarations(file)
    return str(refused.value)


def test_a_good_file_is_read(tmp_path: Path) -> None:
    (tmp_path / "gates.toml").write_text(GOOD, encoding="utf-8")
    said = load_declarations(tmp_path / "gates.toml")
    assert (said.gates[0].id, said.slices[0].by, said.judging.minimum_units) == ("auc-overall", ("month",), 20)


@pytest.mark.parametrize(
    ("old", "new", "words"),
    [
        ("at_least = 0.7", "at_leest = 0.7", "at_leest: unknown key"),
        ("at_least = 0.7", "", "gate 'auc-overall' has no limit, so it could not fail"),
        ("at_least = 0.7", 'at_least = "0.7"', "at_least: input should be a valid number"),
        ('why = "because"', "", "why: missing"),
        ('owner = "us"', 'owner = ""', "owner: string should have at least 1 character"),
        ('why = "because"', 'why = "because"\nowner = "us"', "owner: unknown key"),
        ('check = "limit"', 'check = "vibes"', "gates.0: input tag 'vibes'"),
        (
            'metric = "auc"\n',
            'metric = "brier"\n',
            "gate 'auc-overall' is about brier, which judging.metrics does not measure",
        ),
        ('champion = "auc"', 'champion = "share"', "neither more nor less is better"),
        ('by = ["month"]', "", "slices.0: a slice needs either by, or name and where"),
        ('by = ["month"]', 'where = "month = 9"', "slices.0: a slice needs either by, or name and where"),
        ('by = ["month"]', 'by = ["month", "origin"]\nquantiles = 3', "slices.0: quantiles cut one column"),
        ("tolerance = 0.01", "tolerance = 0", "tolerance: input should be greater than 0"),
        ("[judging]", "[judging]\nminimum_units = 3", "minimum_units: input should be greater than or equal to 20"),
        ("[judging]", "[judging", "not a file of parameters"),
        ('"auc", "share"', '"auc", "mean"', "no metric of a task binary is called mean; there are share, log_loss"),
        ("[judging]", '[judging]\ntask = "regression"', "no metric of a task regression is called auc; there are mae"),
        ("[judging]", '[judging]\ntask = "text"', "task: input should be 'binary', 'multiclass' or 'regression'"),
        ("[judging]", '[judging]\ntask = "multiclass"', "judging: a task multiclass cannot have 0 classes"),
        ("[judging]", '[judging]\nclasses = ["a", "macro"]', "no class can be called 'macro'"),
        (
            "[judging]",
            '[judging]\nown = { cost = "smaller" }',
            "own.cost: input should be 'higher', 'lower', 'zero' or ''",
        ),
    ],
)
def test_a_file_that_would_not_hold_what_it_seems_to_say_is_refused_by_name(
    tmp_path: Path, old: str, new: str, words: str
) -> None:
    assert old in GOOD
    assert words in refusal(tmp_path, GOOD.replace(old, new))


PRICES = (
    GOOD.replace("[judging]", '[judging]\ntask = "regression"\nquantiles = { "0.1" = "p10", "0.9" = "p90" }')
    .replace('"auc", "share"', '"mae", "rmse", "pinball[0.1]", "coverage[0.1,0.9]"')
    .replace('= "auc"', '= "mae"')
    .replace("at_least", "at_most")
)


def test_a_regression_has_its_own_metrics_and_those_of_its_quantiles(tmp_path: Path) -> None:
    (tmp_path / "gates.toml").write_text(PRICES, encoding="utf-8")
    assert load_declarations(tmp_path / "gates.toml").judging.champion == "mae"


@pytest.mark.parametrize(
    ("old", "new", "words"),
    [
        ('metric = "mae"', 'metric = "rmse"', "gate 'auc-overall' is about rmse: its interval does not hold"),
        ('champion = "mae"', 'champion = "rmse"', "judging: champion is rmse: its interval does not hold"),
        ('champion = "mae"', 'champion = "coverage[0.1,0.9]"', "neither more nor less is better"),
        ('"0.1"', '"10"', "judging.quantiles.10: input should be less than 1"),
    ],
)
def test_a_regression_that_cannot_be_judged_as_it_says_is_refused(
    tmp_path: Path, old: str, new: str, words: str
) -> None:
    assert words in refusal(tmp_path, PRICES.replace(old, new))


def test_two_gates_of_one_id_are_refused(tmp_path: Path) -> None:
    assert "two gates have the id 'auc-overall'" in refusal(tmp_path, GOOD + GOOD[GOOD.index("[[gates]]") :])


def test_a_gate_on_a_perturbation_that_nobody_declared_is_refused(tmp_path: Path) -> None:
    gate = GOOD.replace('"limit"', '"perturbed"').replace('slices = ["all"]', 'perturbation = "hail"')
    assert "names the perturbation 'hail', which is not declared" in refusal(tmp_path, gate)


def test_a_missing_file_is_told_in_a_line(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="cannot be read"):
        load_declarations(tmp_path / "gates.toml")
