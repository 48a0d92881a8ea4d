"""New months came in: the model is trained on them and compared with the one in service on a month that neither has seen."""

from __future__ import annotations

import re
from typing import Any

import pytest
from pipelines.flight_delays.tests.test_ship import measure

pytestmark = pytest.mark.slow


def test_a_retrained_model_is_judged_beside_the_champion_on_the_newest_month(trained: Any) -> None:
    measure(trained, "flight_delays")
    trained.call("make", "deploy", "PIPELINE=flight_delays")
    folder = trained.clone / "pipelines/flight_delays"
    champion = (folder / "champion/champion.txt").read_text(encoding="utf-8").strip()

    said = trained.refused("make", "retrain", "PIPELINE=flight_delays", "UNTIL=2013-06")
    assert "rows that would judge were trained on before: take a later month" in said
    assert not trained.call("git", "status", "--porcelain", "--", "pipelines/flight_delays/params.yaml")

    said = trained.call("make", "retrain", "PIPELINE=flight_delays", "UNTIL=2013-09")
    assert f"auc beside {champion}, 27,010 rows" in said
    assert "fit_months: [1, 2, 3, 4, 5, 6, 7]" in (folder / "params.yaml").read_text(encoding="utf-8")
    assert "holdoutRows, value: 27010" in (folder / "contracts/predictions.odcs.yaml").read_text(encoding="utf-8")
    judged = trained.refused("make", "gates", "PIPELINE=flight_delays")  # limits for half a year; one month says less
    assert re.search(r"passed +holdout-unchanged +27,010 rows", judged)
    assert f"than {champion}" in judged
