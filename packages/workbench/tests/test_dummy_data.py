from pathlib import Path
from typing import Any

import pytest

from onebutton_contracts.contract import load_contract
from onebutton_workbench.data.dummy import relax
from onebutton_workbench.workspace import ROOT

CONTRACT = """\
apiVersion: v3.1.0
kind: DataContract
id: rows
version: 1.0.0
status: active
team: {name: us}
schema:
  - name: rows
    quality:
      - {metric: rowCount, mustBeGreaterOrEqualTo: 300000}
      - name: order
        description: who left came first
        type: sql
        query: SELECT COUNT(*) FROM rows WHERE gone < came
        mustBe: 0
    properties:
      - {name: came, logicalType: integer, required: true, logicalTypeOptions: {minimum: 1900}}
      - {name: gone, logicalType: integer}
"""


def test_only_the_number_of_rows_is_relaxed(tmp_path: Path) -> None:
    file = tmp_path / "rows.odcs.yaml"
    file.write_text(CONTRACT, encoding="utf-8")
    before = load_contract(file)
    relax(file)
    after = load_contract(file)
    assert (before.minimum_rows, after.minimum_rows) == (300_000, 1)
    assert (before.columns, before.row_rules, before.freshness) == (after.columns, after.row_rules, after.freshness)


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["run", "DATA=dumy"], 'Invalid value "dumy" for DATA. Choose from: '),
        (["run", "DATA=dummy", "ROWS=many"], 'Invalid value for ROWS: unable to convert "many" into int'),
        (["run", "DATA=dummy", "PIPELINE=no_such"], "there is no pipeline 'no_such'"),
    ],
)
def test_a_value_that_cannot_be_is_refused_in_one_line(shell: Any, words: list[str], said: str) -> None:
    shown = shell("make", *words, folder=ROOT, status=2)
    assert said in shown
    assert "Traceback" not in shown
