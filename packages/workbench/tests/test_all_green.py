import json
from typing import Any

import pytest

from onebutton_workbench.workspace import ROOT


def needs(**results: str) -> str:
    return json.dumps({name: {"result": result, "outputs": {}} for name, result in results.items()})


def test_all_green_passes_when_every_job_succeeded(shell: Any) -> None:
    assert "every job succeeded" in shell(
        "make", "all-green", folder=ROOT, NEEDS=needs(check="success", test="success")
    )


@pytest.mark.parametrize("result", ["failure", "cancelled", "skipped"])
def test_all_green_fails_and_names_a_job_that_did_not_succeed(shell: Any, result: str) -> None:
    shown = shell("make", "all-green", folder=ROOT, status=2, NEEDS=needs(check="success", test=result))
    assert f"all-green: test: {result}" in shown


@pytest.mark.parametrize("nothing", ["", "{}", "[]", "nonsense", '{"check": 1}', '{"check": {}}'])
def test_all_green_fails_when_it_was_told_nothing(shell: Any, nothing: str) -> None:
    assert "NOT RUN" in shell("make", "all-green", folder=ROOT, status=2, NEEDS=nothing)
