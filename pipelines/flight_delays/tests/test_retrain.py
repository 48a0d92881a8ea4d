"""New months came in: the model is trained on them and compared with the one in service on a month that neither has seen."""

import re
from typing import Any

import pytest
from pipelines.flight_delays.tests.test_ship import measure

pytestmark = pytest.mark.slow


GH = """#!/bin/sh
[ "$1" = pr ] || exit 0
cp report/retrain.md "$HOME/text"
find "$HOME/store" -type f > "$HOME/sent"
echo https://github.example/acme/pull/1
"""
HELD = """
from onebutton_workbench.checks.ruler_rules import check
from onebutton_workbench.lineage.changes import changes_since
from onebutton_workbench.workspace import ROOT
print(*check(changes_since("main", ROOT)), sep="\\n")
"""


def test_a_retrained_model_is_judged_beside_the_champion_on_the_newest_month_and_proposed(trained: Any) -> None:
    measure(trained, "flight_delays")
    trained.call("make", "deploy", "PIPELINE=flight_delays")
    folder, home = trained.clone / "pipelines/flight_delays", trained.home
    champion = (folder / "champion/champion.txt").read_text(encoding="utf-8").strip()
    (home / "bin").mkdir()
    (home / "bin/gh").write_text(GH, encoding="utf-8")
    (home / "bin/gh").chmod(0o755)
    trained.call("git", "init", "--quiet", "--bare", str(home / "origin.git"))
    trained.call("git", "remote", "set-url", "origin", str(home / "origin.git"))
    trained.call("make", "remote", f"URL={home / 'store'}")
    trained.call("make", "run")
    trained.call("git", "add", "--all")
    trained.call("git", "commit", "--quiet", "--no-verify", "--message", "a model in service, a remote")

    said = trained.refused("make", "retrain", "PIPELINE=flight_delays", "UNTIL=2013-06")
    assert "rows that would judge were trained on before: take a later month" in said
    assert not trained.call("git", "status", "--porcelain", "--", "pipelines/flight_delays/params.yaml")

    said = trained.refused("make", "retrain", "PIPELINE=flight_delays", "UNTIL=2012-11")
    assert "the newest row that would judge is of 2013-11, not of 2012-11" in said

    path = f"{home / 'bin'}:{trained.environment['PATH']}"
    said = trained.call("make", "retrain", "PIPELINE=flight_delays", "UNTIL=2013-09", "PR=1", PATH=path)
    assert f"auc beside {champion}, 27,010 rows" in said
    assert "fit_months: [1, 2, 3, 4, 5, 6, 7]" in (folder / "params.yaml").read_text(encoding="utf-8")
    assert "holdoutRows, value: 27010" in (folder / "contracts/predictions.odcs.yaml").read_text(encoding="utf-8")
    judged = trained.refused("make", "gates", "PIPELINE=flight_delays")  # limits for half a year; one month says less
    assert re.search(r"passed +holdout-unchanged +27,010 rows", judged)
    assert f"over {champion}" in " ".join(judged.split())

    assert "proposed, https://github.example/acme/pull/1" in said
    assert f"auc beside {champion}, 27,010 rows" in (home / "text").read_text(encoding="utf-8")
    sent = (home / "sent").read_text(encoding="utf-8").split()
    digests = re.findall(r"data/holdout.parquet\n +hash: md5\n +md5: (\w+)", (folder / "dvc.lock").read_text("utf-8"))
    assert {f"{home}/store/files/md5/{digest[:2]}/{digest[2:]}" for digest in digests} <= {*sent}
    assert trained.git_lines("ls-remote", "--heads", "origin")[0].endswith("refs/heads/retrain/flight_delays-2013-09")
    held = trained.call(".venv/bin/python", "-c", HELD)  # what the pull request's checks say of it
    assert "OB411" not in held
    assert "holdoutRows value: 166668 -> 27010: weaker, or nobody can tell. The rule `retrain` moved it" in held
