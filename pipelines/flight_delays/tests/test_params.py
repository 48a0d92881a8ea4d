import re
from pathlib import Path

import pytest

from flight_delays.params import Params
from onebutton_contracts.errors import InputError

PIPELINE = Path(__file__).parents[1]


@pytest.fixture
def said(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> str:
    """Stand in a folder of one's own; return what the pipeline's `params.yaml` says."""
    monkeypatch.chdir(tmp_path)
    return (PIPELINE / "params.yaml").read_text(encoding="utf-8")


def refusal(text: str) -> str:
    Path("params.yaml").write_text(text, encoding="utf-8")
    with pytest.raises(InputError) as caught:
        Params.load()
    assert str(caught.value).startswith("params.yaml: ")
    assert str(caught.value).endswith("Mend the file, then press `make run`")
    return str(caught.value)


def test_the_parameters_of_the_pipeline_are_as_they_must_be(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(PIPELINE)
    params = Params.load()
    assert isinstance(params, Params)
    assert params.features.late_from_minutes == 15
    assert max(params.train.fit_months) < min(params.train.tune_months)
    assert max(params.train.tune_months) < min(params.evaluate.test_months)


@pytest.mark.parametrize(
    ("key", "instead", "fault"),
    [
        ("test_months", "test_months: [13]", "evaluate.test_months.0: input should be less than or equal to 12"),
        ("tune_months", "tune_months: []", "train.tune_months: "),
        ("num_leaves", "num_leaves: []", "train.num_leaves: "),
        ("proof_rows", "proof_rows: 0", "train.proof_rows: input should be greater than 0"),
        ("weather_age_hours", "weather_age_hours: -1", "features.weather_age_hours: input should be greater than"),
        ("weather_age_hours", "weather_age_hours: 999", "so no weather would be left"),
        ("seed", "sed: 2013", "train.seed: missing; train.sed: unknown key"),
    ],
)
def test_a_value_that_no_stage_can_work_with_is_refused(said: str, key: str, instead: str, fault: str) -> None:
    text, lines = re.subn(rf"^( *){key}:.*$", rf"\g<1>{instead}", said, flags=re.MULTILINE)
    assert lines == 1
    assert fault in refusal(text)
