from __future__ import annotations

import dataclasses
from pathlib import Path

import pytest
from hypothesis import HealthCheck, find, given, settings
from hypothesis import strategies as st
from hypothesis.errors import NoSuchExample

from onebutton_contracts.contract import Contract, contract_of
from onebutton_contracts.errors import InputError
from onebutton_contracts.strategies import cells, tables
from onebutton_contracts.validation import validate

QUICK = settings(max_examples=30, deadline=None, suppress_health_check=[HealthCheck.too_slow])


@QUICK
@given(st.data())
def test_every_table_that_is_drawn_keeps_the_rules_about_rows_and_keys(contract: Contract, data: st.DataObject) -> None:
    frame = data.draw(tables(contract, min_rows=2, max_rows=6))
    about_rows = dataclasses.replace(contract, minimum_rows=0, table_rules=(), freshness=None)
    validate(frame, about_rows)
    assert 2 <= frame.height <= 6
    assert frame.columns == contract.column_names


def test_a_missing_value_is_met_where_the_contract_allows_one(contract: Contract) -> None:
    assert find(cells(contract.column("origin")), lambda value: value is None) is None
    with pytest.raises(NoSuchExample):
        find(cells(contract.column("carrier")), lambda value: value is None)


def test_the_ends_of_a_range_are_met(contract: Contract) -> None:
    assert find(cells(contract.column("distance")), lambda value: value == 12_000) == 12_000
    assert find(cells(contract.column("distance")), lambda value: value == 1) == 1


def test_a_pattern_that_python_does_not_know_is_told_in_one_line() -> None:
    text = """
apiVersion: v3.1.0
kind: DataContract
id: a
version: 1.0.0
status: active
team: {name: us}
schema: [{name: a, properties: [{name: word, logicalType: string, logicalTypeOptions: {pattern: '\\p{L}+'}}]}]
"""
    with pytest.raises(InputError, match="Python does not know the pattern"):
        tables(contract_of(text, Path("a.odcs.yaml")))
