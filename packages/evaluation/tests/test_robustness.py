import numpy as np
import polars as pl
import pytest

from onebutton_contracts.errors import InputError
from onebutton_evaluation.declarations import Judging, Perturbation
from onebutton_evaluation.robustness import Asked, judge_perturbed, perturb

INPUTS = pl.DataFrame({"temp": np.arange(1000, dtype=np.float32), "origin": ["JFK", "EWR"] * 500})


def test_values_go_missing_in_the_declared_share_of_rows_and_the_same_ones_each_time() -> None:
    some = Perturbation(name="half", columns=("temp",), share=0.5)
    gone = perturb(INPUTS, some)
    assert 450 < gone["temp"].null_count() < 550
    assert gone["origin"].equals(INPUTS["origin"])
    assert gone.equals(perturb(INPUTS, some))
    assert perturb(INPUTS, Perturbation(name="all", columns=("temp", "origin"), share=1.0)).null_count().row(0) == (
        1000,
        1000,
    )


def test_noise_is_as_wide_as_declared_and_keeps_the_type() -> None:
    noisy = perturb(INPUTS, Perturbation(name="noise", columns=("temp",), share=1.0, noise=0.5))
    spread = (noisy["temp"] - INPUTS["temp"]).std()
    assert noisy.schema == INPUTS.schema
    assert spread == pytest.approx(0.5 * float(np.std(np.arange(1000))), rel=0.1)


@pytest.mark.parametrize(
    ("how", "words"),
    [
        (Perturbation(name="hail", columns=("hail",), share=1.0), "no column 'hail'; there are temp, origin"),
        (Perturbation(name="names", columns=("origin",), share=1.0, noise=1.0), "noise is added to floats only"),
    ],
)
def test_a_perturbation_that_cannot_be_made_is_refused(how: Perturbation, words: str) -> None:
    with pytest.raises(InputError, match=words):
        perturb(INPUTS, how)


def test_a_model_without_its_input_is_judged_as_the_worse_model_that_it_is(
    days: pl.DataFrame, judging: Judging
) -> None:
    inputs = days.select("challenger")
    ways = [
        Perturbation(name="nothing is known", columns=("challenger",), share=1.0),
        Perturbation(name="all is known", columns=("challenger",), share=0.001),
    ]
    found = judge_perturbed(
        days, Asked(inputs, lambda frame: frame["challenger"].fill_null(0.3).to_numpy()), ways, judging
    )
    assert found["nothing is known"]["auc"]["estimate"] == 0.5
    assert found["all is known"]["auc"]["low"] > 0.6
    assert "share" not in found["all is known"]
