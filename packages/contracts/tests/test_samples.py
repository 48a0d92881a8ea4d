from __future__ import annotations

import dataclasses

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from onebutton_contracts.contract import Contract
from onebutton_contracts.errors import InputError
from onebutton_contracts.samples import sample
from onebutton_contracts.terms import RowRule
from onebutton_contracts.validation import validate


@pytest.fixture(scope="module")
def loose(contract: Contract) -> Contract:
    """The contract without what says when the flights were."""
    return dataclasses.replace(contract, freshness=None, table_rules=())


@settings(max_examples=20, deadline=None)
@given(rows=st.integers(2, 300), seed=st.integers(0, 2**32))
def test_rows_made_of_a_contract_keep_it(loose: Contract, rows: int, seed: int) -> None:
    made = sample(loose, rows, seed)
    assert made.height == rows
    assert validate(made, loose).equals(made)


def test_the_same_seed_makes_the_same_rows(loose: Contract) -> None:
    assert sample(loose, 50, 1).equals(sample(loose, 50, 1))
    assert not sample(loose, 50, 1).equals(sample(loose, 50, 2))


def test_texts_are_of_the_pattern_and_some_are_missing(loose: Contract) -> None:
    pilots = sample(loose, 500)["pilot"]
    assert 0 < pilots.null_count() < 100
    assert pilots.drop_nulls().str.contains("^[A-Z]").all()


def test_rules_that_hardly_any_row_keeps_are_refused(loose: Contract) -> None:
    strict = dataclasses.replace(loose, row_rules=(RowRule("twins", "flight <> distance", "both the same"),))
    with pytest.raises(InputError, match="only 0 of 10 rows can be made of the contract alone"):
        sample(strict, 10)
