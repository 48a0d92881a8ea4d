"""The monitor replays the half-year that the model never saw, on every fortieth flight."""

import shutil
from datetime import date
from pathlib import Path

import pytest

PIPELINE = Path(__file__).parents[1]


@pytest.mark.slow
def test_december_is_caught_and_quiet_weeks_call_nobody_more_than_the_budget_says(finished: Path) -> None:
    # the pipeline does not need it, and slow tests have everything
    from onebutton_monitoring.watch import replay, watch

    shutil.copy(PIPELINE / "release.toml", finished)
    said = (PIPELINE / "monitor.toml").read_text(encoding="utf-8")
    few = said.replace("limit = 0.65", "limit = 0.8")  # of a fortieth of the flights, a model learns less
    assert few != said
    (finished / "monitor.toml").write_text(few, encoding="utf-8")
    one = watch(finished, finished / "model/model.onnx")
    alarms, found = replay(one)
    assert found.weeks == 27
    assert found.false <= 2
    december = [
        alarm for alarm in alarms if alarm.kind == "cost" and alarm.where == "all" and alarm.week >= date(2013, 11, 25)
    ]
    assert december, found
    assert {alarm.what for alarm in alarms if alarm.kind == "nulls"} <= set(one.model.inputs)
