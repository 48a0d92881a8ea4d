from __future__ import annotations

import gzip
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from onebutton_release.pickle_scan import holds_pickle, pickles

MODEL = Path(__file__).resolve().parents[3] / "packages/models/tests/flights.csv"


# What `pickle.dumps` writes of four objects in each protocol, as bytes, so that nothing here imports it.
PICKLES = {
    ("harmful", 0): b"c__builtin__\nprint\np0\n(Vharm\np1\ntp2\nRp3\n.",
    ("harmful", 1): b"c__builtin__\nprint\nq\x00(X\x04\x00\x00\x00harmq\x01tq\x02Rq\x03.",
    ("harmful", 2): b"\x80\x02c__builtin__\nprint\nq\x00X\x04\x00\x00\x00harmq\x01\x85q\x02Rq\x03.",
    ("harmful", 3): b"\x80\x03cbuiltins\nprint\nq\x00X\x04\x00\x00\x00harmq\x01\x85q\x02Rq\x03.",
    ("harmful", 4): (
        b"\x80\x04\x95!\x00\x00\x00\x00\x00\x00\x00\x8c\x08builtins\x94"
        b"\x8c\x05print\x94\x93\x94\x8c\x04harm\x94\x85\x94R\x94."
    ),
    ("harmful", 5): (
        b"\x80\x05\x95!\x00\x00\x00\x00\x00\x00\x00\x8c\x08builtins\x94"
        b"\x8c\x05print\x94\x93\x94\x8c\x04harm\x94\x85\x94R\x94."
    ),
    ("ordered", 0): b"ccollections\nOrderedDict\np0\n(tRp1\nVa\np2\nI1\ns.",
    ("ordered", 1): b"ccollections\nOrderedDict\nq\x00)Rq\x01X\x01\x00\x00\x00aq\x02K\x01s.",
    ("ordered", 2): b"\x80\x02ccollections\nOrderedDict\nq\x00)Rq\x01X\x01\x00\x00\x00aq\x02K\x01s.",
    ("ordered", 3): b"\x80\x03ccollections\nOrderedDict\nq\x00)Rq\x01X\x01\x00\x00\x00aq\x02K\x01s.",
    ("ordered", 4): (
        b"\x80\x04\x95)\x00\x00\x00\x00\x00\x00\x00\x8c\x0bcollections\x94\x8c"
        b"\x0bOrderedDict\x94\x93\x94)R\x94\x8c\x01a\x94K\x01s."
    ),
    ("ordered", 5): (
        b"\x80\x05\x95)\x00\x00\x00\x00\x00\x00\x00\x8c\x0bcollections\x94\x8c"
        b"\x0bOrderedDict\x94\x93\x94)R\x94\x8c\x01a\x94K\x01s."
    ),
    ("fraction", 0): b"cfractions\nFraction\np0\n(I1\nI3\ntp1\nRp2\n.",
    ("fraction", 1): b"cfractions\nFraction\nq\x00(K\x01K\x03tq\x01Rq\x02.",
    ("fraction", 2): b"\x80\x02cfractions\nFraction\nq\x00K\x01K\x03\x86q\x01Rq\x02.",
    ("fraction", 3): b"\x80\x03cfractions\nFraction\nq\x00K\x01K\x03\x86q\x01Rq\x02.",
    ("fraction", 4): (
        b'\x80\x04\x95"\x00\x00\x00\x00\x00\x00\x00\x8c\tfractions'
        b"\x94\x8c\x08Fraction\x94\x93\x94K\x01K\x03\x86\x94R\x94."
    ),
    ("fraction", 5): (
        b'\x80\x05\x95"\x00\x00\x00\x00\x00\x00\x00\x8c\tfractions'
        b"\x94\x8c\x08Fraction\x94\x93\x94K\x01K\x03\x86\x94R\x94."
    ),
    ("deep", 0): b"(dp0\nVdeep\np1\n(lp2\ncfractions\nFraction\np3\n(I1\nI7\ntp4\nRp5\nas.",
    ("deep", 1): (b"}q\x00X\x04\x00\x00\x00deepq\x01]q\x02cfractions\nFraction\nq\x03(K\x01K\x07tq\x04Rq\x05as."),
    ("deep", 2): (
        b"\x80\x02}q\x00X\x04\x00\x00\x00deepq\x01]q\x02cfractions\nFraction\nq\x03K\x01K\x07\x86q\x04Rq\x05as."
    ),
    ("deep", 3): (
        b"\x80\x03}q\x00X\x04\x00\x00\x00deepq\x01]q\x02cfractions\nFraction\nq\x03K\x01K\x07\x86q\x04Rq\x05as."
    ),
    ("deep", 4): (
        b"\x80\x04\x95/\x00\x00\x00\x00\x00\x00\x00}\x94\x8c\x04deep\x94]\x94\x8c\tfract"
        b"ions\x94\x8c\x08Fraction\x94\x93\x94K\x01K\x07\x86\x94R\x94as."
    ),
    ("deep", 5): (
        b"\x80\x05\x95/\x00\x00\x00\x00\x00\x00\x00}\x94\x8c\x04deep\x94]\x94\x8c\tfract"
        b"ions\x94\x8c\x08Fraction\x94\x93\x94K\x01K\x07\x86\x94R\x94as."
    ),
}


@pytest.mark.parametrize(("name", "protocol"), PICKLES)
def test_a_pickle_of_every_protocol_is_found(name: str, protocol: int) -> None:
    assert holds_pickle(PICKLES[name, protocol])


@pytest.mark.parametrize("protocol", range(2, 6))
def test_a_pickle_inside_another_file_is_found(protocol: int) -> None:
    inside = b"\x08\x07 an attribute of a model " + PICKLES["harmful", protocol] + b"\x00 and more of it"
    assert holds_pickle(inside)


def test_an_archive_is_refused_because_a_pickle_could_hide_in_it(tmp_path: Path) -> None:
    (tmp_path / "card.md").write_bytes(gzip.compress(PICKLES["harmful", 4]))
    assert pickles(tmp_path) == ["card.md is an archive, in which a pickle could hide"]


@settings(max_examples=300)
@given(st.binary(max_size=2000))
def test_bytes_that_are_no_pickle_are_let_through(content: bytes) -> None:
    marked = content.replace(b"\x93", b"\x00").replace(b"c", b"d").replace(b"i", b"j")  # without what imports
    assert not holds_pickle(marked)


def test_a_table_is_no_pickle() -> None:
    assert not holds_pickle(MODEL.read_bytes())
