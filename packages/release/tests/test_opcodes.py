from __future__ import annotations

import gzip
import pickle  # noqa: TID251  what must be found is made here
from collections import OrderedDict
from fractions import Fraction
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from onebutton_release.opcodes import holds_pickle, pickles

MODEL = Path(__file__).resolve().parents[3] / "packages/models/tests/flights.csv"


class Harmful:
    def __reduce__(self) -> tuple[object, tuple[str]]:
        return print, ("harm",)


@pytest.mark.parametrize("protocol", range(6))
@pytest.mark.parametrize(
    "value",
    [Harmful(), OrderedDict(a=1), Fraction(1, 3), {"deep": [Fraction(1, 7)]}],
    ids=["harmful", "ordered", "fraction", "deep"],
)
def test_a_pickle_of_every_protocol_is_found(protocol: int, value: object) -> None:
    assert holds_pickle(pickle.dumps(value, protocol))


@pytest.mark.parametrize("protocol", range(2, 6))
def test_a_pickle_inside_another_file_is_found(protocol: int) -> None:
    inside = b"\x08\x07 an attribute of a model " + pickle.dumps(Harmful(), protocol) + b"\x00 and more of it"
    assert holds_pickle(inside)


def test_an_archive_is_refused_because_a_pickle_could_hide_in_it(tmp_path: Path) -> None:
    (tmp_path / "card.md").write_bytes(gzip.compress(pickle.dumps(Harmful())))
    assert pickles(tmp_path) == ["card.md is an archive, in which a pickle could hide"]


@settings(max_examples=300)
@given(st.binary(max_size=2000))
def test_bytes_that_are_no_pickle_are_let_through(content: bytes) -> None:
    marked = content.replace(b"\x93", b"\x00").replace(b"c", b"d").replace(b"i", b"j")  # without what imports
    assert not holds_pickle(marked)


def test_a_table_is_no_pickle() -> None:
    assert not holds_pickle(MODEL.read_bytes())
